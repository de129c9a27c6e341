"""BMP files, of Windows and of OS/2: decoded by OpenCV, but for those whose colours are bits of a number."""

import struct
from typing import BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opencv import decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole

_OS2_HEADER, _WINDOWS_HEADER = 12, 40
# Windows' headers: the oldest has its masks behind it, the others in their ends.
_WINDOWS_HEADERS = (40, 52, 56, 108, 124)
_PLAIN, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6
_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0x00FF00, 0x0000FF)}


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
    return read_whole(opened, bmp_size, _decode)


def _decode(data: bytes, size: Size) -> Decoded:
    masks = _masks(data)
    if masks is None:
        return Decoded.of(decode_by_opencv(_as_windows(data), size))
    return Decoded.of(_from_numbers(data, size, masks))


def _masks(data: bytes) -> tuple[int, int, int] | None:
    """Which bits of a pixel's number are red, green and blue; None where pixels are no such numbers."""
    try:
        (header,) = struct.unpack_from("<I", data, 14)
        bits, packing = struct.unpack_from("<HI", data, 28)
        if header not in _WINDOWS_HEADERS or bits not in _MASKS:
            return None
        if packing == _PLAIN:
            return _MASKS[bits]
        if packing not in (_BITFIELDS, _ALPHA_BITFIELDS):
            return None
        masks = struct.unpack_from("<III", data, 14 + _WINDOWS_HEADER)
    except struct.error:
        return None
    for mask in masks:
        # One run of ones: the lowest of them added, nothing of it is left.
        if not 0 < mask < 1 << bits or mask + (mask & -mask) & mask:
            raise ImageError("has colour masks that are not read: " + ", ".join(map(hex, masks)))
    return masks


def _from_numbers(data: bytes, size: Size, masks: tuple[int, int, int]) -> np.ndarray:
    """(H, W, 3) uint8: the largest number of each colour is 255."""
    width, height = size
    (start,) = struct.unpack_from("<I", data, 10)
    bits, signed_height = data[28], struct.unpack_from("<i", data, 22)[0]
    row = -(-width * bits // 32) * 4
    if start < 14 + _WINDOWS_HEADER:
        raise ImageError("is broken: its pixels are not where its header says")
    if len(data) < start + height * row:
        raise ImageError(f"is truncated: it holds {len(data) - start} of {height * row} bytes of pixels")
    numbers = np.frombuffer(data, np.uint8, height * row, start).reshape(height, row)
    numbers = numbers.view(f"<u{bits // 8}")[:, :width]
    if signed_height > 0:
        numbers = numbers[::-1]
    image = np.empty((height, width, 3), np.uint8)
    for channel, mask in enumerate(masks):
        low = (mask & -mask).bit_length() - 1
        top = mask >> low
        found = (numbers & mask) >> low
        if top == 255:
            image[..., channel] = found
        elif top < 1 << 16:
            levels = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
            image[..., channel] = levels[found]
        else:
            image[..., channel] = np.rint(found * (255 / top))
    return image


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
