"""The place and shape filter: where in a frame a sign may be, and of which shape."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import as_boxes

# A box goes when so many of its corners lie where none should (section 4.2.1).
CORNERS = 2


@dataclass(frozen=True)
class PlaceFilter:
    """Limits of boxes; lengths are shares of the frame's width and height.

    Args:
        top, bottom: a box with two corners above or below this band goes.
        triangle: tip, left and right end of the base, each x, y: a box with two corners in it goes. The
            base lies on the frame's lower edge. None: there is no triangle.
        min_width, max_width: of the frame's width.
        min_height, max_height: of the frame's height.
        min_ratio, max_ratio: width divided by height, both in pixels.
    """

    top: float
    bottom: float
    triangle: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None
    min_width: float
    max_width: float
    min_height: float
    max_height: float
    min_ratio: float
    max_ratio: float

    def reasons(self, boxes: np.ndarray, width: float, height: float) -> dict[str, np.ndarray]:
        """Which boxes each rule drops.

        Args:
            boxes: (N, 4) pixels.
            width, height: of the frame, in pixels.

        Returns:
            ``band``, ``triangle``, ``width``, ``height``, ``ratio`` -> (N,) bool.
        """
        shares = to_shares(boxes, [width, height])
        y = corners_of(shares)[:, :, 1]
        w, h, ratio = shape_of(boxes, [width, height])
        inside = np.zeros(len(shares), dtype=bool)
        if self.triangle is not None:
            inside = in_triangle(shares, np.array(self.triangle))
        return {
            "band": ((y < self.top) | (y > self.bottom)).sum(axis=1) >= CORNERS,
            "triangle": inside,
            "width": (w < self.min_width) | (w > self.max_width),
            "height": (h < self.min_height) | (h > self.max_height),
            "ratio": ~((ratio >= self.min_ratio) & (ratio <= self.max_ratio)),
        }

    def keep(self, boxes: np.ndarray, width: float, height: float) -> np.ndarray:
        """Which boxes are where signs may be.

        Args:
            boxes, width, height: as for ``reasons``.

        Returns:
            (N,) bool.
        """
        return ~np.logical_or.reduce(list(self.reasons(boxes, width, height).values()))

    def count(self, boxes: Sequence[np.ndarray], sizes: Sequence[tuple[float, float]]) -> dict[str, int]:
        """What the filter does to the boxes of many frames, proposals or true ones.

        Args:
            boxes: (N, 4) of every frame.
            sizes: width and height of every frame.

        Returns:
            ``boxes``: their number; ``removed``: of them; and how many each rule removes, which may be
            the same ones.
        """
        total = {"boxes": 0, "removed": 0}
        for found, (width, height) in zip(boxes, sizes, strict=True):
            reasons = self.reasons(found, width, height)
            total["boxes"] += len(found)
            total["removed"] += int(np.logical_or.reduce(list(reasons.values())).sum())
            for rule, dropped in reasons.items():
                total[rule] = total.get(rule, 0) + int(dropped.sum())
        return total

    def to_dict(self) -> dict:
        """Numbers and lists, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "PlaceFilter":
        """What ``to_dict`` gave, also after JSON has made lists of tuples."""
        triangle = values["triangle"]
        if triangle is not None:
            triangle = tuple((float(x), float(y)) for x, y in triangle)
        return cls(**values | {"triangle": triangle})


def to_shares(boxes: np.ndarray, size: Sequence[float]) -> np.ndarray:
    """Boxes as shares of the frame: (N, 4), x of its width, y of its height."""
    return as_boxes(boxes) / [size[0], size[1], size[0], size[1]]


def shape_of(boxes: np.ndarray, size: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width and height as shares of the frame, and their ratio in pixels; infinite at no height."""
    boxes = as_boxes(boxes)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    ratio = np.divide(width, height, out=np.full(len(boxes), np.inf), where=height > 0)
    return width / size[0], height / size[1], ratio


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N, 4 corners, x and y)."""
    return boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)


def in_triangle(boxes: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Whether two corners lie in a triangle or on its sides.

    Args:
        boxes: (N, 4).
        triangle: (3, 2).

    Returns:
        (N,) bool.
    """
    corners = corners_of(boxes)
    sides = []
    for start, end in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
        # On which side of the line through two of the triangle's corners a point lies.
        (along_x, along_y), to = end - start, corners - start
        sides.append(along_x * to[..., 1] - along_y * to[..., 0])
    sides = np.stack(sides)
    inside = (sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)
    return inside.sum(axis=1) >= CORNERS
