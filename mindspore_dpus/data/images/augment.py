"""Random changes of training images, in position and in colour. No MindSpore here.

Every draw is made whether it is used or not: switching one change on leaves the others as they were.
All changes of position are one mapping, so an image is interpolated once, whatever is on.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from mindspore_dpus.core.settings import SHARE, at_least, below, between, key

# Sides of a random crop are to each other as 3 to 4 at most (Szegedy et al. 2015, section 6).
CROP_RATIO = 4 / 3


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of the training images. All off, as in the paper, by default."""

    horizontal_flip: bool = False
    """Mirror left and right, every other time."""
    vertical_flip: bool = False
    """Mirror top and bottom, every other time."""
    rotation: float = key(0.0, between(0, 180))
    """Rotate by up to this many degrees in either direction."""
    crop: float = key(1.0, SHARE)
    """Cut out a part of at least this share of the area, and enlarge it to the whole; 1: never."""
    zoom: float = key(0.0, at_least(0))
    """Enlarge by up to this share, about any point."""
    shear: float = key(0.0, below(90))
    """Shear by up to this many degrees, across and down, in either direction."""
    shift: float = key(0.0, below(1))
    """Shift by up to this share of the side, across and down, in either direction."""
    warp: float = key(0.0, below(0.5))
    """Move every corner by up to this share of the side, across and down, which changes the
    perspective."""
    hue: float = key(0.0, between(0, 0.5))
    """Turn the colours by up to this share of the colour circle either way (images.channels: 3)."""
    saturation: float = key(0.0, between(0, 1))
    """Strengthen or weaken the colours by up to this share (images.channels: 3)."""
    brightness: float = key(0.0, below(1))
    """Add up to this share of the value range either way."""
    contrast: float = key(0.0, below(1))
    """Scale the contrast by up to this share either way."""


@dataclass(frozen=True)
class Draws:
    """One image's random numbers; what each is used for is the name of its key in ``AugmentSettings``.

    Flips are true or false; ``crop`` holds four numbers of [0, 1) (area, ratio of the sides, place
    across, place down), ``zoom`` three (how much, place across, place down); the rest is of [-1, 1):
    ``shear`` and ``shift`` across and down, ``warp`` across and down for each of the four corners.
    """

    horizontal_flip: bool
    vertical_flip: bool
    rotation: float
    contrast: float
    brightness: float
    crop: np.ndarray
    zoom: np.ndarray
    shear: np.ndarray
    shift: np.ndarray
    warp: np.ndarray
    hue: float
    saturation: float

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Draws":
        """Draw them all, always in this order."""
        flips = rng.random(2) < 0.5
        first = rng.uniform(-1, 1, 3)
        crop, zoom = rng.random(4), rng.random(3)
        shear, shift, warp = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2), rng.uniform(-1, 1, (4, 2))
        return cls(*flips, *first, crop, zoom, shear, shift, warp, *rng.uniform(-1, 1, 2))


