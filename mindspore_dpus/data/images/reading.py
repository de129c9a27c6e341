"""One file -> one decoded frame: values or, whatever the file holds, a line that says what is wrong."""

import stat
from pathlib import Path

import cv2

from mindspore_dpus.core.errors import explain, one_line
from mindspore_dpus.data.images.decoded import MAX_PIXELS, Decoded, ImageError
from mindspore_dpus.data.images.formats import read_opened
from mindspore_dpus.data.images.frames import split_frame, without_region
from mindspore_dpus.data.images.opened import Opened


def read_image(path: str | Path, use_voi: bool = True, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode one frame of a file without changing a stored value. Its content counts, not its name.

    Args:
        path: a file of one of ``formats.FORMATS``; ``scan.dcm#3`` is its third frame.
        use_voi: apply the window or table that a DICOM file carries for display.
        max_pixels: height times width of the largest frame that is decoded; more is refused by the
            header, before memory is taken for it.

    Returns:
        Grey or RGB values, the way up that the file's orientation says (``orientation.py``): integer or
        floating point; for DICOM as :func:`~mindspore_dpus.data.images.dicom.read_dicom` returns them.

    Raises:
        ImageError: the file is missing, empty, damaged, too large, of another format or pixel type.
    """
    try:
        file, frame = split_frame(path)
        if without_region(path) is not path:
            raise ImageError("is a region of a frame, which only a reader of regions cuts out")
        _check_regular(file)
        with file.open("rb") as opened:
            return read_opened(Opened(file, opened, frame, use_voi, max_pixels))
    except ImageError as error:
        raise ImageError(f"{one_line(path)} {error}") from None
    except FileNotFoundError as error:
        raise ImageError(f"{one_line(path)} {explain(error, file)}") from None
    except Exception as error:
        raise ImageError(f"{one_line(path)} {explain_decoder(error)}") from None


def explain_decoder(error: Exception) -> str:
    """``core.errors.explain``; of OpenCV's errors, what they say."""
    if isinstance(error, cv2.error):
        return f"cannot be decoded: {error.err}"
    return explain(error)


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
