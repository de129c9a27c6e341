"""BMP files, of Windows and of OS/2, decoded by OpenCV."""

import struct
from typing import BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opencv import decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole

_OS2_HEADER, _WINDOWS_HEADER = 12, 40


def bmp_size(file: BinaryIO) -> Size | None:
    """Width and height; None where the header is broken."""
    file.seek(0)
    head = file.read(26)
    try:
        if struct.unpack("<I", head[14:18])[0] == _OS2_HEADER:
            return struct.unpack("<HH", head[18:22])
        width, height = struct.unpack("<ii", head[18:26])
    except struct.error:
        return None
    return abs(width), abs(height)


def read_bmp(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB, uint8. Alpha is dropped.

    Raises:
        ImageError: truncated, broken or of a kind that is not read; the message lacks the file's name.
    """
    return read_whole(
        opened, bmp_size, lambda data, size: Decoded.of(decode_by_opencv(_as_windows(data), size))
    )


def _as_windows(data: bytes) -> bytes:
    """An OS/2 bitmap as Windows would have written it: OpenCV takes its colours of three bytes for those
    of four."""
    (header,) = struct.unpack_from("<I", data, 14)
    if header != _OS2_HEADER:
        return data
    (start,) = struct.unpack_from("<I", data, 10)
    width, height, planes, bits = struct.unpack_from("<HHHH", data, 18)
    end = 14 + _OS2_HEADER
    number = min(1 << bits, (start - end) // 3) if bits <= 8 else 0
    if start < end + 3 * number or start > len(data):
        raise ImageError("is broken: its pixels are not where its header says")
    colours = np.zeros((number, 4), np.uint8)
    colours[:, :3] = np.frombuffer(data, np.uint8, 3 * number, end).reshape(-1, 3)
    place = 14 + _WINDOWS_HEADER + colours.nbytes
    info = struct.pack("<IiiHHIIiiII", 40, width, height, planes, bits, 0, 0, 0, 0, number, 0)
    head = struct.pack("<2sIII", b"BM", place + len(data) - start, 0, place)
    return b"".join([head, info, colours.tobytes(), data[start:]])
