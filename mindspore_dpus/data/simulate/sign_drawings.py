"""Drawings of traffic signs, and how one looks from a car: turned, tilted, as small as it is far
away."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

# Side of a drawing, in pixels; coordinates are shares of it, and OpenCV's are in 1/16 of a pixel.
SIDE = 256
_SHIFT = 4

WHITE, BLACK, GREY = (238, 238, 234), (22, 22, 24), (128, 130, 132)
RED, BLUE, YELLOW = (186, 22, 34), (18, 84, 168), (246, 188, 24)

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


class Drawing:
    """A sign as it is painted, seen from in front.

    Attributes:
        image: (SIDE, SIDE, 3) uint8 RGB.
        shape: (SIDE, SIDE) uint8, 255 where the sign is, 0 beside it.
    """

    def __init__(self) -> None:
        self.image = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.shape = np.zeros((SIDE, SIDE), np.uint8)

    def disc(self, radius: float, colour: Colour, x: float = 0.5, y: float = 0.5) -> None:
        """Fill a circle."""
        for target, value in ((self.image, colour), (self.shape, 255)):
            centre = _fixed(x), _fixed(y)
            cv2.circle(target, centre, _fixed(radius), value, -1, cv2.LINE_AA, _SHIFT)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        corners = np.array([[(_fixed(x), _fixed(y)) for x, y in points]], np.int32)
        for target, value in ((self.image, colour), (self.shape, 255)):
            cv2.fillPoly(target, corners, value, cv2.LINE_AA, _SHIFT)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line with round ends, on the sign."""
        corners = np.array([[(_fixed(x), _fixed(y)) for x, y in points]], np.int32)
        thickness = round(width * SIDE)
        cv2.polylines(self.image, corners, False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def text(self, text: str, height: float, colour: Colour, bold: float = 0.05) -> None:
        """Write capitals or digits in the middle."""
        font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(bold * SIDE))
        scale = height * SIDE / cv2.getTextSize("0", font, 1.0, 1)[0][1]
        (width, tall), _ = cv2.getTextSize(text, font, scale, thickness)
        place = round((SIDE - width) / 2), round((SIDE + tall) / 2)
        cv2.putText(self.image, text, place, font, scale, colour, thickness, cv2.LINE_AA)


def _fixed(share: float) -> int:
    return round(share * SIDE * 2**_SHIFT)


def _turned(points: Points, degrees: float) -> list[tuple[float, float]]:
    """The points turned clockwise about the middle."""
    angle = np.deg2rad(degrees)
    return [
        (
            0.5 + (x - 0.5) * np.cos(angle) - (y - 0.5) * np.sin(angle),
            0.5 + (x - 0.5) * np.sin(angle) + (y - 0.5) * np.cos(angle),
        )
        for x, y in points
    ]


def regular(corners: int, radius: float, degrees: float) -> list[tuple[float, float]]:
    """A regular polygon about the middle, one corner ``degrees`` clockwise from the top."""
    top = [(0.5, 0.5 - radius)]
    return [_turned(top, degrees + 360 * i / corners)[0] for i in range(corners)]


def _triangle(up: bool, scale: float) -> list[tuple[float, float]]:
    """A triangle that fills the drawing's width at scale 1, shrunk towards its own middle."""
    high = 0.87
    points = [(0.5, 0.5 - high / 2), (1.0, 0.5 + high / 2), (0.0, 0.5 + high / 2)]
    middle = 0.5 + high / 6
    points = [(0.5 + scale * (x - 0.5), middle + scale * (y - middle)) for x, y in points]
    return points if up else [(x, 1 - y) for x, y in points]


def _ring(drawing: Drawing) -> None:
    drawing.disc(0.49, RED)
    drawing.disc(0.37, WHITE)


def _limit(text: str) -> Callable[[Drawing], None]:
    def draw(drawing: Drawing) -> None:
        _ring(drawing)
        drawing.text(text, 0.32 if len(text) < 3 else 0.26, BLACK, 0.06 if len(text) < 3 else 0.045)

    return draw


