"""Streets to put signs into: sky, ground, a road with its marks, houses, trees, cars."""

import cv2
import numpy as np

Colour = tuple[float, float, float]


class Street:
    """A street as it is painted, from far to near. Lengths are shares of the frame's width.

    Args:
        rng: source of randomness.
        width, height: of the frame, in pixels.

    Attributes:
        image: (height, width, 3) uint8 RGB.
        horizon: its row, in pixels.
        vanishing: the column where the road vanishes, in pixels.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng, self.width, self.height = rng, width, height
        self.horizon = height * rng.uniform(0.5, 0.62)
        self.vanishing = width * rng.uniform(0.42, 0.58)
        self.image = np.zeros((height, width, 3), np.uint8)
        self._sky()
        self._ground()
        self._far()
        self._road()
        self._roadside()
        self._cars()

    def _fill(self, points, colour: Colour) -> None:
        corners = np.rint(16 * np.array([points], np.float64)).astype(np.int32)
        cv2.fillPoly(self.image, corners, tuple(float(c) for c in colour), cv2.LINE_AA, 4)

    def _box(self, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        self._fill([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour)

    def _disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        centre = round(16 * x), round(16 * y)
        radius = max(1, round(16 * radius))
        cv2.circle(self.image, centre, radius, tuple(float(c) for c in colour), -1, cv2.LINE_AA, 4)

    def _shade(self, *colours: Colour) -> np.ndarray:
        """One of some colours, a little lighter or darker."""
        colour = np.array(colours[self.rng.integers(len(colours))], np.float64)
        return np.clip(colour * self.rng.uniform(0.75, 1.2) + self.rng.normal(0, 5, 3), 5, 250)

    def _texture(self, rows: slice, cell: float, strength: float) -> None:
        """Patches of another brightness, ``cell`` pixels large."""
        part = self.image[rows]
        small = [max(2, round(n / max(cell, 1.0))) for n in part.shape[:2]]
        patches = self.rng.normal(1, strength, small).astype(np.float32)
        factor = cv2.resize(patches, part.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        part[:] = np.clip(part * factor[..., None], 0, 255).astype(np.uint8)

    def _sky(self) -> None:
        top, low = (
            ((96, 142, 205), (190, 212, 232)),
            ((168, 176, 186), (214, 216, 216)),
            ((120, 130, 146), (226, 206, 178)),
        )[self.rng.integers(3)]
        share = np.linspace(0, 1, max(2, int(self.horizon) + 1))[:, None, None]
        sky = (1 - share) * np.array(top, float) + share * np.array(low, float)
        self.image[: len(sky)] = np.broadcast_to(sky, (len(sky), self.width, 3))[: self.height]
        self._texture(slice(0, int(self.horizon)), 0.2 * self.width, 0.05)

    def _ground(self) -> None:
        row = int(self.horizon)
        self.image[row:] = self._shade((96, 118, 62), (126, 122, 84), (132, 130, 124))
        self._texture(slice(row, None), 0.012 * self.width, 0.07)
        self._texture(slice(row, None), 0.15 * self.width, 0.1)

    def _far(self) -> None:
        """A rim of hills or woods on the horizon."""
        n = 24
        steps = np.cumsum(self.rng.normal(0, 1, n + 1))
        rim = 0.05 * self.height * (0.4 + np.abs(steps - steps.mean()) / (np.ptp(steps) + 1e-6))
        points = [(self.width * i / n, self.horizon - rim[i]) for i in range(n + 1)]
        points += [(self.width, self.horizon + 1), (0, self.horizon + 1)]
        self._fill(points, self._shade((84, 104, 88), (110, 122, 128), (62, 84, 56)))

    def _road(self) -> None:
        half = self.width * self.rng.uniform(0.55, 0.85)
        bottom = self.width * self.rng.uniform(0.4, 0.6)
        near, far = (bottom - half, bottom + half), (self.vanishing - 2, self.vanishing + 2)
        grey = self._shade((104, 104, 108), (86, 86, 90), (124, 120, 116))
        pavement = np.clip(grey * 1.25, 0, 235)
        for wider, colour in ((0.35, pavement), (0.0, grey)):
            extra = wider * half
            left, right = (near[0] - extra, self.height), (near[1] + extra, self.height)
            self._fill([left, right, (far[1], self.horizon), (far[0], self.horizon)], colour)
        self._texture(slice(int(self.horizon), None), 0.006 * self.width, 0.04)
        # Dashes: equal lengths on the road, each the shorter the farther.
        for k in range(1, 9):
            far, near = (1 / (0.35 * k + extra) for extra in (0.15, 0.0))
            corners = [
                (self._on_road(depth, bottom) + side * 0.006 * self.width * depth, self._row(depth))
                for depth, side in ((far, -1), (far, 1), (near, 1), (near, -1))
            ]
            self._fill(corners, (222, 222, 216))

    def _row(self, nearness: float) -> float:
        return self.horizon + (self.height - self.horizon) * nearness

    def _on_road(self, nearness: float, bottom: float) -> float:
        return self.vanishing + (bottom - self.vanishing) * nearness

    def _roadside(self) -> None:
        """Houses and trees on both sides, from far to near."""
        town = self.rng.random() < 0.6
        for nearness in np.sort(self.rng.uniform(0.06, 0.5, self.rng.integers(6, 14))):
            side = self.rng.choice([-1, 1])
            x = self.vanishing + side * self.width * (0.06 + nearness * self.rng.uniform(0.9, 1.8))
            if self.rng.random() < (0.65 if town else 0.2):
                self._house(x, nearness)
            else:
                self._tree(x, nearness)
        for nearness in np.sort(self.rng.uniform(0.1, 0.6, self.rng.integers(0, 3))):
            side = self.rng.choice([-1, 1])
            self._lamp(self.vanishing + side * self.width * nearness * 0.95, nearness)

    def _house(self, x: float, nearness: float) -> None:
        wide = self.width * nearness * self.rng.uniform(0.5, 0.9)
        high = self.width * nearness * self.rng.uniform(0.35, 0.7)
        ground = self._row(0.6 * nearness)
        left, top = x - wide / 2, ground - high
        wall = self._shade((206, 196, 172), (182, 110, 84), (214, 214, 208), (170, 172, 150))
        roof = self._shade((142, 62, 44), (92, 62, 54), (86, 88, 96))
        self._box(left, top, left + wide, ground, wall)
        if self.rng.random() < 0.7:
            # The gable: a triangle that is none of ours.
            over = 0.06 * wide
            peak = top - wide * self.rng.uniform(0.25, 0.5)
            self._fill([(left - over, top), (x, peak), (left + wide + over, top)], roof)
            if self.rng.random() < 0.4:
                self._disc(x, top - 0.12 * wide, 0.05 * wide, self._shade((225, 225, 220), (60, 60, 64)))
        else:
            self._box(left, top - 0.05 * high, left + wide, top, roof)
        columns, rows = self.rng.integers(2, 5), self.rng.integers(2, 4)
        glass = self._shade((60, 72, 88), (44, 48, 54), (150, 170, 186))
        for i in range(columns):
            for j in range(rows):
                at_x = left + wide * (i + 0.3) / columns
                at_y = top + high * (j + 0.25) / rows
                self._box(at_x, at_y, at_x + 0.4 * wide / columns, at_y + 0.5 * high / rows, glass)

    def _tree(self, x: float, nearness: float) -> None:
        size = self.width * nearness * self.rng.uniform(0.25, 0.5)
        ground = self._row(0.6 * nearness)
        self._box(x - 0.05 * size, ground - size, x + 0.05 * size, ground, self._shade((84, 66, 50)))
        leaf = self._shade((58, 88, 44), (82, 104, 46), (124, 98, 42), (44, 70, 46))
        if self.rng.random() < 0.25:
            peak = [(x - 0.4 * size, ground - 0.3 * size), (x, ground - 2.0 * size)]
            self._fill([*peak, (x + 0.4 * size, ground - 0.3 * size)], leaf)
            return
        for _ in range(22):
            dx, dy = self.rng.normal(0, 0.28 * size, 2)
            colour = np.clip(leaf * self.rng.uniform(0.7, 1.25), 0, 255)
            self._disc(x + dx, ground - 1.35 * size + dy, size * self.rng.uniform(0.1, 0.3), colour)

    def _lamp(self, x: float, nearness: float) -> None:
        high, thick = self.width * nearness * 0.9, self.width * nearness * 0.018
        ground, colour = self._row(0.6 * nearness), self._shade((110, 112, 116))
        self._box(x - thick / 2, ground - high, x + thick / 2, ground, colour)
        self._disc(x, ground - high, 2.2 * thick, self._shade((226, 224, 210), (120, 120, 120)))

    def _cars(self) -> None:
        for nearness in np.sort(self.rng.uniform(0.12, 0.55, self.rng.integers(0, 4))):
            side = self.rng.choice([-1, 1])
            x = self.vanishing + side * self.width * nearness * self.rng.uniform(0.1, 0.5)
            self._car(x, nearness)

    def _car(self, x: float, nearness: float) -> None:
        wide = self.width * nearness * 0.34
        ground, left = self._row(nearness), x - wide / 2
        paint = self._shade((170, 30, 34), (40, 70, 140), (190, 192, 196), (40, 42, 46), (225, 225, 222))
        for at in (0.16, 0.84):
            self._disc(left + at * wide, ground - 0.08 * wide, 0.1 * wide, (24, 24, 26))
        self._box(left, ground - 0.45 * wide, left + wide, ground - 0.1 * wide, paint)
        roof = [(left + 0.1 * wide, ground - 0.45 * wide), (left + 0.2 * wide, ground - 0.75 * wide)]
        roof += [(left + 0.8 * wide, ground - 0.75 * wide), (left + 0.9 * wide, ground - 0.45 * wide)]
        self._fill(roof, (46, 54, 62))
        lamp = (214, 36, 40) if self.rng.random() < 0.6 else (240, 238, 220)
        for at in (0.1, 0.9):
            self._disc(left + at * wide, ground - 0.34 * wide, 0.06 * wide, lamp)
        plate = (left + 0.36 * wide, ground - 0.28 * wide, left + 0.64 * wide, ground - 0.2 * wide)
        self._box(*plate, (226, 226, 222))
