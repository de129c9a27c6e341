"""A proposal network's maps -> boxes. Needs NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import clip, decode, nms, top_k


@dataclass(frozen=True)
class Maps:
    """What a proposal network says of one frame.

    Args:
        scores: (A, H, W) float32 logits.
        deltas: (4 A, H, W) float32.
        width, height: of the frame, in pixels.
    """

    scores: np.ndarray
    deltas: np.ndarray
    width: int
    height: int


@dataclass(frozen=True)
class Proposals:
    """Boxes of one frame, the best first.

    Args:
        boxes: (P, 4) float64.
        scores: (P,) float64 logits.
    """

    boxes: np.ndarray
    scores: np.ndarray


def propose(
    maps: Maps,
    anchors: np.ndarray,
    *,
    pre_nms_top_k: int | None,
    post_nms_top_k: int | None,
    nms_threshold: float,
    min_size: float = 0.0,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> Proposals:
    """Boxes from maps: the best anchors, moved, cut at the frame's edges, without near doubles.

    Args:
        maps: of a frame.
        anchors: (A, H, W, 4) of ``anchor_grid``.
        pre_nms_top_k: how many anchors are decoded, the best scores first; None: all (tensorpack:
            ``RPN.TEST_PRE_NMS_TOPK``; Detectron2: ``MODEL.RPN.PRE_NMS_TOPK_TEST``).
        post_nms_top_k: how many boxes are kept at most; None: all (``RPN.TEST_POST_NMS_TOPK``;
            ``MODEL.RPN.POST_NMS_TOPK_TEST``).
        nms_threshold: intersection over union with a better box above which a box goes
            (``RPN.PROPOSAL_NMS_THRESH``; ``MODEL.RPN.NMS_THRESH``).
        min_size: boxes that are narrower or lower go before suppression, in pixels (``RPN.MIN_SIZE``;
            ``MODEL.PROPOSAL_GENERATOR.MIN_SIZE``). Empty ones always go.
        weights: with which the deltas were coded.

    Raises:
        ValueError: maps and anchors are not of the same shape.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.3.
    """
    a, h, w = maps.scores.shape
    if anchors.shape != (a, h, w, 4) or maps.deltas.shape != (4 * a, h, w):
        raise ValueError(
            f"scores {maps.scores.shape}, deltas {maps.deltas.shape} and anchors {anchors.shape} are "
            "not of one network and frame"
        )
    scores = maps.scores.reshape(-1)
    rows = top_k(scores, pre_nms_top_k)
    anchor, place = np.divmod(rows, h * w)
    deltas = maps.deltas.reshape(a, 4, h * w)[anchor, :, place]
    boxes = clip(decode(deltas, anchors.reshape(-1, 4)[rows], weights), maps.width, maps.height)
    scores = scores[rows].astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = ((sides >= min_size) & (sides > 0)).all(axis=1)
    boxes, scores = boxes[large], scores[large]
    kept = nms(boxes, scores, nms_threshold, limit=post_nms_top_k)
    return Proposals(boxes[kept], scores[kept])
