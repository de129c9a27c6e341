"""Frames -> what a proposal network learns from: a crop at full size, and the boxes in it.

Whole frames cost seven times as much, and frames made smaller lose the small signs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mindspore_dpus.data.boxes.arithmetic import area, as_boxes, clip
from mindspore_dpus.systems.traffic_signs.assignment import AnchorTargets, anchor_targets


@dataclass(frozen=True)
class Crop:
    """A part of a frame.

    Args:
        image: (S, S, C) uint8.
        boxes: (G, 4) float64, the signs that are visible enough, cut at the crop's edges.
        ignored: (I, 4) float64, what is left of the other signs in the crop.
    """

    image: np.ndarray
    boxes: np.ndarray
    ignored: np.ndarray


def draw_crop(
    image: np.ndarray,
    boxes: np.ndarray,
    rng: np.random.Generator,
    *,
    size: int,
    sign_share: float,
    scales: tuple[float, float] = (1.0, 1.0),
    flip: float = 0.5,
    visible: float = 0.8,
) -> Crop:
    """Cut a square out of a frame, most often around one of its signs.

    Args:
        image: (H, W, C) uint8 frame.
        boxes: (G, 4) its true boxes.
        rng: draws the place, the scale and the flip.
        size: S, side of the crop in pixels. What lies beyond the frame is black.
        sign_share: probability that the crop contains a drawn sign as a whole, where the frame has one
            that fits; otherwise it lies anywhere.
        scales: limits of the factor by which the frame is enlarged; its logarithm is drawn uniformly.
        flip: probability of a mirror image. Proposals have no class, so left may become right.
        visible: share of a sign's area in the crop from which on it counts as a sign.

    Raises:
        ValueError: the limits of the factor are not above 0 and in order.
    """
    low, high = scales
    if not 0 < low <= high:
        raise ValueError(f"scales are two numbers above 0 in order, not {low:g} and {high:g}")
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    span = size / scale  # Side of the crop in pixels of the frame.
    boxes = as_boxes(boxes)
    height, width = image.shape[:2]
    fitting = boxes[((boxes[:, 2:] - boxes[:, :2]) <= span).all(axis=1)]
    around = len(fitting) > 0 and rng.random() < sign_share
    sign = fitting[rng.integers(len(fitting))] if around else None
    left, top = (
        _draw_start(rng, span, extent, None if sign is None else (sign[axis], sign[axis + 2]))
        for axis, extent in ((0, width), (1, height))
    )
    cut = _cut(image, left, top, size, scale)
    moved = (boxes - [left, top, left, top]) * scale
    if rng.random() < flip:
        cut = cut[:, ::-1]
        moved = np.stack([size - moved[:, 2], moved[:, 1], size - moved[:, 0], moved[:, 3]], axis=1)
    inside = clip(moved, size, size)
    share = area(inside) / np.maximum(area(moved), 1e-9)
    return Crop(
        np.ascontiguousarray(cut), inside[share >= visible], inside[(share > 0) & (share < visible)]
    )


def _draw_start(
    rng: np.random.Generator, span: float, extent: int, sign: tuple[float, float] | None
) -> int:
    """First pixel of the crop along one side of the frame, so that it contains the sign if it can."""
    low, high = 0.0, max(0.0, extent - span)
    if sign is not None:
        low, high = max(low, np.ceil(sign[1] - span)), min(high, sign[0])
    low, high = int(np.ceil(low)), int(np.floor(high))
    return int(rng.integers(low, high + 1)) if high > low else low


def _cut(image: np.ndarray, left: int, top: int, size: int, scale: float) -> np.ndarray:
    """(S, S, C): the square whose first pixel is given, enlarged; black beyond the frame."""
    if scale == 1:
        part = image[top : top + size, left : left + size]
        out = np.zeros((size, size, image.shape[2]), dtype=image.dtype)
        out[: part.shape[0], : part.shape[1]] = part
        return out
    # OpenCV's pixels have their centres on whole numbers, ours half a pixel further.
    shift = (scale - 1) / 2
    matrix = np.array([[scale, 0, -left * scale + shift], [0, scale, -top * scale + shift]])
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)


class CropTargets:
    """A frame's number and a random generator -> what the network sees, and what it has to say.

    Args:
        read: number of a frame -> its image, (H, W, C) uint8; called for every crop, so that memory does
            not grow with the number of frames.
        boxes: true boxes of every frame, each (G, 4).
        anchors: (A, H, W, 4) of a crop.
        crop: arguments of ``draw_crop``.
        targets: arguments of ``anchor_targets``.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        boxes: Sequence[np.ndarray],
        anchors: np.ndarray,
        *,
        crop: dict,
        targets: dict,
    ) -> None:
        self.read = read
        self.boxes = boxes
        self.anchors = anchors
        self.crop = crop
        self.targets = targets

    def __len__(self) -> int:
        return len(self.boxes)

    def __call__(self, frame: int, rng: np.random.Generator) -> tuple[np.ndarray, AnchorTargets]:
        """The image of a crop, (S, S, C) uint8, and its targets."""
        crop = draw_crop(self.read(frame), self.boxes[frame], rng, **self.crop)
        targets = anchor_targets(self.anchors, crop.boxes, rng, ignored=crop.ignored, **self.targets)
        return crop.image, targets
