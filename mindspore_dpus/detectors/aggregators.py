"""From the scores of a clip's segments to the clip's score; one row of ``AGGREGATORS`` each."""

import numpy as np

from mindspore_dpus.core.errors import UserError


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over the last axis."""
    return scores.mean(axis=-1)


def maximum(scores: np.ndarray) -> np.ndarray:
    """Largest of the last axis."""
    return scores.max(axis=-1)


def median(scores: np.ndarray) -> np.ndarray:
    """Median of the last axis."""
    return np.median(scores, axis=-1)


def mean_above_median(scores: np.ndarray) -> np.ndarray:
    """Mean of the segments at or above the median: of an odd number the middle one counts, and equal
    scores have a mean at all."""
    above = scores >= np.median(scores, axis=-1, keepdims=True)
    return np.where(above, scores, 0).sum(axis=-1) / above.sum(axis=-1)


# Each takes (..., S) scores of S segments and gives (...).
AGGREGATORS = {
    "mean": mean,
    "max": maximum,
    "median": median,
    "mean_above_median": mean_above_median,
}


def aggregate(name: str, scores: np.ndarray, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of clips, however many segments each has.

    Args:
        name: key of ``AGGREGATORS``.
        scores: (N,) of segments.
        clips: (N,) the clip of each segment.

    Returns:
        The clips (C,), in the order in which they come first, and their scores (C,).

    Raises:
        UserError: the name is unknown.
    """
    if name not in AGGREGATORS:
        raise UserError(f"aggregator {name!r} is unknown; there are {', '.join(AGGREGATORS)}")
    scores = np.asarray(scores, np.float64)
    names, first, clip_of_row = np.unique(clips, return_index=True, return_inverse=True)
    rows = np.argsort(clip_of_row, kind="stable")
    parts = np.split(scores[rows], np.cumsum(np.bincount(clip_of_row))[:-1]) if len(rows) else []
    order = np.argsort(first)
    values = np.array([AGGREGATORS[name](part) for part in parts], np.float64)
    return names[order], values[order]
