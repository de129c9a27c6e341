"""What a reader of a format gets: an opened file, and which frame of it is wanted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mindspore_dpus.data.images.decoded import MAX_PIXELS, Decoded, ImageError, check_frame, check_size

# Deflate, the densest of the compressions, packs at most 1032 bytes, of 8 pixels each, into one.
PIXELS_PER_BYTE = 8 * 1032
# Sixteen bits of four channels are 8 bytes, as text some 30; the rest is metadata.
BYTES_PER_PIXEL, METADATA_BYTES = 32, 1 << 26

Size = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True)
class Opened:
    """A file that is to be read.

    Args:
        path: its place, for libraries that want that.
        file: open for reading, at any place.
        frame: the number of the frame that is wanted, from 1; None in a file of one frame.
        use_voi: apply the window or table that the file carries for display, where its format has such.
        max_pixels: height times width of the largest frame that is decoded.
    """

    path: Path
    file: BinaryIO
    frame: int | None = None
    use_voi: bool = True
    max_pixels: int = MAX_PIXELS


def read_whole(
    opened: Opened,
    find_size: Callable[[BinaryIO], Size | None],
    decode: Callable[[bytes, Size], Decoded],
) -> Decoded:
    """Read a file of one image that is decoded from memory.

    Args:
        opened: the file.
        find_size: width and height by its header, at whatever place it is open; None: it is broken.
        decode: (all its bytes, width and height) -> the image.

    Raises:
        ImageError: by its header or its length, it is broken or too large; another frame than the first
            is wanted; what ``decode`` raises. The message lacks the file's name.
    """
    size = find_size(opened.file)
    if size is None:
        raise ImageError("is broken: its header gives no size")
    check_frame(opened.frame, 1)
    width, height = size
    check_size(width, height, opened.max_pixels)
    length = opened.file.seek(0, os.SEEK_END)
    if width * height > PIXELS_PER_BYTE * length:
        raise ImageError(f"is broken: its {length} bytes cannot hold {width} x {height} pixels")
    # A whole file is read into memory, and OpenCV takes 2 GB at most.
    if length > min(METADATA_BYTES + BYTES_PER_PIXEL * width * height, 2**31 - 1):
        raise ImageError(f"is broken: {length} bytes are too many for {width} x {height} pixels")
    opened.file.seek(0)
    return decode(opened.file.read(), size)
