"""One decoded frame -> one array of fixed size, the same way in training and prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from mindspore_dpus.core.errors import one_line
from mindspore_dpus.core.settings import at_least, between, check_order, key
from mindspore_dpus.data.images.decoded import MAX_PIXELS, Decoded, ImageError
from mindspore_dpus.data.images.preprocess import PREPROCESSING, preprocess
from mindspore_dpus.data.images.reading import explain_decoder, read_image

_NO_RANGE = (
    "floating-point pixels have no fixed range: set images.value_range to minmax, percentiles or window"
)


@dataclass(frozen=True)
class ImageSettings:
    """How an image becomes an array: everything that changes its pixels, and the largest size."""

    size: int = key(224, at_least(16))
    """Height and width in pixels to which every image is resized."""
    channels: Literal[1, 3] = 1
    """1: grey (colour images are converted); 3: RGB (grey images are repeated)."""
    bits: Literal[8, 16] = 8
    """Bits per pixel kept in the image cache. Images with more bits are refused, not reduced."""
    value_range: Literal["file", "dtype", "minmax", "percentiles", "window"] = "file"
    """What becomes black and white. file: what the file says: the window or table of a DICOM file that
    has one, else as dtype; dtype: the whole range of the file's integer type (DICOM: of its Bits
    Stored); minmax, percentiles: the image's own; window: fixed values."""
    percentiles: tuple[float, float] = key((0.5, 99.5), between(0, 100))
    """Percentiles that become black and white (value_range: percentiles)."""
    window: tuple[float, float] = (0.0, 4095.0)
    """Stored values that become black and white (value_range: window); of DICOM, after its rescale."""
    preprocess: tuple[Literal[tuple(PREPROCESSING)], ...] = ()
    """Fixed changes of the resized image, one after the other."""
    max_pixels: int = key(MAX_PIXELS, between(1, 1 << 30, "OpenCV's limit"), changes_results=False)
    """Height times width of the largest image that is decoded; larger ones are unreadable. Decoding
    takes six to eight bytes a pixel for 16 bits, in as many threads as there are cores."""

    @classmethod
    def from_dict(cls, values: dict) -> "ImageSettings":
        """What ``dataclasses.asdict`` gave, also after JSON, which has lists only.

        Raises:
            TypeError: it is something else, or lacks a key: a default may not be what was trained with.
        """
        if missing := {item.name for item in fields(cls)} - set(values):
            raise TypeError(f"{', '.join(sorted(missing))} missing")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of a prepared image."""
        return self.size, self.size, self.channels

    @property
    def dtype(self) -> np.dtype:
        """uint8 or uint16."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    def load(self, path: str | Path) -> np.ndarray:
        """One prepared image (``data.reader.Reader``).

        Raises:
            ImageError: see ``load_prepared``.
        """
        return load_prepared(path, self)


def check_images(images: ImageSettings) -> None:
    """Refuse ranges that are upside down.

    Raises:
        UserError: names the key.
    """
    check_order(images, "images", "percentiles", "window")


def scale_to_unit(image: Decoded, spec: ImageSettings) -> np.ndarray:
    """Map values to 0 (black) .. 1 (white) by the declared value range.

    Args:
        image: as ``read_image`` returns it.
        spec: names the value range.

    Returns:
        float32 of the same shape; values outside a window or percentiles are cut at 0 and 1. An image
        of one single value becomes 0 under ``minmax`` and ``percentiles``. Where low values are white,
        the result is turned round, last of all.

    Raises:
        ImageError: ``file`` or ``dtype`` was asked for an image without a range of its own; black and
            white are further apart than numbers go.
    """
    low, high = _black_and_white(image, spec)
    # In place: a large radiograph is a gigabyte as it is. Whole numbers above 2**24, and doubles, would
    # lose what tells them apart.
    fine = image.values.dtype.itemsize > (4 if image.values.dtype.kind == "f" else 2)
    fine = fine or high - low > np.finfo(np.float32).max
    # What lies so far outside that the difference is infinite, is cut below.
    with np.errstate(over="ignore"):
        unit = np.subtract(image.values, low, dtype=np.float64 if fine else np.float32)
    if high > low:
        unit /= high - low
        np.clip(unit, 0.0, 1.0, out=unit)
    else:
        unit = np.greater(unit, 0, out=unit)
    unit = unit.astype(np.float32, copy=False)
    return np.subtract(1.0, unit, out=unit) if image.inverted else unit


