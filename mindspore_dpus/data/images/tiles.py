"""Large frames in overlapping tiles: a flaw of 20 pixels in 4,000 does not survive a resize.

A frame is cut into tiles, each is scored as an image of its own, and their scores are pooled to that of
the frame.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.preparing import ImageSettings, fit, load_unit, naming

POOLS = ("max", "top_k")
LARGEST = 16_384
MOST = 100_000


@dataclass(frozen=True)
class Tiles:
    """How a frame is cut, and how the scores of its tiles become its own.

    Args:
        size: height and width of a tile, in pixels of the frame; each is resized to the network's input.
        overlap: share of a tile's side that the next tile covers again: at least a flaw's size.
        pool: ``max``: the highest score of the tiles, or ``top_k``: the mean of the highest.
        top_k: how many are averaged.

    Raises:
        ValueError: a value that is none of these.
    """

    size: int
    overlap: float = 0.25
    pool: str = "max"
    top_k: int = 3

    def __str__(self) -> str:
        pool = "the highest" if self.pool == "max" else f"the mean of the {self.top_k} highest"
        return f"tiles of {self.size} pixels (overlap {self.overlap:g}, {pool})"

    def __post_init__(self) -> None:
        for name, fits, rule in (
            ("size", 16 <= self.size <= LARGEST, f"from 16 to {LARGEST}"),
            ("overlap", 0 <= self.overlap < 1, "0 or more, below 1"),
            ("pool", self.pool in POOLS, " or ".join(POOLS)),
            ("top_k", self.top_k >= 1, "at least 1"),
        ):
            if not fits:
                raise ValueError(f"tile {name} is {getattr(self, name)}; it must be {rule}")


def tile_boxes(height: int, width: int, size: int, overlap: float) -> np.ndarray:
    """Where the tiles of an image lie: row by row, from the top left.

    Args:
        height, width: of the image, in pixels.
        size: height and width of a tile.
        overlap: share of a tile's side that the next one covers again, 0 or more, below 1.

    Returns:
        (T, 4) int64: x, y, width, height. Together they cover every pixel, and none lies outside: the
        last column and row are moved inwards, and a tile is smaller only where the image is.
    """
    step = _step(size, overlap)
    rows, columns = _starts(height, size, step), _starts(width, size, step)
    boxes = [(x, y, min(size, width), min(size, height)) for y in rows for x in columns]
    return np.array(boxes, dtype=np.int64)


def _step(size: int, overlap: float) -> int:
    return max(1, round(size * (1 - overlap)))


def _starts(length: int, size: int, step: int) -> list[int]:
    last = max(0, length - size)
    return [*range(0, last, step), last]


def load_tiles(path: str | Path, spec: ImageSettings, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """Read one frame and cut it into tiles, each prepared as ``load_prepared`` prepares an image.

    What is black and white is decided for the whole frame (its percentiles, not a tile's): equal
    values stay equal in all tiles.

    Args:
        path: as for ``read_image``.
        spec: how a tile becomes an array.
        tiles: how.

    Returns:
        (T, 4) int64, x, y, width, height of each tile in pixels of the frame, and
        (T, size, size, channels) uint8 or uint16, the tiles. Where the frame is smaller than a tile, the
        tile is filled up with the frame's mirror image: a pixel keeps its scale.

    Raises:
        ImageError: the frame cannot be read or used; the message names the file.
    """
    unit = load_unit(path, spec)
    step = _step(tiles.size, tiles.overlap)
    if (unit.shape[0] // step + 1) * (unit.shape[1] // step + 1) > MOST:
        raise ImageError(f"{path} would give more than {MOST} tiles: take larger ones, or less overlap")
    with naming(path):
        return _cut(unit, spec, tiles)


def _cut(unit: np.ndarray, spec: ImageSettings, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    boxes = tile_boxes(*unit.shape[:2], tiles.size, tiles.overlap)
    images = np.empty((len(boxes), *spec.shape), spec.dtype)
    for i, (x, y, width, height) in enumerate(boxes):
        tile = unit[y : y + height, x : x + width]
        if (width, height) != (tiles.size, tiles.size):
            below, right = tiles.size - height, tiles.size - width
            tile = cv2.copyMakeBorder(tile, 0, below, 0, right, cv2.BORDER_REFLECT)
        images[i] = fit(tile, spec)
    return boxes, images


def pool_scores(scores: np.ndarray, tiles: Tiles) -> np.ndarray:
    """The score of an image from those of its tiles.

    Args:
        scores: (T,) or (T, ...): a score for each tile; further axes are pooled apart.
        tiles: ``pool``: ``max``, or ``top_k``: the mean of the ``top_k`` largest, of all where there are
            fewer.

    Returns:
        The pooled score, of the shape that is left without the first axis.
    """
    number = 1 if tiles.pool == "max" else tiles.top_k
    return np.sort(scores, axis=0)[-number:].mean(axis=0)
