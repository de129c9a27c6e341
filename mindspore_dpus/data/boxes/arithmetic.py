"""Box arithmetic, once for the whole package: areas, overlaps, coding, suppression.

A box is a row x1, y1, x2, y2 of a float array (N, 4) in pixels, half-open: it is x2 - x1 wide.
MindSpore's ``iou`` and ``BoundingBoxEncode`` add a pixel to every width, its ``NMSWithMask`` does not;
none is used.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

# The largest factor by which decoding may enlarge a side: Detectron2's SCALE_CLAMP, 1000 / 16, and
# tensorpack's BBOX_DECODE_CLIP, with which an untrained network cannot overflow the exponential.
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def as_boxes(boxes: np.ndarray) -> np.ndarray:
    """The boxes as float64.

    Args:
        boxes: (N, 4) numbers; an empty list is no box.

    Raises:
        ValueError: another shape.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0 and array.ndim <= 2:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes are an array (N, 4), not {array.shape}")
    return array


def area(boxes: np.ndarray) -> np.ndarray:
    """Areas of boxes, in square pixels.

    Args:
        boxes: (N, 4).

    Returns:
        (N,) float64; 0 where a box is empty or its corners are swapped.
    """
    boxes = as_boxes(boxes)
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0.0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0.0)


def intersection(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Area that every box shares with every other one.

    Args:
        boxes: (N, 4).
        others: (M, 4).

    Returns:
        (N, M) float64, square pixels.
    """
    boxes, others = as_boxes(boxes), as_boxes(others)
    left = np.maximum(boxes[:, None, 0], others[None, :, 0])
    width = np.minimum(boxes[:, None, 2], others[None, :, 2])
    width -= left
    np.maximum(width, 0.0, out=width)
    top = np.maximum(boxes[:, None, 1], others[None, :, 1])
    height = np.minimum(boxes[:, None, 3], others[None, :, 3])
    height -= top
    np.maximum(height, 0.0, out=height)
    width *= height
    return width


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every box with every other one.

    Args:
        boxes: (N, 4).
        others: (M, 4).

    Returns:
        (N, M) float64 in [0, 1]; 0 where both boxes are empty.
    """
    shared = intersection(boxes, others)
    union = area(boxes)[:, None] + area(others)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def paired_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of the first box with the first other one, of the second with the second.

    Args:
        boxes, others: (N, 4).

    Returns:
        (N,) float64; 0 where both boxes are empty.
    """
    boxes, others = as_boxes(boxes), as_boxes(others)
    shared = area(
        np.concatenate(
            [np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])], axis=1
        )
    )
    union = area(boxes) + area(others) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def clip(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """The parts of boxes that lie in a frame.

    Args:
        boxes: (N, 4).
        width, height: of the frame, in pixels.

    Returns:
        (N, 4) float64; a box outside the frame becomes an empty one on its edge.
    """
    return np.clip(as_boxes(boxes), 0.0, np.array([width, height, width, height], dtype=np.float64))


def _centres(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes[:, 0] + width / 2, boxes[:, 1] + height / 2, width, height


def encode(
    boxes: np.ndarray, anchors: np.ndarray, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)
) -> np.ndarray:
    """What a regressor has to say to turn anchors into boxes.

    ``t_x = w_x (x - x_a) / width_a`` and ``t_w = w_w log(width / width_a)``, x the centre; the same for
    y and height.

    Args:
        boxes: (N, 4), each wider and higher than 0.
        anchors: (N, 4), one for each box, each wider and higher than 0.
        weights: factors of t_x, t_y, t_w, t_h (Detectron2: ``BBOX_REG_WEIGHTS``).

    Returns:
        (N, 4) float64: t_x, t_y, t_w, t_h.

    Raises:
        ValueError: a box or an anchor is empty.

    Source: Ren et al. 2015 (Faster R-CNN), Eq. 2.
    """
    boxes, anchors = as_boxes(boxes), as_boxes(anchors)
    if (area(boxes) <= 0).any() or (area(anchors) <= 0).any():
        raise ValueError("an empty box cannot be coded")
    x, y, width, height = _centres(boxes)
    x_a, y_a, width_a, height_a = _centres(anchors)
    deltas = np.stack(
        [(x - x_a) / width_a, (y - y_a) / height_a, np.log(width / width_a), np.log(height / height_a)],
        axis=1,
    )
    return deltas * np.asarray(weights, dtype=np.float64)


def decode(
    deltas: np.ndarray,
    anchors: np.ndarray,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    max_log_scale: float = MAX_LOG_SCALE,
) -> np.ndarray:
    """Boxes from what a regressor says of anchors: the inverse of ``encode``.

    Args:
        deltas: (N, 4): t_x, t_y, t_w, t_h.
        anchors: (N, 4).
        weights: as in ``encode``.
        max_log_scale: t_w and t_h, divided by their weights, count as this where they are larger.

    Returns:
        (N, 4) float64.
    """
    deltas = as_boxes(deltas) / np.asarray(weights, dtype=np.float64)
    x_a, y_a, width_a, height_a = _centres(as_boxes(anchors))
    width = width_a * np.exp(np.minimum(deltas[:, 2], max_log_scale))
    height = height_a * np.exp(np.minimum(deltas[:, 3], max_log_scale))
    left = x_a + deltas[:, 0] * width_a - width / 2
    top = y_a + deltas[:, 1] * height_a - height / 2
    return np.stack([left, top, left + width, top + height], axis=1)


def top_k(scores: np.ndarray, k: int | None = None) -> np.ndarray:
    """Rows of the k largest scores, the largest first; of equal ones, the earlier row first.

    Args:
        scores: (N,) numbers, none of them NaN.
        k: how many, at least 1; None, or more than there are: all.

    Returns:
        (min(k, N),) int64 rows.

    Raises:
        ValueError: another shape, a NaN, or k below 1.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1:
        raise ValueError(f"scores are an array (N,), not {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    if k is not None and k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    if k is None or k >= len(scores):
        return np.argsort(-scores, kind="stable")
    # All above the k-th largest score, and the first rows of those equal to it.
    limit = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > limit)
    equal = np.flatnonzero(scores == limit)[: k - len(above)]
    return np.concatenate([above[np.argsort(-scores[above], kind="stable")], equal])


def nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    *,
    classes: np.ndarray | None = None,
    limit: int | None = None,
) -> np.ndarray:
    """Non-maximum suppression: keep the best box, drop all that overlap it by more, and so on.

    Greedy and exact.

    Args:
        boxes: (N, 4).
        scores: (N,); of equal ones, the earlier row wins.
        threshold: a box goes whose intersection over union with a kept one is larger.
        classes: (N,) only boxes of equal classes suppress each other; None: all do.
        limit: stop when as many are kept, at least 1; None: keep all. For classes: of all together.

    Returns:
        (K,) int64 rows of the kept boxes, the largest score first.

    Raises:
        ValueError: lengths differ, a score is NaN, or the limit is below 1.
    """
    boxes, scores = as_boxes(boxes), np.asarray(scores)
    if scores.shape != (len(boxes),):
        raise ValueError(f"{len(boxes)} boxes have scores of the shape {scores.shape}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    labels = np.zeros(len(boxes), dtype=np.int64)
    if classes is not None:
        if np.shape(classes) != (len(boxes),):
            raise ValueError(f"{len(boxes)} boxes have classes of the shape {np.shape(classes)}")
        labels = np.unique(classes, return_inverse=True)[1].astype(np.int64)
    order = top_k(scores)
    sorted_boxes = boxes[order]
    stop = len(boxes) if limit is None else limit
    kept = _compiled_suppress()(sorted_boxes, area(sorted_boxes), labels[order], float(threshold), stop)
    return order[kept]


def _suppress(
    boxes: np.ndarray, areas: np.ndarray, labels: np.ndarray, threshold: float, stop: int
) -> np.ndarray:
    """Places of the boxes that are kept of those that come in the order of their scores."""
    kept = np.empty(min(stop, len(boxes)), dtype=np.int64)
    n_kept = 0
    for i in range(len(boxes)):
        if n_kept == stop:
            break
        alive = True
        for k in range(n_kept):
            j = kept[k]
            if labels[j] != labels[i]:
                continue
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            if width <= 0.0:
                continue
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if height <= 0.0:
                continue
            shared = width * height
            # The quotient of ``iou``: a value on the threshold falls on the same side.
            if shared / (areas[i] + areas[j] - shared) > threshold:
                alive = False
                break
        if alive:
            kept[n_kept] = i
            n_kept += 1
    return kept[:n_kept]


@functools.cache
def _compiled_suppress() -> Callable:
    """``_suppress`` as machine code.

    A loop, because blocks of NumPy take four to ten times as long where thousands of boxes are kept (a
    sweep over proposals does that for every frame and row). Without the liberties of
    ``models.kernels.machine_code``: nothing is summed up here, and every process gets the same boxes.
    """
    # Imported late: numba takes a second, and who only reads boxes does not need it.
    from numba import njit

    from mindspore_dpus.models.kernels.machine_code import interruptible

    try:
        kernel = njit(cache=True)(_suppress)
    except RuntimeError:  # "no locator available": a read-only installation without a home
        kernel = njit(_suppress)
    return interruptible(kernel)
