"""PNG files: decoded by OpenCV, after every chunk was held against its checksum."""

import os
import struct
import zlib
from io import BytesIO
from typing import BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.opencv import decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole
from mindspore_dpus.data.images.orientation import exif_orientation, upright


def png_size(file: BinaryIO) -> Size | None:
    """Width and height; None where the header is broken."""
    file.seek(0)
    head = file.read(24)
    return struct.unpack(">II", head[16:]) if len(head) == 24 and head[12:16] == b"IHDR" else None


def png_orientation(file: BinaryIO) -> int:
    """The orientation that an open file's ``eXIf`` chunk names; 1 where there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return exif_orientation(file.read(length))
        file.seek(length + 4, os.SEEK_CUR)
    return 1


def read_png(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB, uint8 or uint16, the way up that its orientation says. Alpha is dropped.

    Raises:
        ImageError: truncated, damaged or of a kind that is not read; the message lacks the file's name.
    """
    return read_whole(opened, png_size, _decode)


def _decode(data: bytes, size: Size) -> Decoded:
    _check_chunks(data)
    bits, colour = data[24], data[25]
    image = decode_by_opencv(data, size, np.uint16 if bits == 16 else np.uint8)
    if colour in (0, 4) and image.ndim == 3:
        image = np.ascontiguousarray(image[..., 0])  # alpha had made it colour
    return Decoded.of(upright(image, png_orientation(BytesIO(data))))


def _check_chunks(data: bytes) -> None:
    """Look through a PNG, as libpng takes the memory that a chunk asks for, fills what is missing with
    black, and prints what it does not like."""
    place = 8
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        body = memoryview(data)[place + 8 : place + 8 + length]
        if len(body) < length or place + 12 + length > len(data):
            break
        end = place + 8 + length
        if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageError(f"is damaged: the checksum of its chunk {name!r} is wrong")
        if name == b"acTL" and length == 8 and int.from_bytes(body[:4], "big") > 1:
            frames = int.from_bytes(body[:4], "big")
            raise ImageError(f"is an animation of {frames} frames, which is not read")
        if name == b"IEND":
            return
        place += 12 + length
    raise ImageError("is truncated: the end of the image is missing")
