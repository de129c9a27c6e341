"""A system of anomaly scores: vectors, inlier model, aggregator, how domains are treated; by section.

Fitting and scoring in one place, for training, prediction and exports alike. Scoring needs NumPy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import create_detector
from mindspore_dpus.detectors.aggregators import aggregate
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.domains import fit_generalised, specialised_scores
from mindspore_dpus.detectors.held_out import held_out_scores
from mindspore_dpus.detectors.standardise import Moments

GENERALISED, SPECIALISED = "generalised", "specialised"
DOMAINS = (GENERALISED, SPECIALISED)
BOTH, SOURCE, TARGET = "both", "source", "target"


class Model(NamedTuple):
    """What is fitted of a system: without the aggregator, which comes after.

    Attributes:
        vectors: what it is fitted on, such as ``simple`` or an extractor.
        detector: key of ``DETECTORS``.
        size: its size; None where it has none.
        domains: one of ``DOMAINS``.
    """

    vectors: str
    detector: str
    size: int | None
    domains: str

    @property
    def name(self) -> str:
        """For files and people."""
        size = "" if self.size is None else f"-{self.size}"
        return f"{self.vectors} {self.detector}{size} {self.domains}"


class System(NamedTuple):
    """A model and its aggregator (key of ``AGGREGATORS``)."""

    model: Model
    aggregator: str

    @property
    def name(self) -> str:
        """For files and people."""
        return f"{self.model.name} {self.aggregator}"


class Vectors(NamedTuple):
    """Vectors of clips' segments.

    Attributes:
        X: (n, D) of segments.
        clips: (n,) the clip of each, a number.
    """

    X: np.ndarray
    clips: np.ndarray

    def of(self, clips: np.ndarray) -> "Vectors":
        """Those of some clips, in the order in which they lie here."""
        inside = np.isin(self.clips, clips)
        return Vectors(self.X[inside], self.clips[inside])


@dataclass(frozen=True)
class Fitting:
    """What all models of a run are fitted with.

    Args:
        pseudo_normals: of ``fit_generalised``.
        target_size: size of the target domain's detector (specialised).
        folds: of held-out scores.
        seed: of detectors, pseudo-normals and folds.
    """

    pseudo_normals: int
    target_size: int
    folds: int
    seed: int

    def fit(self, model: Model, X: np.ndarray, is_target: np.ndarray) -> dict[str, Detector]:
        """Fit a section's detectors.

        Args:
            model: which.
            X: (n, D) of normals' segments.
            is_target: (n,) whether a segment is of the target domain.

        Returns:
            ``both``; or ``source`` and, where there are normals of the target domain, ``target``.

        Raises:
            UserError: too few normals for its size.
        """
        if model.domains == GENERALISED:
            return {BOTH: self._fit_role(model, BOTH, X, is_target)}
        roles = [SOURCE, TARGET] if is_target.any() else [SOURCE]
        return {
            role: self._fit_role(
                model, role, X[is_target == (role == TARGET)], is_target[is_target == (role == TARGET)]
            )
            for role in roles
        }

    def _fit_role(self, model: Model, role: str, X: np.ndarray, is_target: np.ndarray) -> Detector:
        size = model.size
        if role == TARGET and size is not None:
            size = self.target_size

        def create() -> Detector:
            return create_detector(model.detector, size, self.seed)

        if role != BOTH:
            return create().fit(X)
        source, target = X[~is_target], X[is_target]
        # Of a section without a shift, there is nothing between its domains.
        number = self.pseudo_normals if len(target) and len(source) else 0
        if not len(source):
            source, target = target, source
        return fit_generalised(create, source, target, n_pseudo=number, random_state=self.seed)

    def held_out(
        self, model: Model, normals: Vectors, is_target: np.ndarray
    ) -> dict[str, tuple[np.ndarray, Vectors]]:
        """Scores of normals by detectors that have not seen them.

        Args:
            model: which.
            normals: a section's.
            is_target: (n,) of their segments.

        Returns:
            Role (as in ``fit``) -> (scores (m,), clips (m,)) of the segments of that role's domain.

        Raises:
            UserError: a role has fewer than two clips, or too few for the size.
        """
        if model.domains == GENERALISED:
            roles = {BOTH: np.ones(len(is_target), bool)}
        else:
            roles = {SOURCE: ~is_target}
            if is_target.any():
                roles[TARGET] = is_target
        found = {}
        for role, inside in roles.items():
            X, clips, target = normals.X[inside], normals.clips[inside], is_target[inside]
            n_clips = len(np.unique(clips))
            if n_clips < 2:
                raise UserError(f"{n_clips} clip of the {role} domain; held-out scores need two or more")

            def fit(rows: np.ndarray, role=role, X=X, target=target) -> Detector:
                return self._fit_role(model, role, X[rows], target[rows])

            scores = held_out_scores(fit, X, clips, min(self.folds, n_clips), self.seed)
            found[role] = (scores, clips)
        return found


def clip_scores(
    system: System, roles: Mapping[str, np.ndarray], clips: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Aggregate the scores of segments.

    Args:
        system: names the aggregator.
        roles: role -> (n,) scores of segments.
        clips: (n,).

    Returns:
        The clips (C,), in their order; role -> (C,) scores.
    """
    parts = {role: aggregate(system.aggregator, scores, clips) for role, scores in roles.items()}
    names = next(iter(parts.values()))[0]
    return names, {role: scores for role, (_, scores) in parts.items()}


def combined(
    roles: Mapping[str, np.ndarray], moments: Mapping[str, Moments], probability: np.ndarray
) -> np.ndarray:
    """The standardised score of clips: Eq. 8 for specialised systems.

    Args:
        roles: role -> (C,) aggregated scores.
        moments: role -> of its held-out scores.
        probability: (C,) of the target domain.
    """
    scaled = {
        role: (scores - moments[role].mean) / moments[role].deviation for role, scores in roles.items()
    }
    if BOTH in scaled:
        return scaled[BOTH]
    if TARGET not in scaled:
        return scaled[SOURCE]
    return specialised_scores(scaled[SOURCE], scaled[TARGET], probability)


def moments_of(scores: np.ndarray, what: str) -> Moments:
    """Mean and deviation of a role's held-out clip scores.

    Raises:
        UserError: they do not differ.
    """
    deviation = float(np.std(scores))
    if not deviation > 1e-12 * np.abs(scores).max():
        raise UserError(f"{what}: its {len(scores)} held-out scores do not differ; give more normals")
    return Moments(float(np.mean(scores)), deviation)
