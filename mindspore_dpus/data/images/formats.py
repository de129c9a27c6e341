"""The image formats: one row each. Whatever asks what an image is, or reads one, asks this table.

A new format is a module with its reader and a row here; folders, predictions, audits, trainings, watched
folders and annotations then know it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from mindspore_dpus.core.choices import load
from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.headers import begins_dicom, begins_pnm
from mindspore_dpus.data.images.opened import Opened, Size
from mindspore_dpus.data.images.orientation import upright_size

HERE = "mindspore_dpus.data.images"
# So many bytes of a file say of what format it is: a DICOM file without its preamble by its first two
# elements.
HEAD = 268


@dataclass(frozen=True)
class Format:
    """A row of ``FORMATS``. Functions are named as ``module:function``, and imported where they are
    needed: some libraries take longer to import than most images to read.

    Args:
        endings: of names, in small letters; a file with one of them is an image, whatever is in it.
        begins: whether the first ``HEAD`` bytes of a file are those of the format.
        read: (``Opened``) -> ``Decoded``; raises ``ImageError`` without the file's name.
        size: (open file) -> width and height by the header, or None; for formats of one image. Formats
            without: the reader looks for itself.
        orientation: (open file) -> that of ``orientation.py``; formats of one image without it have none.
        count: (``Opened``) -> number of frames; formats without hold one image in a file.
        any_ending: a file with these first bytes is an image whatever its ending.
    """

    endings: tuple[str, ...]
    begins: Callable[[bytes], bool]
    read: str
    size: str | None = None
    orientation: str | None = None
    count: str | None = None
    any_ending: bool = False


def starts(*magic: bytes) -> Callable[[bytes], bool]:
    """Whether a file starts with one of these bytes."""
    return lambda head: head.startswith(magic)


# The first that begins so: a DICOM file's first 128 bytes are free, and may hold a TIFF header.
FORMATS = {
    "PNG": Format(
        (".png",),
        starts(b"\x89PNG\r\n\x1a\n"),
        f"{HERE}.png:read_png",
        size=f"{HERE}.png:png_size",
        orientation=f"{HERE}.png:png_orientation",
    ),
    "JPEG": Format(
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        starts(b"\xff\xd8"),
        f"{HERE}.jpeg:read_jpeg",
        size=f"{HERE}.jpeg:jpeg_size",
        orientation=f"{HERE}.orientation:jpeg_orientation",
    ),
    "DICOM": Format(
        (".dcm", ".dicom", ".ima"),
        begins_dicom,
        f"{HERE}.dicom:read_dicom",
        count=f"{HERE}.dicom:count_dicom_frames",
        any_ending=True,
    ),
    "TIFF": Format(
        (".tif", ".tiff"),
        starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        f"{HERE}.tiff:read_tiff",
        count=f"{HERE}.tiff:count_tiff_frames",
    ),
    "BMP": Format((".bmp", ".dib"), starts(b"BM"), f"{HERE}.bmp:read_bmp", size=f"{HERE}.bmp:bmp_size"),
    "PNM": Format(
        (".pbm", ".pgm", ".ppm", ".pnm"), begins_pnm, f"{HERE}.pnm:read_pnm", size=f"{HERE}.pnm:pnm_size"
    ),
}
# What people have under an ending of those, and is named where it is refused.
_OTHERS: dict[str, Callable[[bytes], bool]] = {
    "WebP": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    "GIF": starts(b"GIF87a", b"GIF89a"),
    "JPEG 2000": starts(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XL": starts(b"\0\0\0\x0cJXL ", b"\xff\x0a"),
    "HEIF or AVIF": lambda head: head[4:8] == b"ftyp" and head[8:12] in _HEIF,
    "PDF": starts(b"%PDF-"),
    "HTML": lambda head: head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")),
}
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
EXTENSIONS = tuple(ending for row in FORMATS.values() for ending in row.endings)
# Looking into a file takes time; files that are called so hold one image each.
SINGLE = {ending for row in FORMATS.values() if row.count is None for ending in row.endings}


def find_format(file: BinaryIO) -> Format | None:
    """The row of an open file, by its first bytes; None: it is of no format that is read."""
    file.seek(0)
    head = file.read(HEAD)
    return next((row for row in FORMATS.values() if row.begins(head)), None)


def read_opened(opened: Opened) -> Decoded:
    """Decode the frame of a file that is wanted.

    Raises:
        ImageError: it is of no format that is read, or its reader refuses it; the message lacks the
            file's name.
    """
    row = find_format(opened.file)
    if row is None:
        *names, last = FORMATS
        what = name_other(opened.file)
        what = "broken or not an image" if what is None else f"a {what} file"
        raise ImageError(f"is {what}: {', '.join(names)} and {last} are read")
    return load(row.read)(opened)


def name_other(file: BinaryIO) -> str | None:
    """What a file of none of these formats is, by its first bytes; None: nobody knows."""
    file.seek(0)
    head = file.read(HEAD)
    return next((name for name, begins in _OTHERS.items() if begins(head)), None)


def count_opened(opened: Opened) -> int:
    """How many frames a file holds; 1 where it is of no format that is read.

    Raises:
        Exception: what its reader raises.
    """
    row = find_format(opened.file)
    return 1 if row is None or row.count is None else load(row.count)(opened)


def size_by_header(file: BinaryIO) -> Size | None:
    """Width and height of an open file of one image, the way up that it is shown; None where its header
    is broken, and for formats of several frames."""
    row = find_format(file)
    size = None if row is None or row.size is None else load(row.size)(file)
    if size is None or row.orientation is None:
        return size
    return upright_size(*size, load(row.orientation)(file))
