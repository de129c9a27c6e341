"""Images that OpenCV decodes, held against their own headers, and against what their decoders complain of."""

import re

import cv2
import numpy as np

from mindspore_dpus.core.printed import listening
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.opened import Size

# What libjpeg and libpng say where pixels are missing or invented; they say more that does not matter.
_DAMAGE = re.compile(
    r"(?:libpng error: |libpng warning: (?=Not enough)|Corrupt JPEG data: (?=premature|bad [HA]|found))(.*)"
)


def decode_by_opencv(
    data: bytes,
    size: Size,
    dtype: type = np.uint8,
    *,
    alone: bool = False,
    strict: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """What OpenCV makes of a file.

    Args:
        data: the file.
        size: width and height by its header.
        dtype: of its pixels, by its header.
        alone: let no other thread decode meanwhile. Damage is found in any case; this saves a second
            decoding where it is likely.
        strict: whatever the decoder complains of is damage.
        out: memory for colours, where it fits.

    Returns:
        (H, W) grey or (H, W, 3) RGB.

    Raises:
        ImageError: broken, damaged, or other than its header says; the message lacks the file's name.
    """
    image = _decode(data, cv2.IMREAD_UNCHANGED, alone, strict)
    if image.shape[1::-1] != size or image.dtype != dtype:
        raise ImageError(
            f"is broken: it gives {image.shape[1]} x {image.shape[0]} pixels of {image.dtype}, its "
            f"header says {size[0]} x {size[1]} of {np.dtype(dtype)}"
        )
    if image.ndim == 2:
        return image
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, out)
    raise ImageError(f"has {image.shape[2]} channels; 1 (grey), 3 or 4 (colour) are read")


def check_by_opencv(data: bytes, *, alone: bool = False, strict: bool = False) -> None:
    """Let a JPEG be decoded for what its decoder complains of, at an eighth of its size: every code is
    read, and no pixel computed.

    Args:
        data, alone, strict: as of ``decode_by_opencv``.

    Raises:
        ImageError: broken or damaged; the message lacks the file's name.
    """
    _decode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8, alone, strict)


def _decode(data: bytes, how: int, alone: bool, strict: bool) -> np.ndarray:
    with listening(alone) as heard:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    damage = next(filter(None, map(_DAMAGE.match, heard)), None)
    if damage and not alone:
        # Perhaps that of another file, in another thread.
        return _decode(data, how, True, strict)
    if damage or (strict and heard):
        raise ImageError(f"is damaged: {damage[1] if damage else heard[0]}")
    if image is None:
        raise ImageError("is broken or not an image that OpenCV reads")
    return image
