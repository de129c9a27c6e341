"""Headers of image files that more than one module reads: the size of an image before it is decoded.

A decoder takes the memory that a header asks for. What a header says is therefore read first, from the
file, by seeking: neither a forged size nor a huge file costs memory.
"""

import re
import struct
from typing import BinaryIO

# More than any JPEG has, and soon walked through.
_MOST_SEGMENTS = 100_000
# Start-of-frame markers: those of JPEG, lossless ones included, and that of JPEG-LS.
FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# The groups of elements (file meta information, what it is, patient, acquisition, image, pixels) with which
# a DICOM file without its preamble begins, and the kinds of value (PS3.5, 6.2): those with a length of two
# bytes and of four.
_FIRST_GROUPS = (0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028)
_SHORT = b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()


def begins_dicom(head: bytes) -> bool:
    """Whether a file with these first bytes (``formats.HEAD``) is DICOM, with its preamble or without."""
    return head[128:132] == b"DICM" or any(_begins_with_elements(head, order) for order in "<>")


def _begins_with_elements(head: bytes, order: str) -> bool:
    """Whether these bytes, in this byte order, are an element and, as far as they go, a later one.

    Implicit VR has nothing else to tell it by: the later one must be there, and is no group's length, as
    small numbers of four bytes would be.
    """
    if len(head) < 12:
        return False
    first, kind = struct.unpack(f"{order}HH", head[:4]), head[4:6]
    if first[0] not in _FIRST_GROUPS:
        return False
    implicit = kind not in _SHORT and kind not in _LONG
    if implicit:
        end = 8 + struct.unpack(f"{order}I", head[4:8])[0]
    elif kind in _SHORT:
        end = 8 + struct.unpack(f"{order}H", head[6:8])[0]
    else:
        end = 12 + struct.unpack(f"{order}I", head[8:12])[0]
    following = head[end : end + 4]
    if len(following) < 4:
        return not implicit
    second = struct.unpack(f"{order}HH", following)
    return first < second < (_FIRST_GROUPS[-1] + 2, 0) and not (implicit and second[1] == 0)


def begins_pnm(head: bytes) -> bool:
    """Whether a file with these first bytes is PBM, PGM or PPM."""
    return re.match(rb"P[1-6][\s#]", head) is not None


def codestream_frame(file: BinaryIO) -> tuple[int, int, int] | None:
    """Width, height and bits of a sample of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it is none
    of these."""
    head = file.read(12)
    file.seek(0)
    try:
        if head.startswith(b"\xff\xd8"):
            return _first_frame(file)
        data = file.read(1 << 16)
        # A JPEG 2000 codestream may stand in a JP2 container.
        start = 0 if head.startswith(b"\xff\x4f") else data.find(b"\xff\x4f\xff\x51")
        if start < 0 or data[start : start + 4] != b"\xff\x4f\xff\x51":
            return None
        right, bottom, left, top = struct.unpack(">4I", data[start + 8 : start + 24])
        return right - left, bottom - top, (data[start + 42] & 0x7F) + 1
    except (struct.error, IndexError):
        return None


def jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height in the first start-of-frame segment, as a decoder finds it: segment by segment;
    None where there is none."""
    try:
        found = _first_frame(file)
    except struct.error:
        return None
    return found and found[:2]


def _first_frame(file: BinaryIO) -> tuple[int, int, int] | None:
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        byte = _next_marker(file)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte or byte[0] in (0xD9, 0xDA):
            return None
        if byte[0] in FRAME_MARKERS:
            length, bits, height, width = struct.unpack(">HBHH", file.read(7))
            rest = max(0, length - 7)
            return (width, height, bits) if len(file.read(rest)) == rest else None
        if byte[0] > 0x01 and not 0xD0 <= byte[0] <= 0xD8:
            length = struct.unpack(">H", file.read(2))[0]
            if length < 2:  # its own two bytes; a decoder stops here, and going back would not end
                return None
            file.seek(length - 2, 1)
    return None


def _next_marker(file: BinaryIO) -> bytes:
    """Go behind the next byte 255; that byte, or nothing at the end."""
    while block := file.read(1 << 16):
        place = block.find(b"\xff")
        if place >= 0:
            file.seek(place + 1 - len(block), 1)
            return b"\xff"
    return b""
