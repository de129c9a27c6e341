"""A system of anomaly scores: vectors, inlier model of a domain, aggregator; by section.

Fitting and scoring in one place, for training, prediction and exports alike. Scoring needs NumPy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import create_detector
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.domains import fit_generalised, specialised_scores
from mindspore_dpus.detectors.held_out import held_out_scores
from mindspore_dpus.detectors.standardise import Moments

GENERALISED, SPECIALISED = "generalised", "specialised"
DOMAINS = (GENERALISED, SPECIALISED)
BOTH, SOURCE, TARGET = "both", "source", "target"
# How domains are treated -> whose normals its systems learn from: those of both domains together, or systems
# of each domain, which only their ensembles bring together (technical report, sections 2.3 to 2.5).
LEARNT = {GENERALISED: (BOTH,), SPECIALISED: (SOURCE, TARGET)}


class Model(NamedTuple):
    """What is fitted of a system: without the aggregator, which comes after.

    Attributes:
        vectors: what it is fitted on, such as ``simple`` or an extractor.
        detector: key of ``DETECTORS``.
        size: its size; None where it has none.
        domain: whose normals it learns from: ``both``, ``source`` or ``target``.
    """

    vectors: str
    detector: str
    size: int | None
    domain: str

    @property
    def name(self) -> str:
        """For files and people."""
        size = "" if self.size is None else f"-{self.size}"
        return f"{self.vectors} {self.detector}{size} {self.domain}"


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


def learnt(domain: str, is_target: np.ndarray) -> np.ndarray:
    """(n,) bool: which normals a model of that domain learns from; of no clip is it known to be of the target
    domain unless the data say so."""
    if domain == BOTH:
        return np.ones(len(is_target), bool)
    return is_target == (domain == TARGET)


@dataclass(frozen=True)
class Fitting:
    """What all models of a run are fitted with.

    Args:
        pseudo_normals: of ``fit_generalised``.
        folds: of held-out scores.
        seed: of detectors, pseudo-normals and folds.
        options: detector -> its options besides size and seed.
    """

    pseudo_normals: int
    folds: int
    seed: int
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def fit(self, model: Model, X: np.ndarray, is_target: np.ndarray) -> Detector:
        """Fit a section's detector on those normals that are of its domain.

        Args:
            model: which.
            X: (n, D) of normals' segments.
            is_target: (n,) whether a segment is of the target domain.

        Raises:
            UserError: too few normals for its size.
        """

        def create() -> Detector:
            options = self.options.get(model.detector, {})
            return create_detector(model.detector, model.size, self.seed, **options)

        if model.domain != BOTH:
            return create().fit(X[learnt(model.domain, is_target)])
        source, target = X[~is_target], X[is_target]
        # Of a section without a shift, there is nothing between its domains.
        number = self.pseudo_normals if len(target) and len(source) else 0
        if not len(source):
            source, target = target, source
        return fit_generalised(create, source, target, n_pseudo=number, random_state=self.seed)

    def held_out(
        self, model: Model, normals: Vectors, is_target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of normals by detectors that have not seen them.

        Args:
            model: which.
            normals: a section's.
            is_target: (n,) of their segments.

        Returns:
            Scores (m,) and clips (m,) of the segments that the model learns from.

        Raises:
            UserError: these are of fewer than two clips, or too few for the size.
        """
        inside = learnt(model.domain, is_target)
        X, clips, target = normals.X[inside], normals.clips[inside], is_target[inside]
        n_clips = len(np.unique(clips))
        if n_clips < 2:
            raise UserError(
                f"{n_clips} normal clip of the {model.domain} domain to learn from; held-out scores need "
                "two or more"
            )

        def fit(rows: np.ndarray) -> Detector:
            return self.fit(model, X[rows], target[rows])

        scores = held_out_scores(fit, X, clips, min(self.folds, n_clips), self.seed)
        return scores, clips


def domain_weighted(scores: Mapping[str, np.ndarray], probability: np.ndarray) -> np.ndarray:
    """The score of an ensemble: Eq. 8 where it has systems of each domain.

    Args:
        scores: domain (``LEARNT``) -> (C,) mean of the standardised scores of its systems. ``source`` alone:
            of a section that has no normals of the target domain; and the other way round.
        probability: (C,) of the target domain.

    Source: technical report, section 2.5: systems are averaged in each domain, and Eq. 8 comes last.
    """
    if len(scores) == 1:
        return next(iter(scores.values()))
    return specialised_scores(scores[SOURCE], scores[TARGET], probability)


def moments_of(scores: np.ndarray, what: str) -> Moments:
    """Mean and deviation of held-out clip scores.

    Raises:
        UserError: they do not differ.
    """
    deviation = float(np.std(scores))
    if not deviation > 1e-12 * np.abs(scores).max():
        raise UserError(f"{what}: its {len(scores)} held-out scores do not differ; give more normals")
    return Moments(float(np.mean(scores)), deviation)
