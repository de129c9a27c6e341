"""Regions of frames as samples: ``frame.png#xywh=12,40,32,32`` is a part of ``frame.png``.

A name is a W3C media fragment (x, y, width, height in pixels, whole or not). A box is half-open: x, y,
x + width, y + height.
"""

import math
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mindspore_dpus.core.settings import between, key
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.preparing import ImageSettings, fit, to_unit
from mindspore_dpus.data.images.reading import read_image

_NUMBER = r"-?\d+(?:\.\d+)?"
_REGION = re.compile(rf"(.+)#xywh=({_NUMBER}),({_NUMBER}),({_NUMBER}),({_NUMBER})", re.DOTALL)
# Decoded frames that are kept: rows of one frame follow one another, and cores read side by side.
_KEPT = 4

Box = tuple[float, float, float, float]


def split_region(path: str | Path) -> tuple[str, Box | None]:
    """The frame that a name means, and the box in it (x1, y1, x2, y2); None: the whole frame."""
    match = _REGION.fullmatch(str(path))
    if match is None or Path(path).is_file():
        return str(path), None
    x, y, width, height = map(float, match.groups()[1:])
    return match[1], (x, y, x + width, y + height)


def name_region(path: str, box: Box | np.ndarray) -> str:
    """The name of a part of a frame.

    Args:
        path: of the frame.
        box: x1, y1, x2, y2 in pixels; thousandths are kept.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    numbers = (f"{v:.3f}".rstrip("0").rstrip(".") for v in (x1, y1, x2 - x1, y2 - y1))
    return f"{path}#xywh={','.join(numbers)}"


def window(
    width: int, height: int, box: Box | np.ndarray, margin: float = 0.0
) -> tuple[int, int, int, int]:
    """The whole pixels that a box and its context cover.

    Args:
        width, height: of the frame, in pixels.
        box: x1, y1, x2, y2; cut at the frame's edges.
        margin: added on every side, as a share of the box's own width or height.

    Returns:
        left, top, right, bottom, half-open; at least a pixel wide and high.

    Raises:
        ImageError: the box is empty, no number, or lies outside of the frame.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise ImageError("the region is empty")
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise ImageError(f"the region lies outside of the frame of {width} x {height} pixels")
    across, down = margin * (x2 - x1), margin * (y2 - y1)
    left, top = max(0, round(x1 - across)), max(0, round(y1 - down))
    left, top = min(left, width - 1), min(top, height - 1)
    right = max(left + 1, min(width, round(x2 + across)))
    bottom = max(top + 1, min(height, round(y2 + down)))
    return left, top, right, bottom


def windows(width: int, height: int, boxes: np.ndarray, margin: float) -> np.ndarray:
    """``window`` of every box, (N, 4) float64."""
    found = [window(width, height, box, margin) for box in boxes]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def cut(values: np.ndarray, box: Box | np.ndarray, margin: float = 0.0) -> np.ndarray:
    """The pixels of a box and of what is around it: a view of (H, W) or (H, W, C) values.

    Raises:
        ImageError: as ``window``.
    """
    left, top, right, bottom = window(values.shape[1], values.shape[0], box, margin)
    return values[top:bottom, left:right]


def prepare_regions(
    frame: np.ndarray, boxes: np.ndarray, images: ImageSettings, margin: float
) -> np.ndarray:
    """Regions of a frame in memory, exactly as ``Regions`` reads them from its file.

    Args:
        frame: (H, W, 3) uint8 RGB.
        boxes: (N, 4) of them.
        images: size and channels.
        margin: of ``cut``.

    Returns:
        (N, size, size, channels).
    """
    decoded, out = Decoded.of(frame), np.empty((len(boxes), *images.shape), images.dtype)
    for i, box in enumerate(boxes):
        part = replace(decoded, values=cut(frame, box, margin))
        out[i] = fit(to_unit(part, images), images)
    return out


class _Frames:
    """The frames that were decoded last; each is decoded once, however many ask for it at a time."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.lock = threading.Lock()
        self.entries: OrderedDict[tuple, _Entry] = OrderedDict()

    def read(self, path: str, images: ImageSettings) -> Decoded:
        file = Path(path)
        status = file.stat() if file.is_file() else None
        identity = status and (status.st_size, status.st_mtime_ns)
        name = (str(path), identity, images.value_range, images.max_pixels)
        with self.lock:
            entry = self.entries.setdefault(name, _Entry())
            self.entries.move_to_end(name)
            while len(self.entries) > self.kept:
                self.entries.popitem(last=False)
        with entry.lock:
            if entry.decoded is None:
                entry.decoded = read_image(path, images.value_range == "file", images.max_pixels)
            return entry.decoded


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    decoded: Decoded | None = None


_FRAMES = _Frames(_KEPT)


@dataclass(frozen=True)
class Regions:
    """A ``data.reader.Reader`` of regions of frames; a plain name is the whole frame.

    Args:
        images: size, channels, bits and value range of the result.
        margin: context around a region, on every side, as a share of its own side.
    """

    images: ImageSettings = field(default_factory=ImageSettings)
    margin: float = key(0.0, between(0, 2))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype:
        """uint8 or uint16."""
        return self.images.dtype

    def load(self, path: str | Path) -> np.ndarray:
        """One region, resized to a square.

        Raises:
            ImageError: the frame cannot be read, or the region lies outside of it.
        """
        frame, box = split_region(path)
        decoded = _FRAMES.read(frame, self.images)
        try:
            if box is not None:
                decoded = replace(decoded, values=cut(decoded.values, box, self.margin))
            return fit(to_unit(decoded, self.images), self.images)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from None
