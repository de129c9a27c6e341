"""Bounding-box regression: a network looks at a box with its context and says where the sign ends."""

from collections.abc import Callable

import numpy as np

from mindspore_dpus.data.boxes.arithmetic import clip, decode, encode
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.regions import prepare_regions, windows

# Detectron2's BBOX_REG_WEIGHTS of its box head: outputs of about one.
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def box_targets(truth: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What the network has to say.

    Args:
        truth: (N, 4) true boxes.
        seen: (N, 4) the windows that it sees, each of whole pixels.

    Returns:
        (N, 4) float32. They are relative to the window, which the network sees, and not to the box
        that the window was cut around: a rounded or clipped window then makes no error.

    Source: Girshick et al. 2014 (R-CNN), Appendix C, Eq. 6 to 9, with windows in place of proposals.
    """
    return encode(truth, seen, WEIGHTS).astype(np.float32)


def refine(
    frame: np.ndarray,
    boxes: np.ndarray,
    network: Callable[[np.ndarray], np.ndarray],
    images: ImageSettings,
    margin: float,
    rounds: int = 1,
) -> np.ndarray:
    """Move boxes to where the network sees the sign.

    Args:
        frame: (H, W, 3) uint8 RGB.
        boxes: (N, 4).
        network: regions (N, S, S, 3) uint8 -> (N, 4) what ``box_targets`` describes.
        images, margin: how the regions are cut.
        rounds: so many times, each time from the last boxes.

    Returns:
        (N, 4) float64, inside the frame. A box that would become empty stays as it was.
    """
    height, width = frame.shape[:2]
    for _ in range(rounds if len(boxes) else 0):
        seen = windows(width, height, boxes, margin)
        moved = decode(network(prepare_regions(frame, boxes, images, margin)), seen, WEIGHTS)
        moved = clip(moved, width, height)
        sound = ((moved[:, 2:] - moved[:, :2]) >= 1).all(axis=1)
        boxes = np.where(sound[:, np.newaxis], moved, boxes)
    return boxes
