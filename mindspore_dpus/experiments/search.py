"""Random and successive-halving search: a declared space -> the settings of runs, and who goes on.

scikit-learn draws and counts: ``ParameterSampler`` and ``ParameterGrid`` for the settings,
``HalvingRandomSearchCV`` as the model of the rounds, with training epochs as the resource. As there, a
candidate that goes on is trained anew, for longer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.model_selection import ParameterGrid, ParameterSampler

from mindspore_dpus.core.errors import UserError

RANGE_KEYS = {"low", "high", "log"}


@dataclass(frozen=True)
class Round:
    """One round of successive halving.

    Args:
        candidates: how many are trained.
        epochs: of each.
    """

    candidates: int
    epochs: int


def grid_candidates(space: Mapping[str, object]) -> list[dict[str, object]]:
    """Every combination of listed values.

    Args:
        space: configuration key (``training.learning_rate``) -> list of values.

    Returns:
        Configuration key -> value, for each run; the keys in the order of ``space``, the last of them
        (in alphabetical order, as scikit-learn sorts) changing fastest.

    Raises:
        UserError: the space is none, or has a range, of which there are endlessly many values.
    """
    choices = _choices(space)
    for key, choice in choices.items():
        if not isinstance(choice, list):
            raise UserError(f"search: {key} is a range; a grid needs lists of values")
    return [_in_order(space, candidate) for candidate in ParameterGrid(choices)]


def random_candidates(space: Mapping[str, object], n: int, seed: int) -> list[dict[str, object]]:
    """Settings drawn at random; of a space of lists only, none twice.

    Args:
        space: configuration key -> list of values, all equally likely; or a range ``{low, high, log}``.
            With ``log: true``, equal ratios are equally likely, else equal differences. Where low and
            high are both whole numbers, whole numbers are drawn, both ends included (not with ``log``).
        n: how many.
        seed: equal seeds give equal settings.

    Returns:
        Configuration key -> value, for each run; the keys in the order of ``space``.

    Raises:
        UserError: the space is none, or has fewer than ``n`` combinations.
    """
    choices = _choices(space)
    if n < 1:
        raise UserError(f"search: the number of candidates is {n}; it must be 1 or more")
    if all(isinstance(choice, list) for choice in choices.values()):
        size = len(ParameterGrid(choices))
        if n > size:
            raise UserError(f"search: {n} candidates are asked for; the space has only {size}")
    drawn = ParameterSampler(choices, n, random_state=seed)
    return [_in_order(space, candidate) for candidate in drawn]


def halving_rounds(
    candidates: int | None, max_epochs: int, min_epochs: int | None = None, factor: int = 3
) -> list[Round]:
    """Successive halving: many candidates for a short time, few for a long one.

    Each round has ``factor`` times the epochs of the round before, and 1 / ``factor`` of its candidates,
    rounded up. The last is the first with fewer candidates than ``factor``, or the last within
    ``max_epochs``.

    Args:
        candidates: of the first round; None: as many as let the last round reach ``max_epochs``,
            ``max_epochs // min_epochs``.
        max_epochs: that no round exceeds.
        min_epochs: of the first round; None: as many as let the last round come next to ``max_epochs``.
        factor: 2 or more.

    Returns:
        The rounds, of which the best of the last is the result.

    Raises:
        UserError: a number out of range, or neither ``candidates`` nor ``min_epochs`` is given.

    Source: Jamieson and Talwalkar 2016, Figure 1, with the numbers of scikit-learn's
    ``HalvingRandomSearchCV`` (``exhaust``, no aggressive elimination); but logarithms of whole numbers
    are exact here (floats make that of 243 to the base 3 less than 5: a round is lost).
    """
    for name, value, least in (
        ("candidates", candidates, 1),
        ("max_epochs", max_epochs, 1),
        ("min_epochs", min_epochs, 1),
        ("factor", factor, 2),
    ):
        if value is not None and value < least:
            raise UserError(f"search: {name} is {value}; it must be {least} or more")
    if candidates is None:
        if min_epochs is None:
            raise UserError("search: give candidates, min_epochs or both; from nothing no rounds follow")
        candidates = max(1, max_epochs // min_epochs)
    needed = _whole_log(candidates, factor)
    if min_epochs is None:
        min_epochs = max(1, max_epochs // factor**needed)
    if min_epochs > max_epochs:
        raise UserError(f"search: min_epochs is {min_epochs}, more than max_epochs, {max_epochs}")
    rounds = []
    for i in range(1 + min(needed, _whole_log(max_epochs // min_epochs, factor))):
        rounds.append(Round(candidates, min_epochs * factor**i))
        candidates = math.ceil(candidates / factor)
    return rounds


def survivors(scores: Sequence[float], keep: int, largest: bool = True) -> list[int]:
    """Which candidates of a round go on.

    Args:
        scores: one of each, on validation samples; NaN for a run that failed.
        keep: how many go on, at least 1.
        largest: whether large scores are good (accuracy), or small ones (loss).

    Returns:
        Their places in ``scores``, best first; of equals, the first goes first.

    Raises:
        UserError: fewer than ``keep`` have a score.
        ValueError: ``keep`` is below 1.
    """
    values = np.asarray(scores, np.float64)
    if keep < 1:
        raise ValueError(f"keep is {keep}; it must be 1 or more")
    good = int(np.count_nonzero(~np.isnan(values)))
    if good < keep:
        raise UserError(
            f"search: {keep} of {len(values)} candidates should go on, but only {good} have a score: "
            "see the failed runs, and narrow the space"
        )
    return np.argsort(-values if largest else values, kind="stable")[:keep].tolist()


def _choices(space: Mapping[str, object]) -> dict[str, object]:
    """Key -> a list, or a distribution of scipy."""
    if not isinstance(space, Mapping) or not space:
        raise UserError(
            "search: the space must map keys to lists of values or to ranges {low, high, log}"
        )
    return {key: _choice(key, declared) for key, declared in space.items()}


def _choice(key: str, declared: object) -> object:
    if isinstance(declared, list):
        if not declared:
            raise UserError(f"search: {key} has no values")
        return declared
    if not isinstance(declared, Mapping) or not {"low", "high"} <= set(declared) <= RANGE_KEYS:
        raise UserError(
            f"search: {key} is {declared!r}; it must be a list of values, or a range {{low, high, log}}"
        )
    low, high, log = declared["low"], declared["high"], declared.get("log", False)
    for name, value in (("low", low), ("high", high)):
        if type(value) not in (int, float) or not math.isfinite(value):
            hint = "; YAML reads 1e-5 as text: write 1.0e-5" if isinstance(value, str) else ""
            raise UserError(f"search: {key}: {name} is {value!r}; it must be a number{hint}")
    if type(log) is not bool:
        raise UserError(f"search: {key}: log is {log!r}; it must be true or false")
    if low >= high:
        raise UserError(f"search: {key}: low is {low}; it must be below high, {high}")
    whole = type(low) is int and type(high) is int
    if not log:
        return stats.randint(low, high + 1) if whole else stats.uniform(low, high - low)
    if low <= 0:
        raise UserError(f"search: {key}: low is {low}; with log it must be above 0")
    if whole:
        raise UserError(
            f"search: {key}: whole numbers are not drawn with log; list them, or write {low}.0 for any "
            "number"
        )
    return stats.loguniform(low, high)


def _in_order(space: Mapping[str, object], candidate: Mapping[str, object]) -> dict[str, object]:
    """Keys as the space has them, and plain numbers: NumPy's do not go into a YAML file."""
    return {
        key: candidate[key].item() if isinstance(candidate[key], np.generic) else candidate[key]
        for key in space
    }


def _whole_log(number: int, base: int) -> int:
    """How often ``base`` goes into ``number``: the logarithm, rounded down."""
    times = 0
    while number >= base:
        number //= base
        times += 1
    return times
