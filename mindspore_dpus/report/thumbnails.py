"""Example images inside a page."""

import base64
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared

SIZE = 128


@dataclass
class Thumbnail:
    """An image with its name and a caption; ``heatmap`` is another picture of it, where there is one."""

    path: str
    uri: str
    caption: str = ""
    heatmap: str | None = None


class Thumbnails:
    """Example images as data URIs.

    Args:
        root: the data root.
        images: how they are read; shown as the networks see them, but for the size.
    """

    def __init__(self, root: Path, images: ImageSettings) -> None:
        self.root = root
        self.images = dataclasses.replace(images, size=min(SIZE, images.size), bits=16)

    def __call__(self, path: str, caption: str = "") -> Thumbnail:
        image = (load_prepared(self.root / path, self.images) >> 8).astype(np.uint8)
        return Thumbnail(path, data_uri(image), caption)


def small(image: np.ndarray) -> np.ndarray:
    """An image as large as a thumbnail, square as those are."""
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def data_uri(image: np.ndarray) -> str:
    """An 8-bit image, grey (H, W, 1) or RGB (H, W, 3), as a JPEG inside the page."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
