"""Do heatmaps point at the annotated flaws? Peaks and heat against boxes. No MindSpore here."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from mindspore_dpus.core.errors import UserError

BOX = ["box_x", "box_y", "box_w", "box_h"]


def boxed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a sample table that have a box, its columns as numbers.

    Args:
        table: with the columns ``box_x, box_y, box_w, box_h``: left, top, width and height in pixels of
            the stored image; empty where nothing is annotated.

    Raises:
        UserError: no box at all, or one that is no box.
    """
    missing = [name for name in BOX if name not in table]
    if missing:
        raise UserError(
            f"localisation: the manifest has no column {missing[0]!r}; it needs {', '.join(BOX)}: the "
            "box of a flaw in pixels of its image, empty where there is none"
        )
    rows = table[(table[BOX].notna() & (table[BOX] != "")).any(axis=1)].copy()
    if rows.empty:
        raise UserError("localisation: no image of this split has a box")
    numbers = rows[BOX].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers["box_w"] <= 0) | (numbers["box_h"] <= 0)
    if bad.any():
        row = rows[bad].iloc[0]
        values = ", ".join(f"{name} {row[name]!r}" for name in BOX)
        raise UserError(f"localisation: the box of {row['path']} is no box: {values}")
    rows[BOX] = numbers
    return rows


def inside(peaks: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which peaks lie in which boxes.

    Args:
        peaks: (..., 2) x, y in pixels; nan for none.
        boxes: (..., 4) x, y, width, height.

    Returns:
        bool of the shape of both, broadcast, without the last axis.
    """
    low, size = boxes[..., :2], boxes[..., 2:]
    return ((peaks >= low) & (peaks < low + size)).all(axis=-1)


def pixels(box: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of an image that a box covers; what lies beyond the edge is cut off."""
    left, top = np.maximum(np.ceil(box[:2]), 0).astype(int)
    right, bottom = np.ceil(box[:2] + box[2:]).astype(int)
    return slice(top, max(top, min(bottom, height))), slice(left, max(left, min(right, width)))


def covered(box: np.ndarray, height: int, width: int) -> float:
    """Share of an image's pixels that a box covers."""
    rows, columns = pixels(box, height, width)
    return (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)


def energy(heatmap: np.ndarray, box: np.ndarray) -> float:
    """Share of the heat that lies in the box.

    Args:
        heatmap: (H, W), 0 or more, of the stored image's size.
        box: (4,) x, y, width, height.

    Returns:
        0 to 1; nan without heat.

    Source: Wang et al. 2020 (Score-CAM), the energy-based pointing game.
    """
    total = float(heatmap.sum(dtype=np.float64))
    return float(heatmap[pixels(box, *heatmap.shape)].sum(dtype=np.float64)) / total if total else np.nan


def summarise(table: pd.DataFrame, confidence: float) -> dict:
    """Whether peaks lie in the boxes more often than by chance.

    Args:
        table: a row for each image with a box: ``box_x, box_y, box_w, box_h, peak_x, peak_y`` (nan
            where no place speaks for the class), ``covered``, ``energy``, and ``height, width`` of the
            image, all in pixels of the stored image.
        confidence: coverage of the interval.

    Returns:
        ``images``; ``hits``: peaks inside; ``share`` of the images with ``low`` and ``high`` (Clopper
        and Pearson; it takes the images as independent, which views of one casting are not);
        ``chance``: mean share of the image that the box covers, what a peak thrown at random would
        reach; ``exchanged``: mean share of the *other* images' peaks that lie in a box, what a peak in
        a favourite place would reach; ``energy``: mean share of the heat inside, over the images that
        have any; ``without_peak``: images that have none, counted as misses.
    """
    peaks = table[["peak_x", "peak_y"]].to_numpy(float)
    boxes = table[BOX].to_numpy(float)
    size = table[["width", "height"]].to_numpy(float)
    own = inside(peaks, boxes)
    n, hits = len(table), int(own.sum())
    interval = binomtest(hits, n).proportion_ci(confidence, method="exact")
    # In shares of the image, so that peaks of images of another size can be exchanged.
    centres = (peaks + 0.5) / size
    relative = np.concatenate([boxes[:, :2] / size, boxes[:, 2:] / size], axis=1)
    every = inside(centres[None], relative[:, None])
    others = (every.sum() - every.trace()) / (n * (n - 1)) if n > 1 else np.nan
    energies = table["energy"].dropna()
    return {
        "images": n,
        "hits": hits,
        "share": hits / n,
        "low": float(interval.low),
        "high": float(interval.high),
        "chance": float(table["covered"].mean()),
        "exchanged": float(others),
        "energy": float(energies.mean()) if len(energies) else np.nan,
        "without_peak": int(np.isnan(peaks).any(axis=1).sum()),
    }
