"""A decision: the score from which an image is positive, how it does on validation, what scores mean."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.decision.probability import Proportion, apply_temperature, correct_prior

_SHARES = ("supported_recall", "best_supported_recall")
_INNER_SHARES = ("confidence", "training_prior", "validation_prior", "defect_rate", "wanted_recall")


@dataclass(frozen=True)
class Decision:
    """A threshold on the fused ``score``, why it is that one, and how scores become probabilities.

    Attributes:
        positive: the class that images are searched for.
        rule: ``decision.rule``.
        wanted_recall, cost_miss, cost_false_call: what it goes by; None where it does not.
        threshold: score from which an image counts as positive.
        confidence: of every interval here.
        recall, false_calls: of validation, at the threshold.
        supported_recall: lower limit, one-sided, of the true recall at the threshold.
        best_supported_recall: the same if every defect of validation were found.
        groups: how many groups validation's defects come from; None: the data name no groups.
        training_prior: share of defects that the raw scores carry.
        validation_prior: share of defects in validation.
        defect_rate: share of defects that probabilities shall be for, as stated; None: not stated.
        calibration: ``none``, ``temperature`` or ``isotonic``.
        temperature: for ``temperature``.
        isotonic_scores, isotonic_probabilities: corners of the step function for ``isotonic``.
        tiles: how the images were cut whose scores it is about; None: they were not.
        members: the networks whose scores they are (``deploy.Scorer``); None: not known.
    """

    positive: str
    rule: str
    wanted_recall: float | None
    cost_miss: float | None
    cost_false_call: float | None
    threshold: float
    confidence: float
    recall: Proportion
    false_calls: Proportion
    supported_recall: float
    best_supported_recall: float
    groups: int | None
    training_prior: float
    validation_prior: float
    defect_rate: float | None
    calibration: str
    temperature: float | None
    isotonic_scores: list[float] | None
    isotonic_probabilities: list[float] | None
    tiles: Tiles | None = None
    members: str | None = None

    @property
    def prior(self) -> float:
        """The share of defects that ``probability`` is about."""
        return self.defect_rate if self.defect_rate is not None else self._carried

    @property
    def _carried(self) -> float:
        """The share that probabilities carry before they are corrected to a stated one."""
        return self.training_prior if self.calibration == "none" else self.validation_prior

    def called(self, scores: np.ndarray) -> np.ndarray:
        """(N,) bool: which images count as positive, for (N,) raw fused scores."""
        # Scores are float32; so compared, one that comes as float64 or from text is no other.
        return np.asarray(scores, dtype=np.float32) >= np.float32(self.threshold)

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """(N,) probability of the positive class where a share ``prior`` of the images are defects.

        First the calibration, fitted on validation and so carrying validation's prior; then the
        correction to the stated defect rate. Neither changes the order of scores.

        Args:
            scores: (N,) raw fused scores.
        """
        scores = np.asarray(scores, dtype=np.float64)
        if self.calibration == "temperature":
            return apply_temperature(scores, self.temperature, self.training_prior, self.prior)
        if self.calibration == "isotonic":
            scores = np.interp(scores, self.isotonic_scores, self.isotonic_probabilities)
        return correct_prior(scores, self._carried, self.prior)

    def to_json(self) -> dict:
        """As values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: object) -> "Decision":
        """From what ``to_json`` gave, strictly.

        Raises:
            ValueError: a key is missing, unknown or of a wrong type, or values do not fit each other.
        """
        decision = _build(cls, values, "")
        _check(decision)
        return decision

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Decision":
        """Read what ``save`` wrote.

        Raises:
            UserError: the file is missing or damaged, a key is missing, unknown or of a wrong type, or
                values do not fit each other.
        """
        try:
            return cls.from_json(read_json(path))
        except ValueError as error:
            raise UserError(f"{path}: {error}; delete it and start the run again") from None


def _build(kind: type, values: object, place: str) -> object:
    """A dataclass from parsed JSON, strictly."""
    if not isinstance(values, dict):
        raise ValueError(f"{place or 'the file'} is no table of keys")
    hints = typing.get_type_hints(kind)
    needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    for name in [*(needed - set(values)), *(set(values) - set(hints))]:
        raise ValueError(f"the key {place}{name} is {'missing' if name in hints else 'unknown'}")
    return kind(**{name: _value(hints[name], value, place + name) for name, value in values.items()})


def _value(hint: object, value: object, place: str) -> object:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = typing.get_args(hint)[0]
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{place}.")
    if typing.get_origin(hint) is list and isinstance(value, list):
        return [_value(typing.get_args(hint)[0], item, place) for item in value]
    fits = isinstance(value, (int, float) if hint is float else hint) and not isinstance(value, bool)
    if typing.get_origin(hint) is list or not fits or (hint is float and not math.isfinite(value)):
        raise ValueError(f"{place} is {value!r}")
    return float(value) if hint is float else value


def _check(decision: Decision) -> None:
    """Refuse values that no ``decide`` gives."""
    for name in (*_SHARES, *_INNER_SHARES, "threshold"):
        value = getattr(decision, name)
        inner = name in _INNER_SHARES
        if value is not None and not (0 < value < 1 if inner else 0 <= value <= 1):
            raise ValueError(f"{name} is {value:g}")
    for name in ("recall", "false_calls"):
        part = getattr(decision, name)
        if not (0 <= part.count <= part.total and 0 <= part.low <= part.high <= 1):
            raise ValueError(f"{name} is {part}")
    scores, probabilities = decision.isotonic_scores, decision.isotonic_probabilities
    given = {
        "temperature": decision.temperature is not None,
        "isotonic": scores is not None and probabilities is not None,
    }
    known = ("none", *given)
    if decision.calibration not in known or any(
        has != (name == decision.calibration) for name, has in given.items()
    ):
        raise ValueError(f"calibration is {decision.calibration!r}, and its parameters do not fit")
    if decision.temperature is not None and decision.temperature <= 0:
        raise ValueError(f"temperature is {decision.temperature:g}")
    if given["isotonic"] and (
        len(scores) != len(probabilities)
        or not scores
        or (np.diff(scores) <= 0).any()
        or (np.diff(probabilities) < 0).any()
        or not 0 <= probabilities[0] <= probabilities[-1] <= 1
    ):
        raise ValueError("isotonic_scores and isotonic_probabilities are no rising function")
