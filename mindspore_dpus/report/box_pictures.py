"""Frames with boxes drawn on them, each with its class and score."""

import zlib
from collections.abc import Sequence

import cv2
import numpy as np

# Strong, apart from each other also for the colour-blind (Okabe and Ito 2008), without the black.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def colour_of(label: str) -> tuple[int, int, int]:
    """The colour of a class: always the same, whichever others there are."""
    return PALETTE[zlib.crc32(label.encode()) % len(PALETTE)]


def draw_boxes(
    frame: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    colours: Sequence[tuple[int, int, int]] | None = None,
) -> np.ndarray:
    """Draw boxes on a frame.

    The line runs just outside of a box, so that what is in it can be seen; its text stands above it, or
    below it where there is no room, and never out of the frame.

    Args:
        frame: (H, W, 3) uint8 RGB, or (H, W) grey; it is left as it is.
        boxes: (N, 4) x1, y1, x2, y2 in pixels, half-open; what lies out of the frame is not drawn.
        labels: (N,) a text for each; empty: none.
        scores: (N,) written behind the label; None: none.
        colours: (N,) RGB; None: each class has its own.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: labels, scores or colours are not as many as the boxes.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    for name, values in (("labels", labels), ("scores", scores), ("colours", colours)):
        if values is not None and len(values) != len(boxes):
            raise ValueError(f"{len(values)} {name} for {len(boxes)} boxes")
    picture = np.dstack([frame] * 3) if frame.ndim == 2 else frame.copy()
    # A frame of 1360 pixels has lines of two pixels and letters of ten.
    thickness = max(1, round(max(picture.shape[:2]) / 700))
    for i, box in enumerate(boxes):
        colour = colour_of(labels[i]) if colours is None else tuple(int(c) for c in colours[i])
        # Half-open: the last pixel of the box is the one before x2.
        x1, y1 = (int(v) for v in np.floor(box[:2]))
        x2, y2 = (int(v) - 1 for v in np.ceil(box[2:]))
        for step in range(1, thickness + 1):
            cv2.rectangle(picture, (x1 - step, y1 - step), (x2 + step, y2 + step), colour, 1)
        text = labels[i] if scores is None else f"{labels[i]} {scores[i]:.2f}".strip()
        if text:
            _write(picture, text, (x1 - thickness, y1 - thickness, y2 + thickness), colour)
    return picture


def _write(picture: np.ndarray, text: str, place: tuple[int, int, int], colour) -> None:
    """Write a text on its own ground, above ``place[1]``, else below ``place[2]``."""
    height, width = picture.shape[:2]
    scale = max(0.3, max(height, width) / 2800)
    font = cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV's letters are ASCII; another would be drawn as several question marks.
    text = text.encode("ascii", "replace").decode()
    (wide, tall), below = cv2.getTextSize(text, font, scale, 1)
    left, top, bottom = place
    high = tall + below
    start = top - high if top - high >= 0 else bottom + 1
    start = int(np.clip(start, 0, max(0, height - high)))
    left = int(np.clip(left, 0, max(0, width - wide)))
    picture[start : start + high, left : left + wide] = colour
    dark = np.dot(colour, (0.299, 0.587, 0.114)) < 110
    ink = (255, 255, 255) if dark else (0, 0, 0)
    cv2.putText(picture, text, (left, start + tall), font, scale, ink, 1, cv2.LINE_AA)
