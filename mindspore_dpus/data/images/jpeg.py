"""JPEG files: decoded by OpenCV's libjpeg, to their end."""

import re
import struct
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import BinaryIO, NamedTuple, TypeVar

from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.headers import FRAME_MARKERS, jpeg_size
from mindspore_dpus.data.images.opencv import check_by_opencv, decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole
from mindspore_dpus.data.images.orientation import jpeg_orientation, upright

# In the data of a scan, 255 is followed by 0, or by the number of a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_MISSING = "is truncated: the end of the image is missing"
_LONGEST_HEADER = 1 << 24
# Frames that OpenCV decodes, where they have 8 bits and one, three or four components: coded by Huffman.
_DECODED = {0xC0, 0xC1, 0xC2}
T = TypeVar("T")


def read_jpeg(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB, uint8, the way up that its orientation says.

    Raises:
        ImageError: truncated, damaged or of a kind that is not read; the message lacks the file's name.
    """
    return read_whole(opened, _size, _decode)


class JpegFrame(NamedTuple):
    """What a JPEG says of itself: its size, its components, and whether they are RGB, untransformed."""

    height: int
    width: int
    components: int
    is_rgb: bool


def check_jpeg(data: bytes) -> JpegFrame | None:
    """Refuse a JPEG inside another file (a strip of a TIFF with its tables, a frame of a DICOM file) as a
    JPEG file is refused: its pixels are missing or invented. Of lossless JPEG, JPEG-LS and others that
    OpenCV does not decode, only the end marker is looked for.

    Returns:
        Its frame; None where it has no header of one.

    Raises:
        ImageError: truncated or damaged; the message lacks the file's name.
    """
    segments = _segments(data)[0]
    frames = [(m, segment) for m, segment in segments if m in FRAME_MARKERS and len(segment) > 5]
    if any(m in _DECODED and frame[0] == 8 and frame[5] in (1, 3, 4) for m, frame in frames):
        _to_its_end(data, check_by_opencv)
    elif not _has_end(data):
        raise ImageError(_MISSING)
    if not frames:
        return None
    frame = frames[0][1]
    adobe = [segment[11:12] for m, segment in segments if m == 0xEE and segment[:5] == b"Adobe"]
    is_rgb = frame[5] == 3 and (adobe[:1] == [b"\0"] or frame[6::3] == b"RGB")
    return JpegFrame(*struct.unpack(">HHB", frame[1:6]), is_rgb)


def _size(file: BinaryIO) -> Size | None:
    size = jpeg_size(file)
    if size is None:
        file.seek(0)
        data = file.read(_LONGEST_HEADER)
        if not file.read(1) and _is_cut(data):
            raise ImageError(_MISSING)
    return size


def _decode(data: bytes, size: Size) -> Decoded:
    image = _to_its_end(data, partial(decode_by_opencv, size=size))
    return Decoded.of(upright(image, jpeg_orientation(BytesIO(data))))


def _to_its_end(data: bytes, decode: Callable[..., T]) -> T:
    """What ``decode`` makes of a JPEG that has its end marker, or lacks no more than that."""
    if not _has_end(data):
        return _decode_without_end(data, decode)
    if _is_progressive(data) and not _has_all_scans(data):
        raise ImageError(_MISSING)
    try:
        return decode(data)
    except ImageError:
        if _is_cut(data):
            raise ImageError(_MISSING) from None
        raise


def _has_end(data: bytes) -> bool:
    """Whether its end marker is there: where its segments lead to, whatever follows it (a video, another
    picture); or, where damage leads astray, behind its last scan."""
    place = _segments(data)[1]
    return data[place : place + 2] == _END or data.rfind(_END) > data.rfind(_SCAN)


def _decode_without_end(data: bytes, decode: Callable[..., T]) -> T:
    """A file that may lack no more than its end marker. With one in its place, libjpeg fills what is
    missing before it with grey, and says so; what is too much, it says too. Zeros at the end are those
    of a file that was made as long as it will be: a scan's last byte is filled up with ones."""
    zeros = data.endswith(b"\0") and not data.endswith(b"\xff\0")
    if zeros or not can_listen() or not _has_all_scans(data):
        raise ImageError(_MISSING)
    try:
        return decode(data + _END, alone=True, strict=True)
    except ImageError:
        raise ImageError(_MISSING) from None


def _is_progressive(data: bytes) -> bool:
    """Whether scans add to one another. (What those of other files say of their frequencies, decoders
    pass over.)"""
    return any(marker == 0xC2 for marker, _ in _segments(data)[0])


def _has_all_scans(data: bytes) -> bool:
    """Whether the last scan of a file has begun: all frequencies of every component are there, to their
    last bit (ITU-T T.81, B.2.3 and G.1.1)."""
    segments = _segments(data)[0]
    frames = [segment for marker, segment in segments if marker in _DECODED]
    wanted = {(name, i) for frame in frames for name in frame[6::3] for i in range(64)}
    there = set()
    for marker, segment in segments:
        if marker == 0xDA and len(segment) >= 4 and len(segment) == 4 + 2 * segment[0]:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                there |= {(name, i) for name in segment[1:-3:2] for i in range(first, last + 1)}
    return bool(wanted) and wanted <= there


def _is_cut(data: bytes) -> bool:
    """Whether a file ends inside of a segment, or before its first scan; sound as far as it goes."""
    segments, place = _segments(data)
    if data[place : place + 2] == _END:
        return all(marker != 0xDA for marker, _ in segments)
    return place + 4 > len(data)


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Marker and content of every whole segment, without the data of scans, and where the chain ends."""
    place, found = 2, []
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xD9:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1  # a byte of filling
            continue
        if length < 2:
            break
        segment = data[place + 4 : place + 2 + length]
        place += 2 + length
        if place > len(data) or (marker == 0xDA and place == len(data)):
            break
        found.append((marker, segment))
        if marker == 0xDA:
            following = _MARKER.search(data, place)
            place = len(data) if following is None else following.start()
    return found, place
