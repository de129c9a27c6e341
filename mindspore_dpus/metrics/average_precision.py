"""Precision-recall curves and average precision of matched detections. No MindSpore here."""

from typing import NamedTuple

import numpy as np

from mindspore_dpus.metrics.matching import Matches

# COCO's: 0.5, 0.55 ... 0.95, and recall 0, 0.01 ... 1.
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0.0, 1.0, 101)


class Curve(NamedTuple):
    """What a class's detections reach, the best first.

    Args:
        recall, precision: (K,) of the detections up to this one.
        scores: (K,) falling.
        interpolated: (101,) highest precision at a recall of 0, 0.01 ... 1 or more; 0 beyond the last.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    interpolated: np.ndarray


def _steps(
    hits: np.ndarray, n_truths: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(T, K) highest precision from each detection on, and how many of the recalls are reached by it."""
    weights = np.ones(hits.shape[1]) if weights is None else weights
    true = np.cumsum(hits * weights, axis=1)
    precision = true / np.maximum(np.cumsum(weights), np.finfo(np.float64).tiny)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, true / n_truths, side="right")
    return envelope, np.diff(reached, axis=1, prepend=0)


def interpolate(hits: np.ndarray, n_truths: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Highest precision at 101 recalls or more.

    Args:
        hits: (T, K) bool, the best detection first.
        n_truths: how many true boxes there are, above 0.
        weights: (K,) how often each detection counts (0: not at all); None: once.

    Returns:
        (T, 101); 0 beyond the last recall that is reached.

    Source: Lin et al. 2014 (COCO), its evaluation; the envelope is Everingham et al. 2010 (Pascal VOC),
    section 4.2.
    """
    result = np.zeros((len(hits), len(RECALLS)))
    for row, (envelope, new) in enumerate(zip(*_steps(hits, n_truths, weights), strict=True)):
        curve = np.repeat(envelope, new)
        result[row, : len(curve)] = curve
    return result


def average_precision(
    hits: np.ndarray, n_truths: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """(T,) means of ``interpolate``, sooner."""
    envelope, new = _steps(hits, n_truths, weights)
    return (envelope * new).sum(axis=1) / len(RECALLS)


def average_precisions(matches: Matches, truth_labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Average precision of every class at every threshold.

    Args:
        matches: of ``match``.
        truth_labels: (G,) class indices of the true boxes.
        n_classes: C.

    Returns:
        (T, C); nan for a class without true boxes, 0 for one without detections.
    """
    counts = np.bincount(truth_labels, minlength=n_classes)
    result = np.full((len(matches.truths), n_classes), np.nan)
    for label in np.flatnonzero(counts):
        part = slice(*np.searchsorted(matches.labels, [label, label + 1]))
        result[:, label] = average_precision(matches.hits[:, part], counts[label])
    return result


def precision_recall(
    matches: Matches, truth_labels: np.ndarray, label: int, threshold: int = 0
) -> Curve:
    """The curve of a class.

    Args:
        matches: of ``match``.
        truth_labels: (G,) class indices of the true boxes.
        label: the class; it has true boxes.
        threshold: the place of the threshold of IoU among those of ``matches``.

    Raises:
        ValueError: the class has no true box, so its recall means nothing.
    """
    n_truths = int((np.asarray(truth_labels) == label).sum())
    if not n_truths:
        raise ValueError(f"the class {label} has no true box")
    part = slice(*np.searchsorted(matches.labels, [label, label + 1]))
    hits = matches.hits[[threshold], part]
    true = np.cumsum(hits[0])
    ranks = np.arange(1, hits.shape[1] + 1)
    return Curve(
        true / n_truths, true / ranks, matches.scores[part], interpolate(hits, float(n_truths))[0]
    )
