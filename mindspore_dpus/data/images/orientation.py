"""Which way up an image is shown: one rule for every format, that of viewers.

The orientation tag (274; EXIF 2.32, 4.6.4; TIFF 6.0, section 8) says where the first row and the first
column of the stored image belong. It stands in a TIFF's own directory, in the EXIF segment of a JPEG
and in the ``eXIf`` chunk of a PNG; DICOM has none, and is shown as it is stored.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
_ON_ITS_SIDE = (5, 6, 7, 8)
_TAG = 274
_NUMBERS = {1: "B", 3: "H", 4: "I"}  # a SHORT by the standard; some write others
_MOST_TAGS = 1000
_MOST_SEGMENTS = 100_000


def upright(image: np.ndarray, orientation: object) -> np.ndarray:
    """Turn a stored image as its tag says.

    Args:
        image: (H, W) or (H, W, C).
        orientation: the tag's value; anything but 2 to 8 leaves the image as it is, as viewers do.

    Returns:
        (H, W, ...) or (W, H, ...), contiguous.
    """
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else np.ascontiguousarray(turn(image))


def upright_size(width: int, height: int, orientation: object) -> tuple[int, int]:
    """Width and height of what ``upright`` gives."""
    return (height, width) if orientation in _ON_ITS_SIDE else (width, height)


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block (a TIFF header and a directory); 1 where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (number,) = struct.unpack_from(f"{order}H", exif, place)
        for i in range(min(number, _MOST_TAGS)):
            entry = place + 2 + 12 * i
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _TAG and kind in _NUMBERS:
                return struct.unpack_from(order + _NUMBERS[kind], exif, entry + 8)[0]
    except struct.error:
        pass
    return 1


def jpeg_orientation(file: BinaryIO) -> int:
    """The orientation that the EXIF segment of an open JPEG file names; 1 where there is none."""
    place = 2
    for _ in range(_MOST_SEGMENTS):
        file.seek(place)
        head = file.read(10)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            break
        if head[1] == 0xFF:
            place += 1  # a byte of filling
            continue
        length = int.from_bytes(head[2:4], "big")
        if head[1] == 0xE1 and head[4:] == b"Exif\0\0":
            return exif_orientation(file.read(max(0, length - 8)))
        place += 2 + length
    return 1
