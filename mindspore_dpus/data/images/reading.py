"""One file -> one decoded frame: values or, whatever the file holds, a line that says what is wrong."""

import dataclasses
import stat
import struct
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from mindspore_dpus.data.images.decoded import MAX_PIXELS, Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.dicom import read_dicom
from mindspore_dpus.data.images.frames import split_frame, without_region
from mindspore_dpus.data.images.headers import file_kind, image_size, tiff_pages

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pnm"),
    *(".dcm", ".dicom"),
)
# Deflate, the densest of the compressions, packs at most 1032 bytes, of 8 pixels each, into one.
PIXELS_PER_BYTE = 8 * 1032
# Sixteen bits of four channels are 8 bytes, as text some 30; the rest is metadata.
BYTES_PER_PIXEL, METADATA_BYTES = 32, 1 << 26


def read_image(path: str | Path, use_voi: bool = True, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode one frame of a file without changing a stored value. Its content counts, not its name.

    Args:
        path: a PNG, JPEG, TIFF, BMP, PNM, DICOM or DICONDE file; ``scan.dcm#3`` is its third frame.
        use_voi: apply the window or table that a DICOM file carries for display.
        max_pixels: height times width of the largest frame that is decoded; more is refused by the
            header, before memory is taken for it.

    Returns:
        Grey or RGB values: uint8, uint16, or float32 for floating-point TIFF; for DICOM as
        :func:`~mindspore_dpus.data.images.dicom.read_dicom` returns them.

    Raises:
        ImageError: the file is missing, empty, torn, too large, of another format or pixel type.
    """
    try:
        file, frame = split_frame(path)
        if without_region(path) is not path:
            raise ImageError("is a region of a frame, which only a reader of regions cuts out")
        _check_regular(file)
        with file.open("rb") as opened:
            kind = file_kind(opened)
            if kind == "dicom":
                return read_dicom(file, frame, use_voi, max_pixels)
            if kind == "tiff":
                return _read_tiff(file, opened, frame, max_pixels)
            return _read_plain(opened, kind, frame, max_pixels)
    except ImageError as error:
        raise ImageError(f"{path} {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded: {error.err}") from None
    except MemoryError:
        raise ImageError(f"{path} needs more memory than there is") from None


def _check_regular(file: Path) -> None:
    """Refuse what would not end or not open: pipes, devices, names that OpenCV cannot take."""
    try:
        str(file).encode()
        status = file.stat()
    except ValueError:
        raise ImageError("has a name that is not UTF-8: rename it") from None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise ImageError("is not a regular file")
    if status.st_size == 0:
        raise ImageError("is empty (0 bytes)")


def _read_plain(file: BinaryIO, kind: str | None, frame: int | None, max_pixels: int) -> Decoded:
    size = image_size(file, kind) if kind else None
    if size is None:
        raise ImageError("is broken or not an image: PNG, JPEG, TIFF, BMP, PNM and DICOM are read")
    check_frame(frame, 1)
    check_size(*size, max_pixels)
    length = _check_shortness(file, *size)
    # A whole file is read into memory, and OpenCV takes 2 GB at most.
    if length > min(METADATA_BYTES + BYTES_PER_PIXEL * size[0] * size[1], 2**31 - 1):
        raise ImageError(f"is broken: {length} bytes are too many for {size[0]} x {size[1]} pixels")
    file.seek(0)
    data = file.read()
    if _is_truncated(data, kind):
        raise ImageError("is truncated: the end of the image is missing")
    return Decoded.of(_in_rgb(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)))


def _check_shortness(file: BinaryIO, width: int, height: int) -> int:
    """Refuse a file that is far too short for so many pixels; its length."""
    length = file.seek(0, 2)
    if width * height > PIXELS_PER_BYTE * length:
        raise ImageError(f"is broken: its {length} bytes cannot hold {width} x {height} pixels")
    return length


def _is_truncated(data: bytes, kind: str) -> bool:
    """Whether the end is missing: OpenCV fills the rest of a torn JPEG or PNG with grey, and takes the
    memory that a chunk of a PNG asks for."""
    if kind == "jpeg":
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if kind != "png":
        return False
    place = 8
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IEND":
            return False
        place += 12 + length
    return True


def _read_tiff(path: Path, file: BinaryIO, frame: int | None, max_pixels: int) -> Decoded:
    pages = tiff_pages(file)
    page = pages[check_frame(frame, len(pages))]
    check_size(page.width, page.height, max_pixels)
    _check_shortness(file, page.width, page.height)
    # By name: of a large stack, one page is read.
    _, found = cv2.imreadmulti(str(path), start=page.index, count=1, flags=cv2.IMREAD_UNCHANGED)
    decoded = Decoded.of(_in_rgb(found[0] if found else None))
    if page.min_is_white and decoded.values.ndim == 2:
        # OpenCV has turned 8 bits round, and leaves deeper ones as they are.
        values = 255 - decoded.values if decoded.values.dtype == np.uint8 else decoded.values
        decoded = dataclasses.replace(decoded, values=values, inverted=True)
    if page.bits in (10, 12, 14):
        # OpenCV has spread them over 16 bits.
        values, limits = decoded.values >> (16 - page.bits), (0.0, float(2**page.bits - 1))
        decoded = dataclasses.replace(decoded, values=values, limits=limits, bits=page.bits)
    return decoded


def _in_rgb(image: np.ndarray | None) -> np.ndarray:
    """What OpenCV returns, as (H, W) grey or (H, W, 3) RGB; refused where it is neither."""
    if image is None:
        raise ImageError("is broken or not an image that OpenCV reads")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageError(f"has pixels of type {image.dtype}; uint8, uint16 and float32 are read")
    if image.ndim == 2:
        return image
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    raise ImageError(f"has {image.shape[2]} channels; 1 (grey), 3 or 4 (colour) are read")