def _black_and_white(image: Decoded, spec: ImageSettings) -> tuple[float, float]:
    if spec.value_range in ("file", "dtype"):
        if image.limits is None:
            raise ImageError(_NO_RANGE)
        low, high = image.limits
    elif spec.value_range == "minmax":
        low, high = float(image.values.min()), float(image.values.max())
    elif spec.value_range == "percentiles":
        with np.errstate(over="ignore", invalid="ignore"):  # too far apart, as is said below
            low, high = np.percentile(image.values, spec.percentiles).tolist()
    else:
        low, high = spec.window
    if not high - low < np.finfo(np.float64).max:
        raise ImageError(f"values from {low:g} to {high:g} are too far apart to be shown")
    return low, high


def check_range(image: Decoded, spec: ImageSettings) -> None:
    """Refuse an image whose values cannot be mapped to black and white as declared.

    Raises:
        ImageError: deeper than ``spec.bits``, or without a range of its own, and no value range that
            says how to map it; or not all numbers; or too far apart.
    """
    own_range = spec.value_range in ("file", "dtype")
    if own_range and image.bits is not None and image.bits > spec.bits:
        advice = "set images.bits 16 (and images.value_range, if the detector fills only a part of them)"
        if image.bits > 16:
            advice = "set images.value_range to minmax, percentiles or window"
        raise ImageError(f"{image.bits} bits per pixel, but images.bits is {spec.bits}: {advice}")
    if own_range and image.limits is None:
        raise ImageError(_NO_RANGE)
    if image.values.dtype.kind == "f" and not np.isfinite(image.values).all():
        raise ImageError("some pixels are not numbers (nan or infinite)")
    if image.values.dtype == np.float64 and not own_range:
        _black_and_white(image, spec)  # only doubles can be too far apart


def to_unit(image: Decoded, spec: ImageSettings) -> np.ndarray:
    """Scale one decoded frame and convert it to grey or RGB.

    Args:
        image: as ``read_image`` returns it.
        spec: how.

    Returns:
        (H, W) float32 with one channel, else (H, W, 3); 0 is black, 1 is white.

    Raises:
        ImageError: the image is deeper than ``spec.bits`` and no value range says how to map it.
    """
    check_range(image, spec)
    unit = scale_to_unit(image, spec)
    if spec.channels == 1 and unit.ndim == 3:
        return cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY)
    if spec.channels == 3 and unit.ndim == 2:
        return cv2.cvtColor(unit, cv2.COLOR_GRAY2RGB)
    return unit


def fit(unit: np.ndarray, spec: ImageSettings) -> np.ndarray:
    """Resize, quantise and preprocess what ``to_unit`` returns: (size, size, channels) uint8 or uint16."""
    shrinks = max(unit.shape[:2]) > spec.size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    unit = cv2.resize(unit, (spec.size, spec.size), interpolation=interpolation)
    levels = np.iinfo(spec.dtype).max
    image = np.rint(unit * levels).astype(spec.dtype).reshape(spec.shape)
    return preprocess(image, spec.preprocess)


def load_unit(path: str | Path, spec: ImageSettings) -> np.ndarray:
    """``read_image`` and ``to_unit``; every error is an ``ImageError`` that names the file.

    Raises:
        ImageError: see both.
    """
    image = read_image(path, spec.value_range == "file", spec.max_pixels)
    with naming(path):
        return to_unit(image, spec)


def load_prepared(path: str | Path, spec: ImageSettings) -> np.ndarray:
    """One frame of a file, ready for a network: (size, size, channels) uint8 or uint16.

    Raises:
        ImageError: see ``read_image`` and ``to_unit``; the message names the file.
    """
    unit = load_unit(path, spec)
    with naming(path):
        return fit(unit, spec)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Whatever is raised inside, such as a lack of memory, concerns this file, and only this one."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{one_line(path)}: {error}") from None
    except Exception as error:
        raise ImageError(f"{one_line(path)} {explain_decoder(error)}") from None
