"""Which detection finds which object: greedy, by score, as COCO's evaluation does it. No MindSpore
here."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import iou

# Where a threshold is 1, boxes that are equal but for rounding still count.
_ALMOST_ONE = 1 - 1e-10


class Truths(NamedTuple):
    """True boxes.

    Args:
        frames: (G,) whole numbers of the frames they lie in.
        labels: (G,) class indices.
        boxes: (G, 4) x1, y1, x2, y2 in pixels, half-open.
    """

    frames: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


class Detections(NamedTuple):
    """Boxes that a detector has found.

    Args:
        frames: (D,) whole numbers of the frames.
        labels: (D,) class indices.
        boxes: (D, 4) x1, y1, x2, y2 in pixels, half-open.
        scores: (D,) higher is surer.
    """

    frames: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


class Matches(NamedTuple):
    """Detections in the order in which a curve takes them: by class, then by score, the best first;
    equal scores by frame, then as they were given.

    Args:
        order: (K,) their places among the detections given; those beyond the limit are left out.
        frames, labels, scores: (K,) in that order.
        truths: (T, K) the place of the true box that each one finds at each threshold, or -1.
    """

    order: np.ndarray
    frames: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    truths: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(T, K) whether a detection finds a true box."""
        return self.truths >= 0


def check_rows(truths: Truths, detections: Detections) -> tuple[Truths, Detections]:
    """Both as arrays of one type.

    Raises:
        ValueError: arrays of unlike length, labels or frames that are not whole, scores or edges that
            are not finite.
    """
    arrays = []
    for group in (truths, detections):
        whole = [np.asarray(part) for part in group[:2]]
        if any(len(part) and part.dtype.kind not in "iu" for part in whole):
            raise ValueError("frames and labels must be whole numbers")
        boxes = np.asarray(group[2], np.float64).reshape(-1, 4)
        numbers = [boxes, *(np.asarray(part, np.float64) for part in group[3:])]
        if len({len(part) for part in (*whole, *numbers)}) > 1:
            raise ValueError("frames, labels, boxes and scores must be of one length")
        if not all(np.isfinite(part).all() for part in numbers):
            raise ValueError("edges and scores must be finite numbers")
        arrays.append([*(part.astype(np.int64) for part in whole), *numbers])
    return Truths(*arrays[0]), Detections(*arrays[1])


def as_one_class(truths: Truths, detections: Detections) -> tuple[Truths, Detections]:
    """The same boxes without regard to their classes: all have the label 0."""
    return tuple(part._replace(labels=np.zeros_like(part.labels)) for part in (truths, detections))


def match(
    truths: Truths,
    detections: Detections,
    thresholds: Sequence[float] = (0.5,),
    max_detections: int | None = 100,
) -> Matches:
    """Match detections with true boxes of the same frame and class.

    The best detection comes first and takes the free true box that it overlaps most, if their IoU
    reaches the threshold; a true box is found once, so a second detection of it is a false one. Of true
    boxes that it overlaps alike, the last is taken.

    Args:
        truths, detections: boxes and classes.
        thresholds: T of IoU, above 0, at most 1.
        max_detections: of a frame and class, so many of the best count; None: all.

    Returns:
        The matches.

    Raises:
        ValueError: see ``check_rows``; a threshold out of range.

    Source: Lin et al. 2014 (COCO), its evaluation.
    """
    truths, detections = check_rows(truths, detections)
    limits = np.asarray(thresholds, np.float64)
    if limits.ndim != 1 or not ((limits > 0) & (limits <= 1)).all():
        raise ValueError(f"thresholds of IoU lie above 0, up to 1, not {thresholds}")
    # A group is what is matched together: the detections of a class in a frame, the best first.
    grouped = np.lexsort((-detections.scores, detections.labels, detections.frames))
    starts = _starts(detections.frames[grouped], detections.labels[grouped])
    found = np.full((len(limits), len(detections.scores)), -1, np.int64)
    kept = np.zeros(len(detections.scores), bool)
    where = _by_key(truths)
    for start, stop in pairwise(starts):
        rows = grouped[start:stop][:max_detections]
        kept[rows] = True
        key = int(detections.frames[rows[0]]), int(detections.labels[rows[0]])
        if key in where:
            overlaps = iou(detections.boxes[rows], truths.boxes[where[key]])
            places = _greedy(overlaps, np.minimum(limits, _ALMOST_ONE))
            found[:, rows] = np.where(places >= 0, where[key][places], -1)
    order = np.lexsort((detections.frames, -detections.scores, detections.labels))
    order = order[kept[order]]
    return Matches(
        order,
        detections.frames[order],
        detections.labels[order],
        detections.scores[order],
        found[:, order],
    )


def _starts(*columns: np.ndarray) -> np.ndarray:
    """Where runs of equal rows begin, and the end."""
    n = len(columns[0])
    changes = np.zeros(max(n - 1, 0), bool)
    for column in columns:
        changes |= column[1:] != column[:-1]
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [n]]) if n else np.zeros(1, np.int64)


def _by_key(truths: Truths) -> dict[tuple[int, int], np.ndarray]:
    """(frame, class) -> places of its true boxes, in the order given."""
    order = np.lexsort((truths.labels, truths.frames))
    starts = _starts(truths.frames[order], truths.labels[order])
    return {
        (int(truths.frames[order[a]]), int(truths.labels[order[a]])): order[a:b]
        for a, b in pairwise(starts)
    }


def _greedy(overlaps: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(T, D) the column that each row of (D, G) overlaps takes at each of T limits, or -1."""
    n_rows, n_columns = overlaps.shape
    taken = np.full((len(limits), n_rows), -1, np.int64)
    free = np.ones((len(limits), n_columns), bool)
    every = np.arange(len(limits))
    for row in np.flatnonzero(overlaps.max(axis=1) >= limits.min(initial=1.0)):
        open_ = np.where(free & (overlaps[row] >= limits[:, None]), overlaps[row], -1.0)
        # The last of the largest, as COCO's loop leaves it.
        best = n_columns - 1 - open_[:, ::-1].argmax(axis=1)
        hit = open_[every, best] >= 0
        taken[hit, row] = best[hit]
        free[every[hit], best[hit]] = False
    return taken
