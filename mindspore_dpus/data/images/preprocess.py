"""Fixed changes of every image before a network sees it: grey, blur, Laplacian, Canny.

All keep shape and dtype, so that one may follow the other and the network's input stays as it is: what
has one value a pixel comes back in all channels.

Source: traffic-sign paper, section 2.2, which names the four and no parameter: those are ours, and stand
here as defaults.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mindspore_dpus.core.errors import UserError


def grey(image: np.ndarray) -> np.ndarray:
    """Luma 0.299 R + 0.587 G + 0.114 B in all channels; a grey image stays.

    Args:
        image: (H, W, C) uint8 or uint16, C 1 (grey) or 3 (RGB).

    Returns:
        A new array of the same shape and dtype.
    """
    return np.repeat(_luma(image)[..., None], image.shape[2], axis=2)


def gaussian_blur(image: np.ndarray, size: int = 5, sigma: float = 1.1) -> np.ndarray:
    """A Gaussian mean, channel by channel. Beyond the edges the image is mirrored (without the edge).

    Args:
        image: (H, W, C) uint8 or uint16.
        size: side of the kernel in pixels, odd.
        sigma: standard deviation in pixels; 1.1 is what OpenCV takes for 5 pixels.

    Returns:
        A new array of the same shape and dtype.
    """
    return cv2.GaussianBlur(image, (size, size), sigma).reshape(image.shape)


def laplacian(image: np.ndarray, size: int = 1) -> np.ndarray:
    """The absolute Laplacian, channel by channel, cut at the largest value of the dtype.

    Args:
        image: (H, W, C) uint8 or uint16.
        size: 1: the four neighbours less four times the pixel; larger, odd: sums of Sobel's second
            derivatives with kernels of that side.

    Returns:
        A new array of the same shape and dtype: 0 where the image is flat.
    """
    edges = np.abs(cv2.Laplacian(image, cv2.CV_64F, ksize=size))
    return np.rint(np.minimum(edges, np.iinfo(image.dtype).max)).astype(image.dtype).reshape(image.shape)


def canny(image: np.ndarray, low: float = 100.0, high: float = 200.0) -> np.ndarray:
    """Canny's edges of the grey image, one pixel wide: the largest value of the dtype, elsewhere 0.

    Args:
        image: (H, W, C) uint8 or uint16.
        low, high: of the gradient |dx| + |dy| by Sobel's 3 x 3 kernels, of an image of 0 to 255: an edge
            begins where it is above ``high`` and goes on while it is above ``low``.

    Returns:
        A new array of the same shape and dtype.
    """
    top = np.iinfo(image.dtype).max
    luma = _luma(image)
    if luma.dtype != np.uint8:
        luma = np.rint(luma * (255 / top)).astype(np.uint8)
    edges = np.where(cv2.Canny(luma, low, high) > 0, top, 0).astype(image.dtype)
    return np.repeat(edges[..., None], image.shape[2], axis=2)


PREPROCESSING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": grey,
    "gaussian_blur": gaussian_blur,
    "laplacian": laplacian,
    "canny": canny,
}


def preprocess(image: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """Apply several changes, one after the other.

    Args:
        image: (H, W, C) uint8 or uint16.
        steps: keys of ``PREPROCESSING``; none: the image stays.

    Returns:
        The same shape and dtype.

    Raises:
        UserError: an unknown step.
    """
    for step in steps:
        if step not in PREPROCESSING:
            raise UserError(f"preprocessing {step!r} is unknown; it must be {', '.join(PREPROCESSING)}")
        image = PREPROCESSING[step](image)
    return image


def _luma(image: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) -> (H, W)."""
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[..., 0])
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
