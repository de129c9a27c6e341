"""PBM, PGM and PPM files (netpbm's pbm(5), pgm(5), ppm(5)): the maxval in a header is its white."""

import re
from typing import BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opened import Opened, Size, read_whole

_TOKEN = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([1-6])" + _TOKEN + rb"(\d{1,9})" + _TOKEN + rb"(\d{1,9})")
_MAXVAL = re.compile(_TOKEN + rb"(\d{1,9})")
_COMMENT = re.compile(rb"#[^\r\n]*")
_LAST_BLANK = re.compile(rb"\s|#[^\r\n]*[\r\n]")
_ANOTHER = re.compile(rb"\s*P[1-6]\s")
_SEVERAL = "holds several images, of which none is meant: save them one by one"
# As text, a value takes at most seven bytes or so; more in one line are comments and blanks.
_LONGEST_HEADER = 1 << 20


def pnm_size(file: BinaryIO) -> Size | None:
    """Width and height; None where the header is broken."""
    file.seek(0)
    match = _HEADER.match(file.read(_LONGEST_HEADER))
    return (int(match[2]), int(match[3])) if match else None


def read_pnm(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB: uint8 or uint16, with 0 and maxval as its limits; of bitmaps 0 (black) and 1.

    Raises:
        ImageError: broken or truncated; the message lacks the file's name.
    """
    return read_whole(opened, pnm_size, _decode)


def _decode(data: bytes, _: Size) -> Decoded:
    header = _HEADER.match(data[:_LONGEST_HEADER])
    kind, width, height = int(header[1]), int(header[2]), int(header[3])
    end, top = header.end(), 1
    if kind not in (1, 4):
        found = _MAXVAL.match(data, end)
        if found is None or not 1 <= int(found[1]) <= 65535:
            raise ImageError("is broken: its maxval is not a number from 1 to 65535")
        end, top = found.end(), int(found[1])
    samples = 3 if kind in (3, 6) else 1
    number = width * height * samples
    if kind <= 3:
        values = _from_text(data[end:], kind, number)
    else:
        values = _from_bytes(data, end, kind, (height, width * samples), top)
    if top < np.iinfo(values.dtype).max and values.max() > top:
        raise ImageError(f"is broken: it holds {values.max()}, but its maxval is {top}")
    if kind in (1, 4):
        values = 1 - values  # ink is 1
    values = values.reshape((height, width, 3) if samples == 3 else (height, width))
    return Decoded(values, (0.0, float(top)), top.bit_length())


def _end_of_header(data: bytes, end: int) -> int:
    """Where the bytes begin: behind one blank, or, right behind the last number, a comment's line."""
    found = _LAST_BLANK.match(data, end)
    if found is None:
        raise ImageError("is broken: no blank divides its header from its pixels")
    return found.end()


def _from_text(data: bytes, kind: int, number: int) -> np.ndarray:
    text = _COMMENT.sub(b"", data)
    if kind == 1:
        # The digits of a bitmap need nothing between them.
        digits = np.frombuffer(b"".join(text.split()), np.uint8)
        values, rest = digits[:number] - 48, digits[number:].tobytes()
        if values.size and values.max() > 1:
            raise ImageError("is broken: its pixels are not all 0 or 1")
    else:
        words = text.split(maxsplit=number)
        rest = b"".join(words[number:])
        try:
            values = np.array(words[:number], dtype=np.int64)
        except (ValueError, OverflowError):
            raise ImageError("is broken: its pixels are not all numbers") from None
        if values.size and not 0 <= values.min() <= values.max() <= 65535:
            raise ImageError("is broken: its pixels are not all from 0 to 65535")
        values = values.astype(np.uint16 if values.size and values.max() > 255 else np.uint8)
    if values.size < number:
        raise ImageError(f"is truncated: it holds {values.size} of {number} values")
    if rest.startswith(tuple(b"P%d" % i for i in range(1, 7))):
        raise ImageError(_SEVERAL)
    if rest:
        raise ImageError(f"is broken: it holds more than its {number} values")
    return values


def _from_bytes(data: bytes, end: int, kind: int, shape: tuple[int, int], top: int) -> np.ndarray:
    """The pixels behind the last number of the header, which ends there."""
    rows, columns = shape
    dtype = np.dtype(np.uint8 if top < 256 else ">u2")
    needed = rows * (-(-columns // 8) if kind == 4 else columns * dtype.itemsize)
    start = _end_of_header(data, end)
    if data[start - 1 : start + 1] == b"\r\n" and len(data) - start > needed:
        start += 1  # a line of DOS; else its second half is the first pixel
    held = len(data) - start
    if held < needed:
        raise ImageError(f"is truncated: it holds {held} of {needed} bytes of pixels")
    rest = data[start + needed : start + needed + 16]
    if _ANOTHER.match(rest):
        raise ImageError(_SEVERAL)
    if rest not in (b"", b"\n", b"\r", b"\r\n"):
        raise ImageError(f"is broken: it holds {held} bytes of pixels, its header says {needed}")
    values = np.frombuffer(memoryview(data)[start : start + needed], dtype)
    if kind == 4:
        return np.unpackbits(values.reshape(rows, -1), axis=1, count=columns)
    # A copy, in this machine's byte order, which nobody else holds.
    return values.astype(dtype.newbyteorder("="))