def augment(image: np.ndarray, config: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Change one training image at random.

    Args:
        image: (H, W, C) uint8 or uint16.
        config: which changes, and how large.
        rng: source of randomness.

    Returns:
        The same shape and dtype.
    """
    draws = Draws.of(rng)
    if config.horizontal_flip and draws.horizontal_flip:
        image = image[:, ::-1]
    if config.vertical_flip and draws.vertical_flip:
        image = image[::-1]
    if moves(config):
        image = move(image, mapping(config, draws, image.shape[1], image.shape[0]))
    if config.hue or config.saturation:
        image = recolour(image, draws.hue * config.hue, draws.saturation * config.saturation)
    if config.contrast or config.brightness:
        image = expose(image, draws.contrast * config.contrast, draws.brightness * config.brightness)
    return image


def moves(config: AugmentSettings) -> bool:
    """Whether any change of position is on that is no flip."""
    return config.crop < 1 or any(
        (config.rotation, config.zoom, config.shear, config.shift, config.warp)
    )


def mapping(config: AugmentSettings, draws: Draws, width: int, height: int) -> np.ndarray:
    """Where the pixels of an image go: crop, rotation, shear, zoom, shift, warp, in this order.

    Args:
        config: how large the changes are.
        draws: which ones this image gets.
        width, height: of the image, in pixels.

    Returns:
        (3, 3) float64: homogeneous (x, y, 1) of a pixel's centre -> its new place.
    """
    centre = (width - 1) / 2, (height - 1) / 2
    matrix = np.eye(3)
    if config.crop < 1:
        matrix = _enlarge(*_window(config.crop, draws.crop, width, height), width, height)
    if config.rotation:
        angle = draws.rotation * config.rotation
        matrix = np.vstack([cv2.getRotationMatrix2D(centre, angle, 1.0), [0, 0, 1]]) @ matrix
    if config.shear:
        across, down = np.tan(np.radians(draws.shear * config.shear))
        sheared = np.array([[1, across, -across * centre[1]], [down, 1, -down * centre[0]], [0, 0, 1]])
        matrix = sheared @ matrix
    if config.zoom:
        share = 1 / (1 + draws.zoom[0] * config.zoom)
        size = width * share, height * share
        place = draws.zoom[1] * (width - size[0]), draws.zoom[2] * (height - size[1])
        matrix = _enlarge(*place, *size, width, height) @ matrix
    if config.shift:
        shifted = np.eye(3)
        shifted[:2, 2] = draws.shift * config.shift * (width, height)
        matrix = shifted @ matrix
    if config.warp:
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
        moved = corners + draws.warp * config.warp * (width, height)
        matrix = (
            cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32)) @ matrix
        )
    return matrix


def _window(smallest: float, draws: np.ndarray, width: int, height: int) -> tuple[float, ...]:
    """Left, top, width and height of a random crop, which always lies inside the image."""
    area = smallest + draws[0] * (1 - smallest)
    # Alike for wide and tall; and no side is longer than the image's.
    ratio = math.exp((2 * draws[1] - 1) * math.log(CROP_RATIO))
    ratio = min(max(ratio, area), 1 / area)
    w, h = width * math.sqrt(area * ratio), height * math.sqrt(area / ratio)
    return draws[2] * (width - w), draws[3] * (height - h), w, h


def _enlarge(left: float, top: float, w: float, h: float, width: int, height: int) -> np.ndarray:
    """The mapping of a window on the whole image. A pixel's centre is half a pixel from its edges."""
    x, y = width / w, height / h
    return np.array(
        [
            [x, 0, (0.5 - left) * x - 0.5],
            [0, y, (0.5 - top) * y - 0.5],
            [0, 0, 1],
        ]
    )


def move(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a mapping; what comes in from outside is the image mirrored at its edges."""
    image = np.ascontiguousarray(image)
    size = image.shape[1::-1]
    if np.array_equal(matrix[2], [0, 0, 1]):
        moved = cv2.warpAffine(image, matrix[:2], size, borderMode=cv2.BORDER_REFLECT_101)
    else:
        moved = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    return moved.reshape(image.shape)


def recolour(image: np.ndarray, hue: float, saturation: float) -> np.ndarray:
    """Turn the colours, and make them stronger or weaker.

    Args:
        image: (H, W, 3) uint8 or uint16, RGB.
        hue: share of the colour circle: 1/3 makes red green.
        saturation: share by which every pixel's distance from its grey grows; -1 makes the image grey.
    """
    top = np.iinfo(image.dtype).max
    changed = image.astype(np.float32) / top
    if hue:
        hsv = cv2.cvtColor(changed, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360 * hue) % 360
        changed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if saturation:
        grey = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)[..., None]
        changed = grey + (changed - grey) * (1 + saturation)
    return np.rint(np.clip(changed, 0, 1) * top).astype(image.dtype)


def expose(image: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    """Scale the distances from the mean, and add to it.

    Args:
        image: (H, W, C) uint8 or uint16.
        contrast: share by which the distances grow.
        brightness: share of the value range that is added.
    """
    top = np.iinfo(image.dtype).max
    mean = image.mean()
    changed = (image.astype(np.float32) - mean) * (1 + contrast) + mean + brightness * top
    return np.rint(np.clip(changed, 0, top)).astype(image.dtype)
