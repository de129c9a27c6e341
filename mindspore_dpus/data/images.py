"""One image file -> one array of fixed size, the same way in training and prediction."""

import stat
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mindspore_dpus.config import DataConfig
from mindspore_dpus.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pnm")
# Of a file; OPENCV_IO_MAX_IMAGE_PIXELS (see ``mindspore_dpus/__init__.py``) is the limit of an image.
MAX_BYTES = 2**30


class ImageError(UserError):
    """An image that cannot be read or used; the message names the file."""


@dataclass(frozen=True)
class ImageSpec:
    """How an image becomes an array: everything that changes its pixels.

    Args:
        size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        bits: 8 or 16 bits per pixel of the result.
        value_range: ``dtype``, ``minmax``, ``percentiles`` or ``window``: what becomes black and white.
        percentiles: for ``percentiles``, in percent.
        window: for ``window``, in stored values.
    """

    size: int = 224
    channels: int = 1
    bits: int = 8
    value_range: str = "dtype"
    percentiles: tuple[float, float] = (0.5, 99.5)
    window: tuple[float, float] = (0.0, 4095.0)

    @classmethod
    def from_config(cls, config: DataConfig) -> "ImageSpec":
        """The image keys of a data configuration."""
        return cls(
            config.image_size,
            config.channels,
            config.bits,
            config.value_range,
            tuple(config.percentiles),
            tuple(config.window),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of a prepared image."""
        return self.size, self.size, self.channels

    @property
    def dtype(self) -> np.dtype:
        """uint8 or uint16."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)


def read_image(path: str | Path) -> np.ndarray:
    """Decode one file without changing a stored value.

    Args:
        path: a PNG, JPEG, TIFF, BMP, PGM or PPM file.

    Returns:
        (H, W) grey or (H, W, 3) RGB; uint8, uint16, or float32 for floating-point TIFF.

    Raises:
        ImageError: the file is missing, empty, torn, of another format or pixel type.
    """
    try:
        status = Path(path).stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            # A pipe or device would be read for ever.
            raise ImageError(f"{path} is a pipe or a device, no file")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"{path} has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    if not data:
        raise ImageError(f"{path} is empty (0 bytes)")
    if _is_truncated(data):
        raise ImageError(f"{path} is truncated: the end of the image is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded: {error.err}") from None
    if image is None:
        raise ImageError(f"{path} is broken or not an image that OpenCV reads")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(f"{path} has pixels of type {image.dtype}; 8 or 16 bits are read")
    if image.ndim == 3 and image.shape[2] == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    elif image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    elif image.ndim == 3:
        raise ImageError(f"{path} has {image.shape[2]} channels; 1 (grey), 3 or 4 (colour) are read")
    return image


def _is_truncated(data: bytes) -> bool:
    """Whether an end marker is missing: OpenCV fills the rest of a torn JPEG or PNG with grey."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    return False


def scale_to_unit(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Map stored values to 0..1 by the declared value range.

    Args:
        image: (H, W) or (H, W, 3), integer or float.
        spec: names the value range.

    Returns:
        float32 of the same shape; values outside a window or percentiles are cut at 0 and 1. An image
        of one single value becomes 0 under ``minmax`` and ``percentiles``.

    Raises:
        ImageError: ``dtype`` was asked for a floating-point image, which has no range.
    """
    if spec.value_range == "dtype":
        if image.dtype.kind != "u":
            raise ImageError("floating-point pixels have no fixed range: set data.value_range")
        low, high = 0.0, float(np.iinfo(image.dtype).max)
    elif spec.value_range == "minmax":
        low, high = float(image.min()), float(image.max())
    elif spec.value_range == "percentiles":
        low, high = np.percentile(image, spec.percentiles).tolist()
    else:
        low, high = spec.window
    unit = (image.astype(np.float32) - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.clip(unit, 0.0, 1.0, dtype=np.float32)


def prepare(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Scale, convert to grey or RGB, resize and quantise one decoded image.

    Args:
        image: as ``read_image`` returns it.
        spec: how.

    Returns:
        (size, size, channels) uint8 or uint16.

    Raises:
        ImageError: the image is deeper than ``spec.bits`` and no value range says how to map it.
    """
    if image.dtype == np.uint16 and spec.bits == 8 and spec.value_range == "dtype":
        raise ImageError(
            "16 bits per pixel, but data.bits is 8: set data.bits 16 (and data.value_range, if the "
            "detector fills only a part of the 16 bits)"
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageError("some pixels are not numbers (nan or infinite)")
    unit = scale_to_unit(image, spec)
    if spec.channels == 1 and unit.ndim == 3:
        unit = cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY)
    elif spec.channels == 3 and unit.ndim == 2:
        unit = cv2.cvtColor(unit, cv2.COLOR_GRAY2RGB)
    shrinks = max(unit.shape[:2]) > spec.size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    unit = cv2.resize(unit, (spec.size, spec.size), interpolation=interpolation)
    levels = np.iinfo(spec.dtype).max
    return np.rint(unit * levels).astype(spec.dtype).reshape(spec.shape)


def load_prepared(path: str | Path, spec: ImageSpec) -> np.ndarray:
    """``read_image`` and ``prepare``; every error names the file.

    Raises:
        ImageError: see both.
    """
    image = read_image(path)
    try:
        return prepare(image, spec)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
