"""One section: its vectors, scaled by its normals, and what a model fitted on them says of its clips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.audio.names import TARGET
from mindspore_dpus.detectors.aggregators import aggregate
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.domain_classifier import DomainClassifier
from mindspore_dpus.detectors.standardise import Moments
from mindspore_dpus.detectors.systems import (
    Fitting,
    Model,
    Vectors,
    moments_of,
)
from mindspore_dpus.features.simple_sound import FEATURE_SETS, Projection
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.run_data import HELD_OUT, train_normals
from mindspore_dpus.systems.machine_sound.vectors import read_vectors


@dataclass
class SectionVectors:
    """A section's vectors of one kind, scaled by its normals, and who its clips are.

    Args:
        vectors: of all clips of the machine, and perhaps others.
        normals: (M,) clips that the detectors learn from.
        is_target: clip -> whether it is of the target domain, (N,) bool by clip number.
        projection: of simple features; None: vectors are used as they are.
        domain: classifier of vectors that no network with a domain head made; None: there is one domain, or a
            network's head.
        logits: (n,) of the segments, by a network's head; None: none.
    """

    vectors: Vectors
    normals: np.ndarray
    is_target: np.ndarray
    projection: Projection | None
    domain: DomainClassifier | None
    logits: np.ndarray | None

    def logit(self, clips: np.ndarray) -> np.ndarray:
        """(C,) domain logits of clips; minus infinity where the section has no target domain."""
        own = self.vectors.of(clips)
        if self.logits is not None and self.is_target[self.normals].any():
            values = self.logits[np.isin(self.vectors.clips, clips)]
            return np.array([values[own.clips == clip].mean() for clip in clips])
        if self.domain is None:
            return np.full(len(clips), -np.inf)
        return self.domain.logits(np.stack([own.X[own.clips == clip].mean(axis=0) for clip in clips]))


def section_vectors(
    config: Configuration, folder: Path, table: pd.DataFrame, name: str, machine: str, section: str
) -> SectionVectors:
    """What a section's detectors learn from and score.

    Args:
        config: the configuration.
        folder: of the run.
        table: of ``used`` clips.
        name: of the vectors.
        machine, section: whose.
    """
    vectors, logits = read_vectors(folder, name, machine)
    return scaled_vectors(config, table, name, machine, section, vectors, logits)


def scaled_vectors(
    config: Configuration,
    table: pd.DataFrame,
    name: str,
    machine: str,
    section: str,
    vectors: Vectors,
    logits: np.ndarray | None,
) -> SectionVectors:
    """As ``section_vectors``, for vectors that were read before."""
    inside = train_normals(table) & (table["machine"] == machine).to_numpy()
    inside &= (table["section"] == section).to_numpy()
    if name not in FEATURE_SETS and config.detectors.fit_on == HELD_OUT:
        inside &= (table["part"] == HELD_OUT).to_numpy()
    normals = np.flatnonzero(inside)
    is_target = (table["domain"] == TARGET).to_numpy()
    own = vectors.of(normals)
    projection = domain = None
    if name in FEATURE_SETS:
        projection = Projection(config.simple.components, config.simple.scaled).fit(own.X)
        vectors = Vectors(projection.transform(vectors.X), vectors.clips)
    # A network that was trained without domains (Eq. 3) has no head for them.
    if logits is None and is_target[normals].any() and not is_target[normals].all():
        means = np.stack([own.X[own.clips == clip].mean(axis=0) for clip in normals])
        means = means if projection is None else projection.transform(means)
        domain = DomainClassifier().fit(means, is_target[normals])
    return SectionVectors(vectors, normals, is_target, projection, domain, logits)


@dataclass(frozen=True)
class SectionScores:
    """What a system says of a section.

    Args:
        moments: of its held-out scores of normals.
        normal: (M,) standardised scores of the section's normals; held-out ones of those it learns from.
        test, pseudo: standardised scores of test clips and of what stands for anomalies.
    """

    moments: Moments
    normal: np.ndarray
    test: np.ndarray
    pseudo: np.ndarray


def score_section(
    data: SectionVectors,
    model: Model,
    aggregators: list[str],
    fitting: Fitting,
    test: np.ndarray,
    pseudo: np.ndarray,
    by: str,
) -> dict[str, SectionScores]:
    """Fit a model on a section and score with it.

    Args:
        data: the section's vectors.
        model: which; it must have normals there.
        aggregators: of its systems.
        fitting: what it is fitted with.
        test, pseudo: clips.
        by: ``standardise.by``.

    Returns:
        Aggregator -> scores.

    Raises:
        UserError: the section has too few normals for the model.
    """
    own = data.vectors.of(data.normals)
    is_target = data.is_target[own.clips]
    held_scores, held_clips = fitting.held_out(model, own, is_target)
    detector = fitting.fit(model, own.X, is_target)
    wanted = data.vectors.of(np.concatenate([data.normals, test, pseudo]))
    scores = detector.score(wanted.X).copy()
    # A normal's own score must not come from a detector that has seen it.
    scores[np.isin(wanted.clips, held_clips)] = held_scores
    found = {}
    for aggregator in aggregators:
        clips, values = aggregate(aggregator, scores, wanted.clips)
        place = {int(clip): i for i, clip in enumerate(clips)}

        def pick(chosen: np.ndarray, values=values, place=place) -> np.ndarray:
            return values[[place[int(clip)] for clip in chosen]]

        moments = moments_of(pick(np.unique(held_clips)), f"{model.domain} domain")
        of_test = moments if by == "train" else moments_of(pick(np.unique(test)), "test")
        found[aggregator] = SectionScores(
            of_test,
            _scaled(pick(data.normals), moments),
            _scaled(pick(test), of_test),
            _scaled(pick(pseudo), moments),
        )
    return found


def _scaled(scores: np.ndarray, moments: Moments) -> np.ndarray:
    return (scores - moments.mean) / moments.deviation


def fitted(data: SectionVectors, model: Model, fitting: Fitting) -> Detector:
    """The detector of a section, fitted on all of its normals of the model's domain."""
    own = data.vectors.of(data.normals)
    return fitting.fit(model, own.X, data.is_target[own.clips])