def _no_entry(drawing: Drawing) -> None:
    drawing.disc(0.49, RED)
    drawing.polygon([(0.16, 0.4), (0.84, 0.4), (0.84, 0.6), (0.16, 0.6)], WHITE)


def _ends(drawing: Drawing) -> None:
    drawing.disc(0.49, WHITE)
    for shift in (-0.12, 0.0, 0.12):
        drawing.line([(0.25 + shift, 0.79 + shift), (0.75 + shift, 0.21 + shift)], 0.035, BLACK)


def _warning(draw_inside: Callable[[Drawing], None]) -> Callable[[Drawing], None]:
    def draw(drawing: Drawing) -> None:
        drawing.polygon(_triangle(True, 1.0), RED)
        drawing.polygon(_triangle(True, 0.66), WHITE)
        draw_inside(drawing)

    return draw


def _exclamation(drawing: Drawing) -> None:
    drawing.line([(0.5, 0.46), (0.5, 0.66)], 0.09, BLACK)
    drawing.disc(0.045, BLACK, y=0.79)


def _lights(drawing: Drawing) -> None:
    for y, colour in ((0.5, RED), (0.64, YELLOW), (0.78, (20, 130, 70))):
        drawing.disc(0.075, colour, y=y)


def _give_way(drawing: Drawing) -> None:
    drawing.polygon(_triangle(False, 1.0), RED)
    drawing.polygon(_triangle(False, 0.58), WHITE)


def _stop(drawing: Drawing) -> None:
    drawing.polygon(regular(8, 0.53, 22.5), WHITE)
    drawing.polygon(regular(8, 0.49, 22.5), RED)
    drawing.text("STOP", 0.22, WHITE, 0.045)


def _priority(drawing: Drawing) -> None:
    drawing.polygon(regular(4, 0.5, 0), WHITE)
    drawing.polygon(regular(4, 0.45, 0), BLACK)
    drawing.polygon(regular(4, 0.43, 0), WHITE)
    drawing.polygon(regular(4, 0.32, 0), YELLOW)


def _arrow(degrees: float) -> Callable[[Drawing], None]:
    """A white arrow on blue; 0 points up."""

    def draw(drawing: Drawing) -> None:
        drawing.disc(0.49, WHITE)
        drawing.disc(0.46, BLUE)
        drawing.line(_turned([(0.5, 0.8), (0.5, 0.4)], degrees), 0.12, WHITE)
        drawing.polygon(_turned([(0.5, 0.13), (0.76, 0.46), (0.24, 0.46)], degrees), WHITE)

    return draw


# Names as in GTSDB.
SIGNS: dict[str, Callable[[Drawing], None]] = {
    "speed limit 30": _limit("30"),
    "speed limit 60": _limit("60"),
    "speed limit 100": _limit("100"),
    "no traffic both ways": _ring,
    "no entry": _no_entry,
    "restriction ends": _ends,
    "danger": _warning(_exclamation),
    "traffic signal": _warning(_lights),
    "give way": _give_way,
    "stop": _stop,
    "priority road": _priority,
    "go straight": _arrow(0),
    "go right": _arrow(90),
    "keep right": _arrow(135),
}


def _plain(kind: str, colour: Colour) -> Callable[[Drawing], None]:
    def draw(drawing: Drawing) -> None:
        if kind == "disc":
            drawing.disc(0.49, colour)
        elif kind == "triangle":
            drawing.polygon(_triangle(True, 1.0), colour)
        else:
            drawing.polygon(regular(4, 0.68, 45), colour)

    return draw


def _poster(kind: str, colour: Colour, text: str, ink: Colour) -> Callable[[Drawing], None]:
    def draw(drawing: Drawing) -> None:
        _plain(kind, colour)(drawing)
        drawing.text(text, 0.3, ink)

    return draw


