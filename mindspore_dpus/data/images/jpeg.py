"""JPEG files: decoded by OpenCV's libjpeg, to their end."""

import re

import numpy as np

from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.headers import jpeg_size
from mindspore_dpus.data.images.opencv import decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole
from mindspore_dpus.data.images.orientation import jpeg_orientation, upright

# In the data of a scan, 255 is followed by 0, or by the number of a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_MISSING = "is truncated: the end of the image is missing"


def read_jpeg(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB, uint8, the way up that its orientation says.

    Raises:
        ImageError: truncated, damaged or of a kind that is not read; the message lacks the file's name.
    """
    return read_whole(opened, jpeg_size, _decode)


def _decode(data: bytes, size: Size) -> Decoded:
    if data.rfind(_END) > data.rfind(_SCAN):
        image = decode_by_opencv(data, size)
    else:
        image = _decode_without_end(data, size)
    return Decoded.of(upright(image, jpeg_orientation(data)))


def _decode_without_end(data: bytes, size: Size) -> np.ndarray:
    """A file that may lack no more than its end marker. With one in its place, libjpeg fills what is
    missing before it with grey, and says so; what is too much, it says too. Zeros at the end are those
    of a file that was made as long as it will be: a scan's last byte is filled up with ones."""
    zeros = data.endswith(b"\0") and not data.endswith(b"\xff\0")
    if zeros or not can_listen() or not _has_all_scans(data):
        raise ImageError(_MISSING)
    try:
        return decode_by_opencv(data + _END, size, alone=True, strict=True)
    except ImageError:
        raise ImageError(_MISSING) from None


def _has_all_scans(data: bytes) -> bool:
    """Whether the last scan of a file has begun: all frequencies of every component are there, to their
    last bit (ITU-T T.81, B.2.3 and G.1.1)."""
    place, components, there = 2, 0, set()
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1  # a byte of filling
            continue
        segment = data[place + 4 : place + 2 + length]
        if 0xC0 <= marker <= 0xC2 and len(segment) > 5:
            components = segment[5]
        place += 2 + length
        if marker == 0xDA and len(segment) >= 4 and len(segment) == 4 + 2 * segment[0]:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                there |= {(name, i) for name in segment[1:-3:2] for i in range(first, last + 1)}
            following = _MARKER.search(data, place)
            place = len(data) if following is None else following.start()
    return components > 0 and len(there) == 64 * components
