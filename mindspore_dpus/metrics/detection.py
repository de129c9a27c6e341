"""Mean average precision and its bootstrap interval over frames. No MindSpore here.

Equal to COCO's evaluation (101 recalls, boxes of every area). A class without true boxes has no average
precision and does not count in a mean; one without detections has 0, and does.
"""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.metrics.average_precision import (
    IOU_THRESHOLDS,
    average_precision,
    average_precisions,
)
from mindspore_dpus.metrics.matching import Detections, Truths, as_one_class, check_rows, match

# Name -> where it stands among IOU_THRESHOLDS: all of them, 0.5, 0.7.
LEVELS = {"": slice(None), "_50": slice(0, 1), "_70": slice(4, 5)}
FREQUENT = "_frequent"
METRICS = (
    *(f"map{level}" for level in LEVELS),
    *(f"map{level}{FREQUENT}" for level in LEVELS),
    *(f"ap{level}_agnostic" for level in LEVELS),
)


def mean_average_precision(precisions: np.ndarray, counts: np.ndarray, least: int = 1) -> float:
    """Mean over the classes that have enough true boxes.

    Args:
        precisions: (T, C) of ``average_precisions``.
        counts: (C,) true boxes of each class.
        least: how many a class needs to count.

    Returns:
        0..1; nan where no class has so many.
    """
    chosen = precisions[:, (counts >= max(least, 1)) & ~np.isnan(precisions).all(axis=0)]
    return float(chosen.mean()) if chosen.size else float("nan")


def detection_metrics(
    truths: Truths,
    detections: Detections,
    n_classes: int,
    *,
    least: int = 5,
    max_detections: int | None = 100,
) -> dict[str, float]:
    """All of ``METRICS``.

    Args:
        truths, detections: boxes and classes.
        n_classes: C.
        least: true boxes that a class needs to count in the metrics of frequent classes.
        max_detections: of a frame and class, so many of the best count; of the class-agnostic metrics,
            of a frame. None: all.

    Returns:
        ``map``: mean over the classes and the thresholds 0.5, 0.55 ... 0.95 of IoU; ``map_50`` and
        ``map_70``: at one of them; ``..._frequent``: over the classes with ``least`` true boxes or more;
        ``ap..._agnostic``: of one class that they all are.

    Raises:
        ValueError: a label that is not below ``n_classes``; what ``match`` refuses.
    """
    scored = _Scored(truths, detections, n_classes, max_detections)
    return scored.metrics(scored.precisions(None), scored.precisions_agnostic(None), least)


def per_class(
    truths: Truths, detections: Detections, n_classes: int, max_detections: int | None = 100
) -> dict[str, np.ndarray]:
    """Average precision of each class, and how many boxes it has.

    Args:
        truths, detections, n_classes, max_detections: as in ``detection_metrics``.

    Returns:
        ``ap`` (mean over the thresholds), ``ap_50``, ``ap_70``: (C,), nan without true boxes; ``truths``
        and ``detections``: (C,) numbers.
    """
    scored = _Scored(truths, detections, n_classes, max_detections)
    precisions = scored.precisions(None)
    table = {f"ap{level}": precisions[part].mean(axis=0) for level, part in LEVELS.items()}
    found = np.bincount(np.asarray(detections.labels, np.int64), minlength=n_classes)
    return table | {"truths": scored.counts, "detections": found}


def bootstrap_detection(
    truths: Truths,
    detections: Detections,
    n_classes: int,
    frames: Sequence[int],
    *,
    least: int = 5,
    max_detections: int | None = 100,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, dict[str, float]]:
    """``detection_metrics`` with percentile intervals of a bootstrap over frames.

    Signs of one frame are no independent draws, so whole frames are drawn. A class that a replicate does
    not draw does not count in that replicate's mean; which classes are frequent is settled on all
    frames.

    Args:
        truths, detections, n_classes, least, max_detections: as in ``detection_metrics``.
        frames: (F,) the numbers of all frames, also of those without boxes.
        n_bootstrap: replicates, each of F frames with repetition. 0: no intervals.
        confidence: coverage.
        random_state: seed; equal seeds compare detectors on equal replicates.

    Returns:
        Metric -> ``{"value", "low", "high"}``.

    Raises:
        ValueError: a box lies in no frame of ``frames``; what ``match`` refuses.
    """
    scored = _Scored(truths, detections, n_classes, max_detections)
    names = np.unique(np.asarray(frames, np.int64))
    if len(names) < len(frames):
        raise ValueError("a frame is given more than once")
    for part in (truths.frames, detections.frames):
        if len(outside := np.setdiff1d(part, names)):
            raise ValueError(f"the frame {outside[0]} is not among the frames")
    values = scored.metrics(scored.precisions(None), scored.precisions_agnostic(None), least)
    if n_bootstrap == 0:
        return {name: {"value": value} for name, value in values.items()}
    rng = np.random.default_rng(random_state)
    scored.locate(names)
    replicates = []
    for _ in range(n_bootstrap):
        drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        weights = drawn.astype(np.float64)
        found = scored.metrics(scored.precisions(weights), scored.precisions_agnostic(weights), least)
        replicates.append([found[name] for name in values])
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = _quantiles(np.array(replicates), tails)
    return {
        name: {"value": value, "low": float(low[i]), "high": float(high[i])}
        for i, (name, value) in enumerate(values.items())
    }


