"""Proposals -> regions of background and signs that the two networks learn from (section 4.2.2)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mindspore_dpus.data.boxes.arithmetic import as_boxes, iou

BACKGROUND = "background"
COLUMNS = ["path", "x1", "y1", "x2", "y2", "label", "split", "group"]


def whole_pixels(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """The nearest boxes with whole corners in the frame, at least a pixel wide and high.

    Args:
        boxes: (N, 4).
        width, height: of the frame, in pixels.

    Returns:
        (N, 4) int64.
    """
    rounded = np.rint(as_boxes(boxes)).astype(np.int64)
    start = np.clip(rounded[:, :2], 0, [width - 1, height - 1])
    end = np.maximum(np.minimum(rounded[:, 2:], [width, height]), start + 1)
    return np.concatenate([start, end], axis=1)


def judge(
    boxes: np.ndarray, truth: np.ndarray, background_below: float, sign_from: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes are background and which show a sign; those between the thresholds are neither.

    Args:
        boxes: (N, 4).
        truth: (G, 4) all true boxes of the frame.
        background_below: background overlaps no true box by as much.
        sign_from: a sign's intersection over union with a true box is at least this.

    Returns:
        background: (N,) bool.
        sign: (N,) int64, the true box that it shows; -1 for none.

    Raises:
        ValueError: the lower threshold is above the upper one.
    """
    if not 0 < background_below <= sign_from <= 1:
        raise ValueError(
            f"0 < background_below <= sign_from <= 1 does not hold for {background_below:g} and "
            f"{sign_from:g}"
        )
    if len(truth) == 0:
        return np.ones(len(boxes), dtype=bool), np.full(len(boxes), -1, dtype=np.int64)
    overlaps = iou(boxes, truth)
    best = overlaps.max(axis=1)
    return best < background_below, np.where(best >= sign_from, overlaps.argmax(axis=1), -1)


def mine_regions(
    proposals: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    rng: np.random.Generator,
    *,
    path: str,
    split: str,
    width: int,
    height: int,
    n_background: float,
    background_below: float = 0.2,
    sign_from: float = 0.6,
) -> pd.DataFrame:
    """Background and signs out of one frame's proposals.

    All signs are taken. Of background, each box falls to a dice with the probability ``n_background``
    divided by the number of the frame's background boxes, so that frames with few and with many give as
    much on average. Boxes are first rounded to whole pixels; the thresholds hold for what is returned.
    Boxes that are the same after that count once.

    Args:
        proposals: (P, 4) of the frame, or what the place filter leaves of them.
        truth: (G, 4) its true boxes, of all classes.
        labels: G class names.
        rng: the dice.
        path: of the frame's file; also the group, so that no frame comes into two splits.
        split: of the frame.
        width, height: of the frame, in pixels.
        n_background: n, background boxes that a frame gives on average.
        background_below, sign_from: of ``judge``; 0.2 and 0.6 are the paper's two thresholds.

    Returns:
        Rows path, x1, y1, x2, y2 (whole pixels, half-open), label (a class or ``background``), split,
        group.

    Raises:
        ValueError: thresholds that contradict each other, labels of another number, or n below 0.

    Source: section 4.2.2 of the paper, steps 1 to 4.
    """
    if len(labels) != len(truth):
        raise ValueError(f"{path}: {len(truth)} true boxes have {len(labels)} labels")
    if n_background < 0:
        raise ValueError(f"n_background is {n_background:g}; it must not be below 0")
    boxes = np.unique(whole_pixels(proposals, width, height), axis=0)
    background, sign = judge(boxes, truth, background_below, sign_from)
    number = int(background.sum())
    thrown = rng.random(number) < n_background / max(number, 1)
    drawn = np.flatnonzero(background)[thrown]
    shown = np.flatnonzero(sign >= 0)
    table = pd.DataFrame(boxes[np.concatenate([shown, drawn])], columns=["x1", "y1", "x2", "y2"])
    table["label"] = [labels[i] for i in sign[shown]] + [BACKGROUND] * len(drawn)
    return table.assign(path=path, split=split, group=path)[COLUMNS]


def mine_frames(
    proposals: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    labels: Sequence[Sequence[str]],
    seed: int | Sequence[int],
    *,
    paths: Sequence[str],
    splits: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    n_background: Sequence[float],
    background_below: float = 0.2,
    sign_from: float = 0.6,
) -> pd.DataFrame:
    """Background and signs out of many frames.

    Each frame has a random generator of its own, so that what it gives does not depend on the others.

    Args:
        proposals, truth, labels, paths, splits: of every frame, as for ``mine_regions``.
        seed: of the dice.
        sizes: width and height of every frame.
        n_background: background boxes that every frame gives on average; fewer where it has not enough.
        background_below, sign_from: of ``judge``.

    Returns:
        As ``mine_regions``, frame after frame.

    Source: section 4.2.2 of the paper; its step 5 repeats until there are 50,000 of each class
    (here: ``regions.train_background``).
    """
    base = [seed] if isinstance(seed, int) else list(seed)
    tables = [
        mine_regions(
            found,
            true,
            names,
            np.random.default_rng([*base, i]),
            path=path,
            split=split,
            width=size[0],
            height=size[1],
            n_background=n,
            background_below=background_below,
            sign_from=sign_from,
        )
        for i, (found, true, names, path, split, size, n) in enumerate(
            zip(proposals, truth, labels, paths, splits, sizes, n_background, strict=True)
        )
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
