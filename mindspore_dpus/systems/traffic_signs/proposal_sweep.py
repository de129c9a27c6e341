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
from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes, anchor_subset
from mindspore_dpus.deploy.proposals import Maps, propose
from mindspore_dpus.metrics.proposal_recall import proposal_recall


def write_maps(maps: Maps, path: Path) -> None:
    """Keep a frame's maps (``.npz``, not compressed: two megabytes for six anchors at stride 8)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.savez(file, scores=maps.scores, deltas=maps.deltas, frame=[maps.width, maps.height])


def read_maps(path: Path) -> Maps:
    """What ``write_maps`` has kept.

    Raises:
        UserError: the file is not there, or damaged.
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
        at_50, at_70 = proposal_recall(together[np.newaxis])[:, 0].tolist()
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
