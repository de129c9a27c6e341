"""Anchors: the boxes that a proposal network judges and moves, on a grid over the frame."""

from collections.abc import Sequence

import numpy as np


def anchor_shapes(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Widths and heights of the anchors in one place: every size with every ratio.

    Args:
        sizes: square roots of areas, in pixels (tensorpack: ``RPN.ANCHOR_SIZES``; Detectron2:
            ``MODEL.ANCHOR_GENERATOR.SIZES``).
        ratios: height divided by width (``RPN.ANCHOR_RATIOS``;
            ``MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS``).

    Returns:
        (A, 2) float64, width and height; the ratios of the first size come first.

    Raises:
        ValueError: none of them, or one that is not above 0.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.1; Table 5 of the paper.
    """
    sizes, ratios = np.asarray(sizes, dtype=np.float64), np.asarray(ratios, dtype=np.float64)
    for name, values in (("sizes", sizes), ("ratios", ratios)):
        if values.ndim != 1 or len(values) == 0 or not (values > 0).all():
            raise ValueError(f"anchor {name} are one or more numbers above 0, not {values.tolist()}")
    root = np.sqrt(ratios)
    return np.stack([sizes[:, None] / root, sizes[:, None] * root], axis=2).reshape(-1, 2)


def anchor_subset(
    sizes: Sequence[float],
    ratios: Sequence[float],
    kept_sizes: Sequence[float],
    kept_ratios: Sequence[float],
) -> np.ndarray:
    """Which of a network's anchors have certain sizes and ratios.

    Args:
        sizes, ratios: with which the network was trained.
        kept_sizes, kept_ratios: some of them.

    Returns:
        (B,) int64 places among the A of ``anchor_shapes(sizes, ratios)``.

    Raises:
        ValueError: a size or ratio that the network has not learnt; it has to be trained with it.
    """
    for name, known, wanted in (("size", sizes, kept_sizes), ("ratio", ratios, kept_ratios)):
        for value in wanted:
            if value not in known:
                raise ValueError(
                    f"the network was trained without the anchor {name} {value:g}, only with "
                    f"{', '.join(f'{v:g}' for v in known)}: train it again with that {name}"
                )
    places = [
        i * len(ratios) + j
        for i, size in enumerate(sizes)
        for j, ratio in enumerate(ratios)
        if size in kept_sizes and ratio in kept_ratios
    ]
    return np.array(places, dtype=np.int64)


def grid_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Rows and columns of the map that a network with padded convolutions makes of a frame.

    Args:
        height, width: of the frame, in pixels.
        stride: pixels from one place of the map to the next; a power of 2, each step of which rounds up.
    """
    return -(-height // stride), -(-width // stride)


def anchor_grid(
    shapes: np.ndarray, rows: int, columns: int, stride: int, offset: float = 0.0
) -> np.ndarray:
    """Anchors on all places of a map.

    Args:
        shapes: (A, 2) widths and heights (``anchor_shapes``).
        rows, columns: H and W of the map (``grid_size``).
        stride: pixels from one place to the next (tensorpack: ``RPN.ANCHOR_STRIDE``).
        offset: where the first place's centre lies, as a share of the stride (Detectron2:
            ``MODEL.ANCHOR_GENERATOR.OFFSET``). At 0 it is the frame's corner, which is also where the
            centre of a convolution with padding k // 2 and stride 2 lies, but for half a pixel.

    Returns:
        (A, H, W, 4) float64 boxes. Many reach over the frame's edge; all are used (Detectron2:
            ``MODEL.RPN.BOUNDARY_THRESH`` = -1).
    """
    y, x = np.meshgrid(
        (np.arange(rows) + offset) * stride, (np.arange(columns) + offset) * stride, indexing="ij"
    )
    half = np.asarray(shapes, dtype=np.float64)[:, None, None, :] / 2
    centres = np.stack([x, y], axis=2)[None]
    return np.concatenate([centres - half, centres + half], axis=3)
