"""BMP files, of Windows and of OS/2: every row is held against the header, every index against the palette."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opened import Opened, Size, read_whole

_FILE_HEADER, _OS2_HEADER, _WINDOWS_HEADER = 14, 12, 40
_PLAIN, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
# Compressions and the bits of a pixel that they are for.
_DEPTHS = {
    _PLAIN: (1, 4, 8, 16, 24, 32),
    _RLE8: (8,),
    _RLE4: (4,),
    _BITFIELDS: (16, 32),
    _ALPHA_BITFIELDS: (16, 32),
}
_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0x00FF00, 0x0000FF)}
_LEVELS = bytes(range(256))
_ELSEWHERE = "is broken: its pixels are not where its header says"


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


@dataclass(frozen=True)
class _Header:
    """What a BMP says of itself.

    Args:
        length: of the header behind that of the file.
        start: where the pixels begin.
        bits: of a pixel.
        packing: a key of ``_DEPTHS``.
        colours: in its palette; 0 where it does not say.
        down: the first row is the lowest.
    """

    length: int
    start: int
    bits: int
    packing: int
    colours: int
    down: bool

    @property
    def end(self) -> int:
        return _FILE_HEADER + self.length

    @property
    def bytes_of_a_colour(self) -> int:
        return 3 if self.length == _OS2_HEADER else 4

    @property
    def colours_held(self) -> int:
        return (self.start - self.end) // self.bytes_of_a_colour


def _decode(data: bytes, size: Size) -> Decoded:
    try:
        header = _read_header(data)
    except struct.error:
        raise ImageError("is truncated: its header is not whole") from None
    image = _pixels(data, size, header)
    return Decoded.of(cv2.flip(image, 0) if header.down else image)


def _read_header(data: bytes) -> _Header:
    start, length = struct.unpack_from("<II", data, 10)
    if length == _OS2_HEADER:
        height, bits = struct.unpack_from("<H2xH", data, 20)
        packing = colours = 0
    elif length < _WINDOWS_HEADER:
        raise ImageError(f"has a header of {length} bytes, which is not read")
    else:
        height, bits, packing, colours = struct.unpack_from("<i2xHI12xI", data, 22)
    if bits not in _DEPTHS.get(packing, ()) or (packing >= _BITFIELDS and length == 64):
        raise ImageError(f"has {bits} bits a pixel and compression {packing}, which are not read")
    header = _Header(length, start, bits, packing, colours, height > 0)
    masks_behind = packing >= _BITFIELDS and length == _WINDOWS_HEADER
    if start < header.end + (12 if masks_behind else 0):
        raise ImageError(_ELSEWHERE)
    return header


def _pixels(data: bytes, size: Size, header: _Header) -> np.ndarray:
    """(H, W) grey or (H, W, 3) RGB, in the order of the file."""
    width, height = size
    if header.packing in (_RLE8, _RLE4):
        return _look_up(data, header, _unpack(data, size, header))
    row = -(-width * header.bits // 32) * 4
    # The last row may lack the bytes that fill it up.
    needed = (height - 1) * row + -(-width * header.bits // 8)
    held = data[header.start : header.start + height * row]
    if len(held) < needed:
        raise ImageError(f"is truncated: it holds {len(held)} of {needed} bytes of pixels")
    if header.bits <= 8 and not header.colours:
        # A palette may be shorter than its bits allow; not if the pixels fit behind a whole one.
        whole = header.end + (header.bytes_of_a_colour << header.bits)
        if header.start < whole <= len(data) - needed:
            raise ImageError(_ELSEWHERE)
    rows = np.frombuffer(held.ljust(height * row, b"\0"), np.uint8).reshape(height, row)
    if header.bits == 24:
        return cv2.cvtColor(rows[:, : 3 * width].reshape(height, width, 3), cv2.COLOR_BGR2RGB)
    if header.bits in _MASKS:
        numbers = rows.view(f"<u{header.bits // 8}")[:, :width]
        return _from_numbers(numbers, _masks(data, header))
    if header.bits == 1:
        return _look_up(data, header, np.unpackbits(rows, axis=1, count=width))
    if header.bits == 4:
        rows = np.dstack([rows >> 4, rows & 15]).reshape(height, -1)
    return _look_up(data, header, np.ascontiguousarray(rows[:, :width]))


def _unpack(data: bytes, size: Size, header: _Header) -> np.ndarray:
    """(H, W) indices of run lengths (RLE8, RLE4). Pixels that the codes leave out have no value: they are
    an error, as the zeros of a file that is not yet complete are such codes."""
    width, height = size
    place, rows, row = header.start, [], bytearray()
    # A code makes a pixel, or ends a row that is full: there are no more than pixels and rows.
    while len(rows) + (len(row) == width) < height:
        code = data[place : place + 2]
        number, value = code if len(code) == 2 else (0, 1)  # the end of the image
        place += 2
        if number or value > 2:
            if len(row) == width:  # its end needs no mark
                rows.append(bytes(row))
                row.clear()
            held = -(-value * header.bits // 8)
            values = bytes([value]) * number if number else data[place : place + held]
            place += 0 if number else held + held % 2
            row += _indices(values, header.bits)[: number or value]
            if len(row) > width:
                raise ImageError(f"is broken: its row {len(rows) + 1} has more than {width} pixels")
        elif value == 0 and len(row) == width:
            rows.append(bytes(row))
            row.clear()
        else:
            raise ImageError(
                f"is truncated, or leaves pixels out: its row {len(rows) + 1} of {height} has {len(row)} of "
                f"{width}"
            )
    return np.frombuffer(b"".join([*rows, row]), np.uint8).reshape(height, width)


def _indices(values: bytes, bits: int) -> bytes:
    """Bytes of one index, or of two of four bits."""
    return values if bits == 8 else bytes(i for value in values for i in (value >> 4, value & 15))


def _look_up(data: bytes, header: _Header, indices: np.ndarray) -> np.ndarray:
    """Indices -> colours of the palette, or grey where it has nothing else."""
    each, held = header.bytes_of_a_colour, header.colours_held
    number = min(header.colours or held, 1 << header.bits)
    if number > held or number == 0:
        raise ImageError(_ELSEWHERE)
    if number < 256 and (top := indices.max()) >= number:
        raise ImageError(f"is broken: its pixels name the colour {top + 1} of a palette of {number}")
    palette = data[header.end : header.end + each * number]
    blue, green, red = (palette[i::each].ljust(256, b"\0") for i in range(3))
    if blue == green == red:
        return indices if red == _LEVELS else cv2.LUT(indices, np.frombuffer(red, np.uint8))
    table = np.frombuffer(red + green + blue, np.uint8).reshape(3, 256)
    return cv2.applyColorMap(indices, np.ascontiguousarray(table.T)[:, None])


def _masks(data: bytes, header: _Header) -> tuple[int, int, int]:
    """Which bits of a pixel's number are red, green and blue."""
    if header.packing == _PLAIN:
        return _MASKS[header.bits]
    masks = struct.unpack_from("<III", data, _FILE_HEADER + _WINDOWS_HEADER)
    for mask in masks:
        # One run of ones: the lowest of them added, nothing of it is left.
        if not 0 < mask < 1 << header.bits or mask + (mask & -mask) & mask:
            raise ImageError("has colour masks that are not read: " + ", ".join(map(hex, masks)))
    return masks


def _from_numbers(numbers: np.ndarray, masks: tuple[int, int, int]) -> np.ndarray:
    """(H, W) -> (H, W, 3) uint8: the largest number of each colour is 255."""
    image = np.empty((*numbers.shape, 3), np.uint8)
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
