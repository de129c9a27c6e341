"""Maps of evidence -> heatmaps, peaks, and pictures of radiographs with heat over them."""

import cv2
import numpy as np

# Even in lightness and fit for the colour-blind; unlike inferno it ends neither black nor white, which
# the radiograph already is.
COLOUR_MAP = cv2.COLORMAP_PLASMA
OPACITY = 0.6
LONGEST_SIDE = 1024


def to_heatmap(evidence: np.ndarray, height: int, width: int) -> np.ndarray:
    """Evidence for a class, enlarged to an image's size.

    Args:
        evidence: (h, w) float32, as ``models.gradcam`` gives it, summed or averaged over models.
        height, width: of the image, in pixels.

    Returns:
        (height, width) float32 from 0 to 1: bilinear between the centres of the places; 0 where nothing
        speaks for the class, 1 where most does. All 0 if no place speaks for it.

    Source: Selvaraju et al. 2017, Eq. 2 (the ReLU).
    """
    positive = np.maximum(evidence, 0).astype(np.float32)
    top = positive.max()
    if top <= 0:
        return np.zeros((height, width), np.float32)
    heat = cv2.resize(positive / top, (width, height), interpolation=cv2.INTER_LINEAR)
    # Between the centres of the places the top may be missed.
    return heat / heat.max()


def peak(evidence: np.ndarray, height: int, width: int) -> tuple[int, int] | None:
    """The pixel at the middle of the place that speaks most for the class.

    Args:
        evidence: (h, w).
        height, width: of the image, in pixels.

    Returns:
        x, y, counted from 0 at the top left; None if no place speaks for the class. (The heatmap's own
        maximum will not do: it stays level from the middle of an outer place to the image's edge.)
    """
    row, column = np.unravel_index(evidence.argmax(), evidence.shape)
    if evidence[row, column] <= 0:
        return None
    rows, columns = evidence.shape
    return int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)


def overlay(image: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Heat laid over a radiograph: the hotter, the less of it shines through.

    Args:
        image: (H, W) grey or (H, W, 3) RGB, float32 from 0 to 1.
        heatmap: (H, W) float32 from 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB; where the heat is 0, the grey image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    colours = cv2.applyColorMap(np.rint(255 * heatmap).astype(np.uint8), COLOUR_MAP)[:, :, ::-1]
    share = OPACITY * heatmap[:, :, None]
    return np.rint((1 - share) * 255 * grey[:, :, None] + share * colours).astype(np.uint8)


def shrunk(image: np.ndarray) -> np.ndarray:
    """The image, its longer side cut down to ``LONGEST_SIDE`` pixels where it is longer."""
    height, width = image.shape[:2]
    factor = LONGEST_SIDE / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
