"""Recall of proposals: how many true boxes have one that overlaps them enough. No MindSpore here."""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import iou


def best_overlaps(
    truth_frames: np.ndarray,
    truth_boxes: np.ndarray,
    frames: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    numbers: Sequence[int],
) -> np.ndarray:
    """The largest IoU of every true box with the best proposals of its frame.

    Args:
        truth_frames: (G,) whole numbers of the frames.
        truth_boxes: (G, 4).
        frames: (P,) whole numbers of the proposals' frames.
        boxes: (P, 4).
        scores: (P,); equal ones count in the order given.
        numbers: N; how many of a frame's best proposals count.

    Returns:
        (N, G); 0 where nothing overlaps.

    Raises:
        ValueError: a number below 1, or scores that are not finite.
    """
    if min(numbers, default=1) < 1:
        raise ValueError(f"numbers of proposals are at least 1, not {min(numbers)}")
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers")
    truth_frames, frames = np.asarray(truth_frames), np.asarray(frames)
    result = np.zeros((len(numbers), len(truth_frames)))
    order = np.lexsort((-scores, frames))
    for frame in np.unique(truth_frames):
        start, stop = np.searchsorted(frames, [frame, frame + 1], sorter=order)
        if start == stop:
            continue
        rows = np.flatnonzero(truth_frames == frame)
        overlaps = iou(truth_boxes[rows], boxes[order[start:stop]])
        best = np.maximum.accumulate(overlaps, axis=1)
        columns = np.minimum(numbers, stop - start) - 1
        result[:, rows] = best[:, columns].T
    return result


def proposal_recall(overlaps: np.ndarray, thresholds: Sequence[float] = (0.5, 0.7)) -> np.ndarray:
    """Share of the true boxes that a proposal overlaps enough.

    Args:
        overlaps: (N, G) of ``best_overlaps``.
        thresholds: T of IoU; equal is enough.

    Returns:
        (T, N); nan without true boxes.

    Source: the paper on traffic signs, section 4.1, which calls it precision.
    """
    limits = np.asarray(thresholds, np.float64)[:, None, None]
    if not overlaps.shape[1]:
        return np.full((len(limits), len(overlaps)), np.nan)
    return (overlaps >= limits).mean(axis=2)
