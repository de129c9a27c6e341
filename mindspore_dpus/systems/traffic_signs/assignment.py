"""True boxes -> what every anchor has to say: sign, background or nothing, and how it has to move."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import encode, iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class AnchorTargets:
    """What a proposal network has to say of one image; the layout is that of its maps.

    Args:
        labels: (A, H, W) float32: 1 where an anchor is a sign, else 0.
        sampled: (A, H, W) float32: 1 where the anchor counts in the loss, else 0.
        deltas: (4 A, H, W) float32: the coded box of every positive anchor, t_x, t_y, t_w, t_h of the
            first anchor first; 0 elsewhere.
    """

    labels: np.ndarray
    sampled: np.ndarray
    deltas: np.ndarray


def assign_anchors(
    anchors: np.ndarray,
    boxes: np.ndarray,
    *,
    positive_from: float,
    negative_below: float,
    ignored: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decide for every anchor by its intersection over union with the true boxes.

    Positive from the upper threshold on, negative below the lower one, ignored between them. A true box
    that no anchor overlaps enough gets its best anchors (all that are equally good), whatever the
    thresholds say.

    Args:
        anchors: (N, 4).
        boxes: (G, 4) true boxes.
        positive_from: tensorpack ``RPN.POSITIVE_ANCHOR_THRESH``; Detectron2 the second of
            ``MODEL.RPN.IOU_THRESHOLDS``. Both 0.7; small signs on a coarse grid need less.
        negative_below: ``RPN.NEGATIVE_ANCHOR_THRESH``; the first of ``MODEL.RPN.IOU_THRESHOLDS``. 0.3.
        ignored: (I, 4) boxes of which nobody knows what they are, such as signs that the edge of a crop
            cuts; an anchor that overlaps one from ``negative_below`` on is ignored unless it is
            positive. None: there are none.

    Returns:
        labels: (N,) int8, ``POSITIVE``, ``NEGATIVE`` or ``IGNORED``.
        matched: (N,) int64, the true box of each anchor: that which it overlaps most, or which it is
            the best for. 0 where there is no box.

    Raises:
        ValueError: the lower threshold is above the upper one.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.2.
    """
    if not 0 <= negative_below <= positive_from <= 1:
        raise ValueError(
            f"0 <= negative_below <= positive_from <= 1 does not hold for {negative_below:g} and "
            f"{positive_from:g}"
        )
    labels = np.full(len(anchors), NEGATIVE, dtype=np.int8)
    matched = np.zeros(len(anchors), dtype=np.int64)
    if ignored is not None and len(ignored):
        labels[iou(anchors, ignored).max(axis=1) >= negative_below] = IGNORED
    if len(boxes) == 0:
        return labels, matched
    overlaps = iou(anchors, boxes)
    matched = overlaps.argmax(axis=1)
    best = overlaps.max(axis=1)
    labels[(best >= negative_below) & (best < positive_from)] = IGNORED
    labels[best >= positive_from] = POSITIVE
    for box in range(len(boxes)):
        top = overlaps[:, box].max()
        if 0 < top < positive_from:
            rows = np.flatnonzero(overlaps[:, box] == top)
            labels[rows] = POSITIVE
            matched[rows] = box
    return labels, matched


def sample_anchors(
    labels: np.ndarray, size: int, positive_share: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the anchors that count: positives up to their share, and negatives for the rest.

    Args:
        labels: (N,) of ``assign_anchors``.
        size: anchors of one image (tensorpack ``RPN.BATCH_PER_IM``; Detectron2
            ``MODEL.RPN.BATCH_SIZE_PER_IMAGE``). 256.
        positive_share: largest share of positives (``RPN.FG_RATIO``; ``MODEL.RPN.POSITIVE_FRACTION``).
            0.5.
        rng: draws without replacement.

    Returns:
        (N,) bool. Fewer than ``size`` where there are not enough negatives.

    Source: Ren et al. 2015, section 3.1.3.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    positives, negatives = np.flatnonzero(labels == POSITIVE), np.flatnonzero(labels == NEGATIVE)
    n_positive = min(int(size * positive_share), len(positives))
    n_negative = min(size - n_positive, len(negatives))
    chosen[rng.choice(positives, n_positive, replace=False)] = True
    chosen[rng.choice(negatives, n_negative, replace=False)] = True
    return chosen


def regression_targets(
    anchors: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    matched: np.ndarray,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> np.ndarray:
    """The coded true box of every positive anchor.

    Args:
        anchors: (N, 4).
        boxes: (G, 4) true boxes.
        labels, matched: (N,) of ``assign_anchors``.
        weights: of ``encode``.

    Returns:
        (N, 4) float64; 0 for all others.
    """
    deltas = np.zeros((len(anchors), 4))
    rows = np.flatnonzero(labels == POSITIVE)
    if len(rows):
        deltas[rows] = encode(np.asarray(boxes)[matched[rows]], np.asarray(anchors)[rows], weights)
    return deltas


def anchor_targets(
    anchors: np.ndarray,
    boxes: np.ndarray,
    rng: np.random.Generator,
    *,
    positive_from: float,
    negative_below: float,
    size: int,
    positive_share: float,
    ignored: np.ndarray | None = None,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> AnchorTargets:
    """All of the above, in the layout of the network's maps.

    Args:
        anchors: (A, H, W, 4) of ``anchor_grid``.
        boxes: (G, 4) true boxes.
        rng: draws the anchors that count.
        positive_from, negative_below, ignored: of ``assign_anchors``.
        size, positive_share: of ``sample_anchors``.
        weights: of ``encode``.
    """
    shape = anchors.shape[:3]
    flat = anchors.reshape(-1, 4)
    labels, matched = assign_anchors(
        flat, boxes, positive_from=positive_from, negative_below=negative_below, ignored=ignored
    )
    sampled = sample_anchors(labels, size, positive_share, rng)
    deltas = regression_targets(flat, boxes, labels, matched, weights).reshape(*shape, 4)
    return AnchorTargets(
        labels=(labels == POSITIVE).reshape(shape).astype(np.float32),
        sampled=sampled.reshape(shape).astype(np.float32),
        deltas=deltas.transpose(0, 3, 1, 2).reshape(-1, *shape[1:]).astype(np.float32),
    )