def _quantiles(replicates: np.ndarray, tails: Sequence[float]) -> np.ndarray:
    """Quantiles of each column over its rows that are numbers; nan where there is none."""
    result = np.full((len(tails), replicates.shape[1]), np.nan)
    for i, column in enumerate(replicates.T):
        if (known := column[~np.isnan(column)]).size:
            result[:, i] = np.quantile(known, tails)
    return result


class _Scored:
    """Detections matched once, with and without regard to the class; curves are drawn from them again
    and again, each frame as often as a replicate has drawn it."""

    def __init__(
        self, truths: Truths, detections: Detections, n_classes: int, max_detections: int | None
    ) -> None:
        truths, detections = check_rows(truths, detections)
        labels = truths.labels, detections.labels
        for part in labels:
            if len(part) and not 0 <= part.min() <= part.max() < n_classes:
                raise ValueError(f"a label lies outside of 0 to {n_classes - 1}")
        self.truths = truths
        self.counts = np.bincount(labels[0], minlength=n_classes)
        self.matches = match(truths, detections, IOU_THRESHOLDS, max_detections)
        self.agnostic = match(*as_one_class(truths, detections), IOU_THRESHOLDS, max_detections)

    def locate(self, names: np.ndarray) -> None:
        """Remember where each box's frame stands among the sorted numbers of all frames."""
        self._truth_rows = np.searchsorted(names, self.truths.frames)
        self._rows, self._agnostic_rows = (
            np.searchsorted(names, part.frames) for part in (self.matches, self.agnostic)
        )
        edges = np.arange(len(self.counts) + 1)
        self._parts = np.searchsorted(self.matches.labels, edges)
        self._truths_of = [self._truth_rows[self.truths.labels == c] for c in range(len(self.counts))]

    def precisions(self, weights: np.ndarray | None) -> np.ndarray:
        """(T, C) average precisions; ``weights``: (F,) how often each frame counts, None: once."""
        if weights is None:
            return average_precisions(self.matches, self.truths.labels, len(self.counts))
        result = np.full((len(IOU_THRESHOLDS), len(self.counts)), np.nan)
        hits = self.matches.hits
        for label in np.flatnonzero(self.counts):
            n_truths = weights[self._truths_of[label]].sum()
            if n_truths:
                part = slice(self._parts[label], self._parts[label + 1])
                factors = weights[self._rows[part]]
                result[:, label] = average_precision(hits[:, part], n_truths, factors)
        return result

    def precisions_agnostic(self, weights: np.ndarray | None) -> np.ndarray:
        """(T, 1) average precisions without regard to the class."""
        n_truths = len(self.truths.frames) if weights is None else weights[self._truth_rows].sum()
        if not n_truths:
            return np.full((len(IOU_THRESHOLDS), 1), np.nan)
        factors = None if weights is None else weights[self._agnostic_rows]
        return average_precision(self.agnostic.hits, float(n_truths), factors)[:, None]

    def metrics(self, precisions: np.ndarray, agnostic: np.ndarray, least: int) -> dict[str, float]:
        """The metrics' values, from average precisions."""
        values = {}
        for level, part in LEVELS.items():
            values[f"map{level}"] = mean_average_precision(precisions[part], self.counts)
        for level, part in LEVELS.items():
            values[f"map{level}{FREQUENT}"] = mean_average_precision(
                precisions[part], self.counts, least
            )
        for level, part in LEVELS.items():
            values[f"ap{level}_agnostic"] = float(agnostic[part].mean())
        return values
