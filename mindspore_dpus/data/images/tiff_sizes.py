"""The size of an image inside a strip or tile, by its own header, before it is decoded: a decoder takes the
memory that this header asks for."""

import struct
from collections.abc import Callable
from io import BytesIO

from mindspore_dpus.data.images.headers import codestream_frame
from mindspore_dpus.data.images.png import png_size

Size = tuple[int, int]
"""Width and height."""


def _webp(data: bytes) -> Size | None:
    """RFC 9649."""
    kind, body = data[12:16], data[20:]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg_xl(data: bytes) -> Size | None:
    """ISO/IEC 18181-1, annex D: numbers lie bit by bit, the lowest first."""
    start = data.find(b"\xff\x0a") if data[4:8] == b"JXL " else 0
    if start < 0 or data[start : start + 2] != b"\xff\x0a":
        return None
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(number: int) -> int:
        nonlocal bits
        value = bits & (1 << number) - 1
        bits >>= number
        return value

    small = take(1)

    def side() -> int:
        return 8 * (1 + take(5)) if small else 1 + take((9, 13, 18, 30)[take(2)])

    height = side()
    ratio = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
    chosen = take(3)
    if not chosen:
        return side(), height
    over, under = ratio[chosen - 1]
    return height * over // under, height


def _jpeg_xr(data: bytes) -> Size | None:
    """ITU-T T.832, annex A: a directory like a TIFF's."""
    if data[:3] != b"II\xbc":
        return None
    place = int.from_bytes(data[4:8], "little")
    (number,) = struct.unpack("<H", data[place : place + 2])
    values = {}
    for i in range(number):
        entry = data[place + 2 + 12 * i : place + 14 + 12 * i]
        tag, kind = struct.unpack("<HH", entry[:4])
        length = {1: 1, 3: 2}.get(kind, 4)
        values[tag] = int.from_bytes(entry[8 : 8 + length], "little")
    return values[0xBC80], values[0xBC81]


def _lerc(data: bytes) -> Size | None:
    """Esri's Lerc2; where it is compressed once more, nothing is known before."""
    if data[:6] != b"Lerc2 ":
        return None
    place = 14 if int.from_bytes(data[6:10], "little") > 2 else 10
    height, width = struct.unpack("<ii", data[place : place + 8])
    return width, height


def _codestream(data: bytes) -> Size | None:
    frame = codestream_frame(BytesIO(data))
    return frame and frame[:2]


_FINDERS: dict[int, Callable[[bytes], Size | None]] = {
    # JPEG 2000, and JPEG.
    **dict.fromkeys((33003, 33004, 33005, 34712, 6, 7, 33007, 34892), _codestream),
    34933: lambda data: png_size(BytesIO(data)),
    50001: _webp,
    **dict.fromkeys((50002, 52546), _jpeg_xl),
    **dict.fromkeys((22610, 34934, 48124), _jpeg_xr),
    34887: _lerc,
}


def size_inside(compression: int, data: bytes) -> Size | None:
    """Width and height of what a strip or tile holds; None where its header does not say, or is broken.

    Args:
        compression: the tag's value.
        data: the strip or tile.
    """
    try:
        return _FINDERS[compression](data) if compression in _FINDERS else None
    except (struct.error, KeyError, IndexError):
        return None
