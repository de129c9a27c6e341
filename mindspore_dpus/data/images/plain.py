"""PNG, JPEG and BMP files: decoded by OpenCV, and held against their own headers."""

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.orientation import exif_orientation, jpeg_orientation, upright

_OS2_HEADER, _WINDOWS_HEADER = 12, 40
_MISSING = "is truncated: the end of the image is missing"


def read_plain(data: bytes, kind: str, size: tuple[int, int]) -> Decoded:
    """Decode a whole file.

    Args:
        data: its bytes.
        kind: ``png``, ``jpeg`` or ``bmp``.
        size: width and height by its header.

    Returns:
        Grey or RGB, uint8 or uint16, the way up that its orientation says. Alpha is dropped.

    Raises:
        ImageError: truncated, damaged or of a kind that is not read; the message lacks the file's name.
    """
    return Decoded.of(_READERS[kind](data, size))


def _decode(data: bytes, size: tuple[int, int], dtype: type = np.uint8) -> np.ndarray:
    """(H, W) grey or (H, W, 3) RGB of what OpenCV makes of a file, if that is what the header says."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError("is broken or not an image that OpenCV reads")
    if image.shape[1::-1] != size or image.dtype != dtype:
        raise ImageError(
            f"is broken: it gives {image.shape[1]} x {image.shape[0]} pixels of {image.dtype}, its "
            f"header says {size[0]} x {size[1]} of {np.dtype(dtype)}"
        )
    if image.ndim == 2:
        return image
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    raise ImageError(f"has {image.shape[2]} channels; 1 (grey), 3 or 4 (colour) are read")


def _read_png(data: bytes, size: tuple[int, int]) -> np.ndarray:
    orientation = _check_chunks(data)
    bits, colour = data[24], data[25]
    image = _decode(data, size, np.uint16 if bits == 16 else np.uint8)
    if colour in (0, 4) and image.ndim == 3:
        image = np.ascontiguousarray(image[..., 0])  # alpha had made it colour
    return upright(image, orientation)


def _check_chunks(data: bytes) -> int:
    """Look through a PNG, as libpng takes the memory that a chunk asks for, fills what is missing with
    black, and prints what it does not like; the orientation that it names."""
    place, orientation = 8, 1
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
        if name == b"eXIf":
            orientation = exif_orientation(bytes(body))
        if name == b"IEND":
            return orientation
        place += 12 + length
    raise ImageError(_MISSING)


def _read_jpeg(data: bytes, size: tuple[int, int]) -> np.ndarray:
    # libjpeg fills the rest of a torn file with grey. A file that lacks nothing but its end marker is
    # refused with them: no decoder here tells it from the others.
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise ImageError(_MISSING)
    return upright(_decode(data, size), jpeg_orientation(data))


def _read_bmp(data: bytes, size: tuple[int, int]) -> np.ndarray:
    return _decode(_as_windows(data), size)


def _as_windows(data: bytes) -> bytes:
    """An OS/2 bitmap as Windows would have written it: OpenCV takes its colours of three bytes for those
    of four."""
    (header,) = struct.unpack_from("<I", data, 14)
    if header != _OS2_HEADER:
        return data
    (start,) = struct.unpack_from("<I", data, 10)
    width, height, planes, bits = struct.unpack_from("<HHHH", data, 18)
    end = 14 + _OS2_HEADER
    number = min(1 << bits, (start - end) // 3) if bits <= 8 else 0
    if start < end + 3 * number or start > len(data):
        raise ImageError("is broken: its pixels are not where its header says")
    colours = np.zeros((number, 4), np.uint8)
    colours[:, :3] = np.frombuffer(data, np.uint8, 3 * number, end).reshape(-1, 3)
    place = 14 + _WINDOWS_HEADER + colours.nbytes
    info = struct.pack("<IiiHHIIiiII", 40, width, height, planes, bits, 0, 0, 0, 0, number, 0)
    head = struct.pack("<2sIII", b"BM", place + len(data) - start, 0, place)
    return b"".join([head, info, colours.tobytes(), data[start:]])


_READERS: dict[str, Callable[[bytes, tuple[int, int]], np.ndarray]] = {
    "png": _read_png,
    "jpeg": _read_jpeg,
    "bmp": _read_bmp,
}
