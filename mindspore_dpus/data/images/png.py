"""PNG files: decoded by OpenCV, every chunk held against its checksum."""

import os
import struct
import zlib
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
    turned = _look_through(data)
    bits, colour = data[24], data[25]
    try:
        image = decode_by_opencv(data, size, np.uint16 if bits == 16 else np.uint8)
    except ImageError:
        _look_through(data, every=True)  # perhaps it has a better reason
        raise
    if colour in (0, 4) and image.ndim == 3:
        image = np.ascontiguousarray(image[..., 0])  # alpha had made it colour
    return Decoded.of(upright(image, turned))


def _look_through(data: bytes, every: bool = False) -> int:
    """Look at the chunks of a PNG, as libpng takes the memory that a chunk asks for, fills what is missing
    with black, and prints what it does not like.

    Args:
        data: the file.
        every: also the checksums of the pixels' chunks, which libpng holds against them.

    Returns:
        The orientation, as ``png_orientation``.

    Raises:
        ImageError: truncated, damaged, or an animation.
    """
    place, turned = 8, 1
    head = struct.Struct(">I4s").unpack_from
    while place + 12 <= len(data):
        length, name = head(data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        if name != b"IDAT" or every:
            body = data[place + 8 : end]
            if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end : end + 4], "big"):
                raise ImageError(f"is damaged: the checksum of its chunk {name!r} is wrong")
            if name == b"acTL" and length == 8 and int.from_bytes(body[:4], "big") > 1:
                frames = int.from_bytes(body[:4], "big")
                raise ImageError(f"is an animation of {frames} frames, which is not read")
            if name == b"eXIf" and turned == 1:
                turned = exif_orientation(body)
            if name == b"IEND":
                return turned
        place = end + 4
    if not every:
        _look_through(data, every=True)  # perhaps a length is wrong
    raise ImageError("is truncated: the end of the image is missing")
