"""Headers of image files: the size of an image before anything is decoded.

A decoder takes the memory that a header asks for. What a header says is therefore read here first, from
the file, by seeking: neither a forged size nor a huge file costs memory.
"""

import re
import struct
from typing import BinaryIO

from mindspore_dpus.data.images.pnm import pnm_size

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# More than any JPEG has, and soon walked through.
_MOST_SEGMENTS = 100_000
# Start-of-frame markers: those of JPEG, lossless ones included, and that of JPEG-LS.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# A DICOM file without its preamble begins with an element of group 2 or 8: two bytes each for group and
# element, then what kind of value it is, or its length.
_NO_PREAMBLE = re.compile(
    rb"(?:\x02\0[\0-\x03\x10-\x18]\0|\x08\0[\0\x01\x05\x06\x08\x16\x18]\0)"
    rb"(?:UL|OB|UI|SH|AE|CS|[\0-\xff]\0\0\0)"
    rb"|\0\x08\0[\0\x01\x05\x06\x08\x16\x18](?:UL|UI|SH|CS)",
    re.DOTALL,
)


def file_kind(file: BinaryIO) -> str | None:
    """``png``, ``jpeg``, ``bmp``, ``pnm``, ``tiff`` or ``dicom`` by the first bytes; None: another."""
    file.seek(0)
    head = file.read(132)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8"):
        return "jpeg"
    if head[128:] == b"DICM":
        return "dicom"  # before the others: its first 128 bytes are free, and may hold a TIFF header
    if head[:4] in _TIFF:
        return "tiff"
    if head.startswith(b"BM"):
        return "bmp"
    if _NO_PREAMBLE.match(head):
        return "dicom"
    return "pnm" if re.match(rb"P[1-6][\s#]", head) else None


def image_size(file: BinaryIO, kind: str) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, BMP or PNM file; None where its header is broken."""
    file.seek(0)
    try:
        if kind == "jpeg":
            return _jpeg_size(file)
        if kind == "pnm":
            return pnm_size(file.read(1 << 20))
        head = file.read(26)
        if kind == "png":
            return struct.unpack(">II", head[16:24]) if head[12:16] == b"IHDR" else None
        if struct.unpack("<I", head[14:18])[0] == 12:
            return struct.unpack("<HH", head[18:22])
        width, height = struct.unpack("<ii", head[18:26])
        return abs(width), abs(height)
    except struct.error:
        return None


def codestream_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it is none of these."""
    head = file.read(12)
    file.seek(0)
    try:
        if head.startswith(b"\xff\xd8"):
            return _jpeg_size(file)
        data = file.read(1 << 16)
        # A JPEG 2000 codestream may stand in a JP2 container.
        start = 0 if head.startswith(b"\xff\x4f") else data.find(b"\xff\x4f\xff\x51")
        if start < 0 or data[start : start + 4] != b"\xff\x4f\xff\x51":
            return None
        right, bottom, left, top = struct.unpack(">4I", data[start + 8 : start + 24])
        return right - left, bottom - top
    except struct.error:
        return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """The size in the first start-of-frame segment, as a decoder finds it: segment by segment."""
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        byte = _next_marker(file)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte or byte[0] in (0xD9, 0xDA):
            return None
        if byte[0] in _FRAME_MARKERS:
            height, width = struct.unpack(">3xHH", file.read(7))
            return width, height
        if byte[0] > 0x01 and not 0xD0 <= byte[0] <= 0xD8:
            file.seek(struct.unpack(">H", file.read(2))[0] - 2, 1)
    return None


def _next_marker(file: BinaryIO) -> bytes:
    """Go behind the next byte 255; that byte, or nothing at the end."""
    while block := file.read(1 << 16):
        place = block.find(b"\xff")
        if place >= 0:
            file.seek(place + 1 - len(block), 1)
            return b"\xff"
    return b""
