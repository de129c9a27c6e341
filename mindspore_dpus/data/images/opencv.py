"""Images that OpenCV decodes, held against their own headers."""

import cv2
import numpy as np

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.opened import Size


def decode_by_opencv(data: bytes, size: Size, dtype: type = np.uint8) -> np.ndarray:
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