# What is round, three-cornered or lettered beside a street and yet no sign: backs of signs, adverts,
# lamps.
DISTRACTORS: tuple[Callable[[Drawing], None], ...] = (
    _plain("disc", GREY),
    _plain("triangle", GREY),
    _plain("square", (40, 90, 60)),
    _plain("disc", (232, 226, 205)),
    _plain("triangle", (214, 122, 40)),
    _poster("disc", (30, 130, 70), "B", WHITE),
    _poster("disc", (226, 140, 30), "24", BLACK),
    _poster("disc", (120, 50, 120), "A", YELLOW),
    _poster("square", (235, 215, 60), "1", BLACK),
    _poster("square", (200, 40, 50), "XL", WHITE),
)


def drawn(draw: Callable[[Drawing], None]) -> Drawing:
    """A drawing of ``SIGNS`` or ``DISTRACTORS``."""
    drawing = Drawing()
    draw(drawing)
    return drawing


def seen(
    rng: np.random.Generator, draw: Callable[[Drawing], None], size: float
) -> tuple[np.ndarray, np.ndarray]:
    """A sign as a camera sees it: turned about its pole, tilted, faded or dirty.

    Args:
        rng: source of randomness.
        draw: a row of ``SIGNS`` or ``DISTRACTORS``.
        size: side of the drawing, in pixels of the frame.

    Returns:
        (H, W, 3) float32 RGB from 0 to 255, and (H, W) float32 from 0 to 1: how much of each pixel it
        covers. Nothing of it is cut off.
    """
    drawing = drawn(draw)
    # Three pixels for one, averaged at the end: edges as smooth as a lens makes them.
    fine = max(8, round(3 * size))
    small = [
        cv2.resize(part, (fine, fine), interpolation=cv2.INTER_AREA if fine < SIDE else cv2.INTER_CUBIC)
        for part in (drawing.image, drawing.shape)
    ]
    half = fine / 2
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]], np.float32)
    yaw, roll = rng.uniform(-0.6, 0.6), rng.normal(0, 0.05)
    depth = 1 + 0.25 * np.sin(yaw) * corners[:, 0] / half
    turned = np.stack([corners[:, 0] * np.cos(yaw), corners[:, 1]], axis=1) / depth[:, None]
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    turned = turned @ turn.T
    low = turned.min(axis=0) - 3
    side = np.ceil((np.ptp(turned, axis=0) + 6) / 3).astype(int) * 3
    to = (turned - low).astype(np.float32)
    warp = cv2.getPerspectiveTransform(corners + half, to)
    wide, high = (int(v) for v in side)
    # On black, an edge is as dark as the share of it that is beside the sign: divided out below.
    image, cover = (
        cv2.warpPerspective(part, warp, (wide, high), flags=cv2.INTER_LINEAR) for part in small
    )
    image, cover = (
        cv2.resize(part.astype(np.float32), (wide // 3, high // 3), interpolation=cv2.INTER_AREA)
        for part in (image, cover)
    )
    cover /= 255
    image /= np.maximum(cover, 1e-3)[..., None]
    return np.clip(_weathered(rng, image), 0, 255), cover


def _weathered(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Light on it, colours that have faded, and a shadow across it now and then."""
    grey = image.mean(axis=2, keepdims=True)
    image = grey + rng.uniform(0.6, 1.1) * (image - grey)
    light = rng.uniform(0.55, 1.1)
    if rng.random() < 0.3:
        high, wide = image.shape[:2]
        slope = rng.normal(0, 1, 2)
        y, x = np.mgrid[-0.5 : 0.5 : high * 1j, -0.5 : 0.5 : wide * 1j]
        shade = rng.uniform(0.5, 0.8)
        light = light * np.where(x * slope[0] + y * slope[1] > 0, shade, 1.0)[..., None]
    return (image * light + rng.uniform(0, 14)).astype(np.float32)
