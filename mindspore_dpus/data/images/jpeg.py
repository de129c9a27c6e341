"""JPEG files: decoded by OpenCV's libjpeg, to their end."""

import re
import struct
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

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
# Frames that it does not decode, whatever their bits.
_OTHERS = {0xF7: "JPEG-LS", **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG")}
_ALL = (1 << 64) - 1
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
    """What a JPEG says of itself: its size, its components, whether they are RGB, untransformed, and
    whether some have fewer pixels than others."""

    height: int
    width: int
    components: int
    is_rgb: bool
    is_reduced: bool


class JpegInside:
    """A JPEG inside another file (a strip of a TIFF with its tables, a frame of a DICOM file), which is
    held to what a JPEG file is held to.

    Args:
        data: its bytes.

    Attributes:
        frame: its frame; None where it has no header of one.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._chain = data, _Chain.of(data)
        self._frames = [
            (marker, content)
            for marker, content, _ in self._chain.segments
            if marker in FRAME_MARKERS and len(content) > 5
        ]
        self.frame = self._read_frame()

    def _read_frame(self) -> JpegFrame | None:
        if not self._frames:
            return None
        frame = self._frames[0][1]
        adobe = [content[11:12] for m, content, _ in self._chain.segments if _is_adobe(m, content)]
        is_rgb = frame[5] == 3 and (adobe[:1] == [b"\0"] or frame[6::3] == b"RGB")
        return JpegFrame(*struct.unpack(">HHB", frame[1:6]), is_rgb, len({*frame[7::3]}) > 1)

    @property
    def is_decoded(self) -> bool:
        """Whether ``decode`` gives its components: OpenCV mixes four to three."""
        return bool(self._frames) and _is_read(*self._frames[0], (1, 3))

    def check(self) -> None:
        """Refuse it where its pixels are missing or invented. Of lossless JPEG, JPEG-LS and others that
        OpenCV does not decode, only the end marker is looked for.

        Raises:
            ImageError: truncated or damaged; the message lacks the file's name.
        """
        if any(_is_read(*frame, (1, 3, 4)) for frame in self._frames):
            _to_its_end(self._data, self._chain, check_by_opencv)
        elif not self._chain.has_end:
            raise ImageError(_MISSING)

    def decode_into(self, out: np.ndarray, is_ycbcr: bool) -> None:
        """Decode one that ``is_decoded``.

        Args:
            out: (H, W, components) uint8, of its size or a smaller one: what is too much is cut off.
            is_ycbcr: three components are YCbCr, and turned to RGB; else they are left as they are,
                whatever the JPEG says of itself.

        Raises:
            ImageError: as of ``check``.
        """
        data, frame = self._data, self.frame
        if frame.components == 3:
            data = _with_transform(data, self._chain, int(is_ycbcr))
        size = frame.width, frame.height
        image = _to_its_end(data, self._chain, partial(decode_by_opencv, size=size, out=out))
        if image is not out:
            out[:] = image.reshape(frame.height, frame.width, -1)[: out.shape[0], : out.shape[1]]


def _is_read(marker: int, frame: bytes, components: tuple[int, ...]) -> bool:
    return marker in _DECODED and frame[0] == 8 and frame[5] in components


def _is_adobe(marker: int, content: bytes) -> bool:
    return marker == 0xEE and content[:5] == b"Adobe"


def _with_transform(data: bytes, chain: "_Chain", transform: int) -> bytes:
    """A JPEG whose marker of Adobe's says whether its components are YCbCr (1) or not (0), in place of
    what it said so far (that and JFIF's)."""
    head = [b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0", bytes([transform])]
    for marker, content, place in chain.segments:
        if marker == 0xDA:
            return b"".join([*head, data[place:]])
        if marker not in (0xE0, 0xEE):
            head += [bytes([0xFF, marker]), (len(content) + 2).to_bytes(2, "big"), content]
    return data


def _size(file: BinaryIO) -> Size | None:
    size = jpeg_size(file)
    if size is None:
        file.seek(0)
        data = file.read(_LONGEST_HEADER)
        if not file.read(1) and _Chain.of(data).is_cut:
            raise ImageError(_MISSING)
    return size


def _decode(data: bytes, size: Size) -> Decoded:
    chain = _Chain.of(data)
    _check_kind(chain)
    image = _to_its_end(data, chain, partial(decode_by_opencv, size=size))
    return Decoded.of(upright(image, jpeg_orientation(BytesIO(data))))


def _check_kind(chain: "_Chain") -> None:
    """Refuse what OpenCV does not decode by name: where it is tried, JPEG-LS looks as if it were cut."""
    for marker, content, _ in chain.segments:
        if marker in FRAME_MARKERS and (marker in _OTHERS or content[:1] != b"\x08"):
            kind = _OTHERS.get(marker, f"JPEG of {content[0]} bits" if content else "JPEG without bits")
            raise ImageError(f"is {kind}, which is not read: save it as PNG or as JPEG of 8 bits")


def _to_its_end(data: bytes, chain: "_Chain", decode: Callable[..., T]) -> T:
    """What ``decode`` makes of a JPEG that has its end marker, or lacks no more than that."""
    if not chain.has_end:
        return _decode_without_end(data, chain, decode)
    if chain.is_progressive and not chain.has_all_scans():
        raise ImageError(_MISSING)
    try:
        return decode(data)
    except ImageError:
        if chain.is_cut:
            raise ImageError(_MISSING) from None
        raise


def _decode_without_end(data: bytes, chain: "_Chain", decode: Callable[..., T]) -> T:
    """A file that may lack no more than its end marker. With one in its place, libjpeg fills what is
    missing before it with grey, and says so; what is too much, it says too. Zeros at the end are those
    of a file that was made as long as it will be: a scan's last byte is filled up with ones."""
    zeros = data.endswith(b"\0") and not data.endswith(b"\xff\0")
    if zeros or not can_listen() or not chain.has_all_scans():
        raise ImageError(_MISSING)
    try:
        return decode(data + _END, alone=True, strict=True)
    except ImageError:
        raise ImageError(_MISSING) from None


# A marker, what follows its length, and where the marker stands.
_Segment = tuple[int, bytes, int]


class _Chain(NamedTuple):
    """The segments of a JPEG, each of which says where the next one stands.

    Args:
        segments: every whole one, without the data of scans.
        leads_to_end: they lead to the end marker, whatever follows it (a video, another picture).
        has_end: that, or, where damage leads astray, the end marker is behind the last scan.
        breaks_off: the last of them is not whole.
    """

    segments: list[_Segment]
    leads_to_end: bool
    has_end: bool
    breaks_off: bool

    @classmethod
    def of(cls, data: bytes) -> "_Chain":
        segments, place = _segments(data)
        leads_to_end = data[place : place + 2] == _END
        has_end = leads_to_end or data.rfind(_END) > data.rfind(_SCAN)
        return cls(segments, leads_to_end, has_end, place + 4 > len(data))

    @property
    def is_cut(self) -> bool:
        """Whether it ends inside of a segment, or before its first scan; sound as far as it goes."""
        if self.leads_to_end:
            return all(marker != 0xDA for marker, _, _ in self.segments)
        return self.breaks_off

    @property
    def is_progressive(self) -> bool:
        """Whether scans add to one another. (What those of other files say of their frequencies,
        decoders pass over.)"""
        return 0xC2 in [marker for marker, _, _ in self.segments]

    def has_all_scans(self) -> bool:
        """Whether the last scan has begun: all frequencies of every component are there, to their last
        bit (ITU-T T.81, B.2.3 and G.1.1)."""
        frames = [content for marker, content, _ in self.segments if marker in _DECODED]
        there = {name: 0 for frame in frames for name in frame[6::3]}  # a bit for each frequency
        for marker, content, _ in self.segments:
            if marker == 0xDA and len(content) >= 4 and len(content) == 4 + 2 * content[0]:
                first, last, bits = content[-3:]
                if bits & 15 == 0 and first <= last:
                    for name in content[1:-3:2]:
                        if name in there:
                            there[name] |= (2 << last) - (1 << first)
        return bool(there) and all(held & _ALL == _ALL for held in there.values())


def _segments(data: bytes) -> tuple[list[_Segment], int]:
    """Every whole segment, and where the chain ends."""
    place, found, size = 2, [], len(data)
    while place + 4 <= size and data[place] == 0xFF and data[place + 1] != 0xD9:
        marker, length = data[place + 1], data[place + 2] << 8 | data[place + 3]
        if marker == 0xFF:
            place += 1  # a byte of filling
            continue
        if length < 2:
            break
        segment = marker, data[place + 4 : place + 2 + length], place
        place += 2 + length
        if place > size or (marker == 0xDA and place == size):
            break
        found.append(segment)
        if marker == 0xDA:
            following = _MARKER.search(data, place)
            place = size if following is None else following.start()
    return found, place
