"""A proposal network's maps -> boxes, and how good they are: Table 5 without new training."""

import itertools
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.arithmetic import clip, decode, iou, nms, top_k
from mindspore_dpus.systems.traffic_signs.anchors import anchor_grid, anchor_shapes, anchor_subset

RECALL_AT = (0.5, 0.7)


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


def write_maps(maps: Maps, path: Path) -> None:
    """Keep a frame's maps (``.npz``, not compressed: two megabytes for six anchors at stride 8)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.savez(file, scores=maps.scores, deltas=maps.deltas, frame=[maps.width, maps.height])


def read_maps(path: Path) -> Maps:
    """What ``write_maps`` has kept.

    Raises:
        UserError: the file is not there, or torn.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            width, height = file["frame"].tolist()
            return Maps(file["scores"], file["deltas"], width, height)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} holds no maps of a proposal network ({reason}): make them again"
        ) from None


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


def best_overlaps(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For every true box, the largest intersection over union with any of the boxes.

    Args:
        boxes: (P, 4).
        truth: (G, 4).

    Returns:
        (G,) float64; 0 where there are no boxes.
    """
    if len(boxes) == 0:
        return np.zeros(len(truth))
    return iou(truth, boxes).max(axis=1)


def recall(overlaps: np.ndarray, thresholds: Sequence[float] = RECALL_AT) -> list[float]:
    """Share of the true boxes that a proposal overlaps by at least so much; NaN without true boxes.

    Args:
        overlaps: (G,) of ``best_overlaps``, of all frames.
        thresholds: of intersection over union.

    Source: section 4.1 of the paper, which calls it precision.
    """
    return [float((overlaps >= t).mean()) if len(overlaps) else float("nan") for t in thresholds]


@dataclass(frozen=True)
class SweepRow:
    """One row of Table 5: which proposals are made.

    Args:
        ratios, sizes: of the anchors; those that the network was trained with, or some of them.
        pre_nms_top_k, post_nms_top_k, nms_threshold: of ``propose``.
    """

    ratios: tuple[float, ...]
    sizes: tuple[float, ...]
    pre_nms_top_k: int
    post_nms_top_k: int
    nms_threshold: float


def sweep_rows(
    ratios: Iterable[Sequence[float]],
    sizes: Iterable[Sequence[float]],
    pre_nms_top_k: Iterable[int],
    post_nms_top_k: Iterable[int],
    nms_thresholds: Iterable[float],
) -> list[SweepRow]:
    """All combinations of what Table 5 varies."""
    return [
        SweepRow(tuple(ratio), tuple(size), pre, post, threshold)
        for ratio, size, pre, post, threshold in itertools.product(
            ratios, sizes, pre_nms_top_k, post_nms_top_k, nms_thresholds
        )
    ]


def sweep(
    rows: Sequence[SweepRow],
    frames: Sequence[str],
    read: Callable[[str], Maps],
    truth: dict[str, np.ndarray],
    *,
    sizes: Sequence[float],
    ratios: Sequence[float],
    stride: int,
    offset: float = 0.0,
    min_size: float = 0.0,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    told: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Table 5 over saved maps: nothing is trained or run through the network again.

    Memory holds the maps of one frame at a time.

    Args:
        rows: what is tried.
        frames: their names.
        read: name of a frame -> its maps.
        truth: name of a frame -> its true boxes (G, 4).
        sizes, ratios: with which the network was trained, in its order.
        stride, offset: of ``anchor_grid``.
        min_size, weights: of ``propose``.
        told: called after every frame with the number of those that are done, and of all.

    Returns:
        A row for each of ``rows``: its settings; ``recall_50`` and ``recall_70``, shares of all true
        boxes; ``boxes``, their number; ``proposals`` and ``seconds``, means of a frame (from maps to
        proposals, without the network).

    Raises:
        ValueError: a row names an anchor that the network was trained without, or maps are of another
            number of anchors.
    """
    subsets = [anchor_subset(sizes, ratios, row.sizes, row.ratios) for row in rows]
    shapes = anchor_shapes(sizes, ratios)
    overlaps: list[list[np.ndarray]] = [[] for _ in rows]
    numbers, seconds = np.zeros(len(rows)), np.zeros(len(rows))
    for done, frame in enumerate(frames):
        maps = read(frame)
        if len(maps.scores) != len(shapes):
            raise ValueError(
                f"{frame}: maps of {len(maps.scores)} anchors; the settings have {len(shapes)}"
            )
        grid = anchor_grid(shapes, *maps.scores.shape[1:], stride, offset)
        for i, (row, subset) in enumerate(zip(rows, subsets, strict=True)):
            begin = time.perf_counter()
            found = propose(
                take_anchors(maps, subset),
                grid[subset],
                pre_nms_top_k=row.pre_nms_top_k,
                post_nms_top_k=row.post_nms_top_k,
                nms_threshold=row.nms_threshold,
                min_size=min_size,
                weights=weights,
            )
            seconds[i] += time.perf_counter() - begin
            numbers[i] += len(found.boxes)
            overlaps[i].append(best_overlaps(found.boxes, truth[frame]))
        told(done + 1, len(frames))
    table = []
    for i, row in enumerate(rows):
        together = np.concatenate(overlaps[i]) if overlaps[i] else np.empty(0)
        at_50, at_70 = recall(together)
        table.append(
            {
                "anchor_ratios": row.ratios,
                "anchor_sizes": row.sizes,
                "pre_nms_top_k": row.pre_nms_top_k,
                "post_nms_top_k": row.post_nms_top_k,
                "nms_threshold": row.nms_threshold,
                "recall_50": at_50,
                "recall_70": at_70,
                "boxes": len(together),
                "proposals": numbers[i] / max(len(frames), 1),
                "seconds": seconds[i] / max(len(frames), 1),
            }
        )
    return pd.DataFrame(table)


def take_anchors(maps: Maps, places: np.ndarray) -> Maps:
    """The maps of some of the anchors.

    Args:
        maps: of A anchors.
        places: (B,) which of them (``anchors.anchor_subset``).
    """
    h, w = maps.scores.shape[1:]
    deltas = maps.deltas.reshape(-1, 4, h, w)[places].reshape(-1, h, w)
    return Maps(maps.scores[places], deltas, maps.width, maps.height)
