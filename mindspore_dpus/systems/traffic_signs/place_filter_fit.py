"""Where in a frame signs stand, and of what shape they are: boxes elsewhere are dropped unseen.

The paper's limits of 85 and 470 pixels belong to frames of another size. Here they are shares of the
frame's height and width, and fitted on training boxes.
"""

import math
from collections.abc import Sequence

import numpy as np

from mindspore_dpus.deploy.place_filter import (
    CORNERS,
    PlaceFilter,
    corners_of,
    shape_of,
    to_shares,
)

# Where the triangle's tip and base are looked for, as shares of the frame.
TIP_X, TIP_Y = np.linspace(0.3, 0.7, 9), np.linspace(0.2, 0.95, 16)
BASE_LEFT, BASE_RIGHT = np.linspace(0.0, 0.5, 11), np.linspace(0.5, 1.0, 11)


def heat_map(
    boxes: Sequence[np.ndarray], sizes: Sequence[tuple[float, float]], rows: int, columns: int
) -> np.ndarray:
    """How many boxes cover each part of the frame: Figure 12.

    Args:
        boxes: (N, 4) pixels, of every frame.
        sizes: width and height of every frame.
        rows, columns: of the map.

    Returns:
        (rows, columns) float64: the sum over all boxes of the share of a cell that each covers.
    """
    heat = np.zeros((rows, columns))
    for found, size in zip(boxes, sizes, strict=True):
        shares = np.clip(to_shares(found, size), 0, 1)
        x, y = _covered(shares[:, 0], shares[:, 2], columns), _covered(shares[:, 1], shares[:, 3], rows)
        heat += y.T @ x
    return heat


def _covered(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """(N, cells): share of each of the equal parts of [0, 1] that lies between start and end."""
    edges = np.linspace(0, 1, cells + 1)
    length = np.minimum(end[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    return np.maximum(length, 0) * cells


def fit_place_filter(
    boxes: Sequence[np.ndarray],
    sizes: Sequence[tuple[float, float]],
    *,
    max_lost: float = 0.005,
    place_margin: float = 0.02,
    shape_margin: float = 0.2,
) -> PlaceFilter:
    """Limits around the true boxes of training frames.

    Every limit lies at a quantile of the boxes, and then further out by a margin, because proposals are
    not exact and other frames differ. The quantile is ``max_lost``; it is halved until no more than
    ``max_lost`` of the boxes are lost to all rules together, and is 0, the outermost box, where there
    are too few for that. The triangle is that of which the largest part lies in the band, among those
    that contain two corners of no more boxes than the quantile allows when they are enlarged by the
    margin.

    Args:
        boxes: (N, 4) pixels, of every frame.
        sizes: width and height of every frame.
        max_lost: largest share of these boxes that may be lost. Other frames lose as much or more: half
            of the one per cent that is allowed leaves room for that.
        place_margin: of the band and the triangle, as a share of the frame.
        shape_margin: of width, height and ratio: they may be so much smaller or larger, as a share.

    Raises:
        ValueError: there is no box, or a share is not in [0, 1).

    Source: section 4.2.1 of the paper.
    """
    shares = {"max_lost": max_lost, "place_margin": place_margin, "shape_margin": shape_margin}
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is {value:g}; it must lie in [0, 1)")
    n = sum(len(found) for found in boxes)
    if n == 0:
        raise ValueError("a place filter cannot be fitted without a box")
    placed = np.concatenate([to_shares(found, size) for found, size in zip(boxes, sizes, strict=True)])
    shapes = [shape_of(found, size) for found, size in zip(boxes, sizes, strict=True)]
    shape = np.concatenate([np.stack(s, axis=1) for s in shapes])
    costs = _triangle_costs(placed, place_margin)
    quantile = max_lost
    while True:
        fitted = _at_quantile(placed, shape, costs, quantile, place_margin, shape_margin)
        if fitted.count(boxes, sizes)["removed"] <= max_lost * n or quantile == 0:
            return fitted
        quantile = quantile / 2 if quantile * n >= 1 else 0.0


def _at_quantile(
    placed: np.ndarray,
    shape: np.ndarray,
    costs: np.ndarray,
    quantile: float,
    place_margin: float,
    shape_margin: float,
) -> PlaceFilter:
    spare = math.floor(quantile * len(placed))  # Boxes that may lie beyond each limit.
    low = np.sort(shape, axis=0)[spare] * (1 - shape_margin)
    high = np.sort(shape, axis=0)[-1 - spare] * (1 + shape_margin)
    bottom = min(1.0, float(np.sort(placed[:, 3])[-1 - spare]) + place_margin)
    return PlaceFilter(
        top=max(0.0, float(np.sort(placed[:, 1])[spare]) - place_margin),
        bottom=bottom,
        triangle=_largest_triangle(costs, spare, bottom),
        min_width=float(low[0]),
        max_width=float(high[0]),
        min_height=float(low[1]),
        max_height=float(high[1]),
        min_ratio=float(low[2]),
        max_ratio=float(high[2]),
    )


def _triangle_costs(placed: np.ndarray, margin: float) -> np.ndarray:
    """How many boxes have two corners in each triangle of the search, enlarged by the margin.

    Returns:
        (X, Y, L, R) int64, over ``TIP_X``, ``TIP_Y``, ``BASE_LEFT`` and ``BASE_RIGHT``.
    """
    corners = corners_of(placed).reshape(-1, 2)
    x, y = corners[:, 0], corners[:, 1]
    costs = np.empty((len(TIP_X), len(TIP_Y), len(BASE_LEFT), len(BASE_RIGHT)), dtype=np.int64)
    for i, tip_x in enumerate(TIP_X):
        for j, tip_y in enumerate(TIP_Y - margin):
            # How far down a corner lies, 0 at the tip and 1 at the base, where the sides are apart most.
            down = (y - tip_y) / (1 - tip_y)
            left = x >= tip_x + down * (BASE_LEFT - margin - tip_x)[:, None]
            right = x <= tip_x + down * (BASE_RIGHT + margin - tip_x)[:, None]
            inside = (left[:, None] & (right & (y <= 1))[None]).reshape(*costs.shape[2:], -1, 4)
            costs[i, j] = (inside.sum(axis=3, dtype=np.int8) >= CORNERS).sum(axis=2)
    return costs


def _largest_triangle(
    costs: np.ndarray, spare: int, bottom: float
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None:
    """The triangle of the search that takes most of the band and costs no more than so many boxes."""
    down = (np.maximum(bottom - TIP_Y, 0) / (1 - TIP_Y))[None, :, None, None]
    base = BASE_RIGHT[None, None, None, :] - BASE_LEFT[None, None, :, None]
    # Half of base times height, of the similar triangle that ends where the band does.
    sizes = base * down * np.maximum(bottom - TIP_Y, 0)[None, :, None, None] / 2
    sizes = np.where(costs <= spare, sizes, 0.0)
    if not (sizes > 0).any():
        return None
    i, j, k, m = np.unravel_index(sizes.argmax(), sizes.shape)
    tip = float(TIP_X[i]), float(TIP_Y[j])
    return tip, (float(BASE_LEFT[k]), 1.0), (float(BASE_RIGHT[m]), 1.0)
