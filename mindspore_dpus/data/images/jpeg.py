"""JPEG files: decoded by OpenCV's libjpeg, to their end."""

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.headers import jpeg_size
from mindspore_dpus.data.images.opencv import decode_by_opencv
from mindspore_dpus.data.images.opened import Opened, Size, read_whole
from mindspore_dpus.data.images.orientation import jpeg_orientation, upright


def read_jpeg(opened: Opened) -> Decoded:
    """Decode a file.

    Returns:
        Grey or RGB, uint8, the way up that its orientation says.

    Raises:
        ImageError: truncated, damaged or of a kind that is not read; the message lacks the file's name.
    """
    return read_whole(opened, jpeg_size, _decode)


def _decode(data: bytes, size: Size) -> Decoded:
    # libjpeg fills the rest of a truncated file with grey. A file that lacks nothing but its end marker is
    # refused with them: no decoder here tells it from the others.
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise ImageError("is truncated: the end of the image is missing")
    return Decoded.of(upright(decode_by_opencv(data, size), jpeg_orientation(data)))
