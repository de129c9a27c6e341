"""Headers of image files: the size of an image before anything is decoded.

A decoder takes the memory that a header asks for. What a header says is therefore read here first, from
the file, by seeking: neither a forged size nor a huge file costs memory.
"""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mindspore_dpus.data.images.decoded import ImageError

_TIFF = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
# More than any JPEG has, and soon walked through.
_MOST_SEGMENTS = 100_000
# Start-of-frame markers: those of JPEG, lossless ones included, and that of JPEG-LS.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])*(\d{1,9})(?!\d)"
_PNM = re.compile(rb"P[1-6]" + _NUMBER + _NUMBER)
_REDUCED, _MASK = 1, 4


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
    return "pnm" if re.match(rb"P[1-6][\s#]", head) else None


def image_size(file: BinaryIO, kind: str) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, BMP or PNM file; None where its header is broken."""
    file.seek(0)
    try:
        if kind == "jpeg":
            return _jpeg_size(file)
        if kind == "pnm":
            match = _PNM.match(file.read(1 << 20))
            return (int(match[1]), int(match[2])) if match else None
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


# Of the file that was asked for last; one tuple, as threads share it.
_last_pages: list[tuple[tuple | None, list]] = [(None, [])]


@dataclass(frozen=True)
class Page:
    """One page of a TIFF file.

    Args:
        index: its place among all pages of the file, from 0.
        width, height: in pixels.
        bits: per channel.
        min_is_white: low values are white.
    """

    index: int
    width: int
    height: int
    bits: int
    min_is_white: bool


def tiff_pages(file: BinaryIO) -> list[Page]:
    """The pages of a TIFF or BigTIFF file, but for reduced copies (thumbnails) and masks.

    Raises:
        ImageError: the chain of pages is torn; the message lacks the file's name.
    """
    # Each frame of a stack asks anew, and thousands of them would each walk thousands of pages.
    status = os.fstat(file.fileno())
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    known = _last_pages[0]
    if known[0] != key:
        known = _last_pages[0] = key, _read_pages(file)
    return list(known[1])


def _read_pages(file: BinaryIO) -> list[Page]:
    pages, others = [], []
    try:
        for index, tags in enumerate(_directories(file)):
            page = Page(index, tags[256], tags[257], tags.get(258, 1), tags.get(262) == 0)
            (others if tags.get(254, 0) & (_REDUCED | _MASK) else pages).append(page)
    except (struct.error, KeyError, OverflowError):
        read = len(pages) + len(others)
        raise ImageError(f"is truncated or broken: its page {read + 1} cannot be found") from None
    return pages or others


def _directories(file: BinaryIO) -> Iterator[dict[int, int]]:
    """Tag -> first value, directory by directory; of the tags that ``tiff_pages`` wants."""
    file.seek(0)
    order, big = _TIFF[file.read(4)]
    count, entry, offset = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    count, entry, offset = (struct.Struct(order + code) for code in (count, entry, offset))
    file.seek(8 if big else 4)
    (place,) = offset.unpack(file.read(offset.size))
    seen = set()
    while place:
        if place in seen:
            raise ImageError("is broken: its pages form a ring")
        seen.add(place)
        file.seek(place)
        (number,) = count.unpack(file.read(count.size))
        if number > 1 << 16:
            raise struct.error
        data = file.read(number * entry.size)
        (place,) = offset.unpack(file.read(offset.size))
        tags = {}
        for tag, kind, length, value in entry.iter_unpack(data):
            code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
            if tag not in (254, 256, 257, 258, 262) or code is None:
                continue
            size = struct.calcsize(code)
            if size * length > len(value):
                file.seek(offset.unpack(value)[0])
                value = file.read(size)
            tags[tag] = struct.unpack_from(order + code, value)[0]
        yield tags
