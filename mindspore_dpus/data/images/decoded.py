"""What decoding gives: one frame's values, and what the file says of them."""

from dataclasses import dataclass

import numpy as np

from mindspore_dpus.core.errors import UserError

# Height times width of the largest image that is decoded, unless another number is given.
MAX_PIXELS = 300_000_000


class ImageError(UserError):
    """An image that cannot be read or used; the message names the file."""


@dataclass(frozen=True)
class Decoded:
    """One frame of one file.

    Args:
        values: (H, W) grey or (H, W, 3) RGB, integer or float: the stored values; of DICOM, after its
            rescale or modality table, and, where that was asked for, after its window (0 to 1).
        limits: the values that are black and white by the file's own word; None where it has none.
        bits: depth of the range between the limits; None where the file itself, by a window, says how
            that range is to be shown, and for floating point.
        inverted: low values are white (MONOCHROME1 of DICOM, MinIsWhite of TIFF).
        windowed: the file has a window or table for display, which was not asked for.
    """

    values: np.ndarray
    limits: tuple[float, float] | None = None
    bits: int | None = None
    inverted: bool = False
    windowed: bool = False

    @classmethod
    def of(cls, values: np.ndarray, bits: int | None = None) -> "Decoded":
        """Plain values: integers have the range of their type, or, unsigned ones, of so many ``bits``;
        floating point has none."""
        if values.dtype.kind not in "iu":
            return cls(values)
        full = np.iinfo(values.dtype)
        if values.dtype.kind == "u" and bits is not None and bits < full.bits:
            return cls(values, (0.0, float(2**bits - 1)), bits)
        return cls(values, (float(full.min), float(full.max)), full.bits)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image by what its header says, before memory is taken for it.

    Raises:
        ImageError: no pixels, or more than ``max_pixels``.
    """
    if width < 1 or height < 1:
        raise ImageError(f"is {width} x {height} pixels: there is nothing to read")
    if width * height > max_pixels:
        raise ImageError(
            f"is {width} x {height} pixels, more than the key max_pixels ({max_pixels}) allows; "
            "raise that if the image is real"
        )


def check_frame(frame: int | None, number: int) -> int:
    """The index, from 0, of the frame that is meant in a file of ``number``.

    Raises:
        ImageError: there is no such frame, or there are several and none was named.
    """
    if frame is None and number > 1:
        raise ImageError(f"holds {number} frames: add #1 to #{number} to its name to say which is meant")
    if frame is not None and frame > number:
        raise ImageError(f"holds {number} frames: there is no frame {frame}")
    return (frame or 1) - 1
