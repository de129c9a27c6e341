"""Simulated street frames with drawn traffic signs, and every box of them known.

A sign stands beside the road as signs do: the nearer, the larger, the farther from where the road
vanishes, the higher above the horizon. Among them stand things that are round or three-cornered and no
signs. Then the camera: light, colour cast, haze, blur, noise.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic
from mindspore_dpus.data.boxes import manifest
from mindspore_dpus.data.boxes.annotations import Found, check
from mindspore_dpus.data.simulate.places import refuse_foreign
from mindspore_dpus.data.simulate.scenery import Street
from mindspore_dpus.data.simulate.sign_drawings import DISTRACTORS, SIGNS, seen

FORMATS = ("png", "jpg")
SPLITS = ("train", "val", "test")
JPEG_QUALITY = 85
# A smaller sign is a few pixels that nobody can name.
LEAST_SIZE = 10
# Metres: a sign's side, the camera's height, a sign's middle above the ground, and how far it stands
# aside.
_SIDE, _CAMERA, _MIDDLE, _ASIDE = 0.75, 1.3, (2.0, 2.9), (2.2, 6.5)
# Of a pixel that belongs to a sign's box, the sign covers so much at least.
_COVERED = 0.3
_TRIES = 40
# What a simulation leaves, and an interrupted one: perhaps a temporary file.
OURS = re.compile(
    r"(train|val|test)(/(\d{5}|\.\d{5}\.\d+\.tmp)\.(png|jpg))?"
    r"|(boxes|frames|classes)\.csv|\.(boxes|frames|classes)\.\d+\.tmp\.csv"
)


class Sign(NamedTuple):
    """A sign in a frame.

    Args:
        x1, y1, x2, y2: its box, in whole pixels, half-open.
        label: one of ``SIGNS``.
    """

    x1: int
    y1: int
    x2: int
    y2: int
    label: str


def street(
    rng: np.random.Generator,
    *,
    width: int,
    height: int,
    sign_size: tuple[float, float],
    classes: Sequence[str],
    n_signs: int,
    n_distractors: int,
    noise: float,
) -> tuple[np.ndarray, list[Sign]]:
    """Simulate one frame.

    Args:
        rng: source of randomness.
        width, height: of the frame, in pixels.
        sign_size: smallest and largest side of a sign, in pixels; every doubling equally often.
        classes: of ``SIGNS``; each as likely as the others.
        n_signs: how many signs, where there is room for them.
        n_distractors: how many things that are no signs.
        noise: standard deviation of the camera's noise, in grey levels of 255.

    Returns:
        (height, width, 3) uint8 RGB, and the signs.
    """
    scene = Street(rng, width, height)
    frame = scene.image.astype(np.float32)
    taken: list[tuple[int, int, int, int]] = []
    # First all find their places, then they are painted from far to near: nothing but the thin pole of
    # another one ever stands before a sign.
    plan = [str(rng.choice(classes)) for _ in range(n_signs)] + [None] * n_distractors
    objects = []
    for label in plan:
        size = float(np.exp(rng.uniform(*np.log(sign_size))))
        draw = DISTRACTORS[rng.integers(len(DISTRACTORS))] if label is None else SIGNS[label]
        image, cover = seen(rng, draw, size)
        place = _place(rng, scene, size, cover, taken)
        if place is not None:
            taken.append(place[2])
            objects.append((size, label, image, cover, place))
    objects.sort(key=lambda item: item[0])
    for size, _, image, cover, (left, ground, box) in objects:
        _pole(frame, (box[0] + box[2]) / 2, box[1], ground, size)
        top = box[1] - _bounds(cover)[1]
        part = frame[top : top + cover.shape[0], left : left + cover.shape[1]]
        part += cover[..., None] * (image - part)
    signs = [Sign(*box, label) for _, label, _, _, (_, _, box) in objects if label is not None]
    return _expose(rng, frame, noise), signs


def _bounds(cover: np.ndarray) -> tuple[int, int, int, int]:
    """The box of what a sign covers, half-open."""
    rows, columns = np.nonzero(cover >= _COVERED)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _place(
    rng: np.random.Generator,
    scene: Street,
    size: float,
    cover: np.ndarray,
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, float, tuple[int, int, int, int]] | None:
    """The picture's left edge, the row of the ground and the box, where a sign of that size may stand;
    None where every place tried is out of the frame or taken."""
    metre = size / _SIDE
    x1, y1, x2, y2 = _bounds(cover)
    for _ in range(_TRIES):
        side = 1 if rng.random() < 0.7 else -1
        room = (scene.width - scene.vanishing if side > 0 else scene.vanishing) - 0.6 * size
        aside = min(metre * rng.uniform(*_ASIDE), room * rng.uniform(0.6, 1.0))
        x = scene.vanishing + side * aside
        y = scene.horizon - metre * (rng.uniform(*_MIDDLE) - _CAMERA)
        left, top = (round(v - n / 2) for v, n in zip((x, y), cover.shape[::-1], strict=True))
        if left < 0 or top < 0:
            continue
        if left + cover.shape[1] > scene.width or top + cover.shape[0] > scene.height:
            continue
        box = left + x1, top + y1, left + x2, top + y2
        # Whole pictures keep apart: a pixel at an edge is of one sign.
        margin = 3
        if not any(
            box[0] - margin < other[2]
            and other[0] < box[2] + margin
            and box[1] - margin < other[3]
            and other[1] < box[3] + margin
            for other in taken
        ):
            return left, scene.horizon + metre * _CAMERA, box
    return None


def _pole(frame: np.ndarray, x: float, top: int, ground: float, size: float) -> None:
    thick = max(1, round(0.07 * size))
    left = round(x - thick / 2)
    bottom = min(round(ground), frame.shape[0])
    shades = np.linspace(150, 96, thick)[None, :, None]
    # Behind the sign, from its middle down.
    start = round(top + 0.5 * size)
    frame[start:bottom, left : left + thick] = shades[:, : frame.shape[1] - left]


def _expose(rng: np.random.Generator, frame: np.ndarray, noise: float) -> np.ndarray:
    """What the camera makes of it."""
    scale = frame.shape[1] / 1360
    frame = 255 * (frame / 255) ** rng.uniform(0.8, 1.3)
    frame *= rng.uniform(0.7, 1.25) * rng.normal(1, 0.04, 3).astype(np.float32)
    haze = rng.uniform(0, 0.2) if rng.random() < 0.4 else 0.0
    frame = (1 - haze) * frame + haze * 200
    sigma = rng.uniform(0.3, 0.6) + scale * rng.uniform(0, 0.6)
    frame = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    frame += rng.normal(0, noise, frame.shape).astype(np.float32)
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def simulate_streets(
    folder: Path,
    *,
    train: int,
    val: int,
    test: int,
    width: int,
    height: int,
    sign_size: tuple[float, float],
    classes: Sequence[str],
    signs: tuple[int, int],
    distractors: tuple[int, int],
    noise: float,
    file_format: str,
    random_state: int,
) -> Path:
    """Write a data set of simulated street frames and its boxes.

    Args:
        folder: where to; frames go to ``{split}/00000.png`` and so on.
        train, val, test: how many frames of each split.
        width, height: of the frames, in pixels: 320 x 200 to 1360 x 800 look right.
        sign_size: smallest and largest side of a sign, in pixels; GTSDB's are 16 to 128 in 1360 x 800.
        classes: some of ``SIGNS``.
        signs, distractors: fewest and most in a frame; 0 signs are a frame without a box.
        noise: standard deviation of the camera's noise, in grey levels of 255.
        file_format: one of ``FORMATS``.
        random_state: seed; equal seeds give equal files.

    Returns:
        ``boxes.csv`` of :mod:`mindspore_dpus.data.boxes.manifest`; ``frames.csv``, with the column
        ``split``, and ``classes.csv`` lie beside it. It is written last, so a folder with one is
        complete.

    Raises:
        UserError: a setting out of its range; the folder holds something else than simulated streets.
    """
    numbers, size, ranges = (train, val, test), (width, height), (signs, distractors)
    _check(numbers, size, sign_size, classes, ranges, noise, file_format)
    refuse_foreign(folder, "streets", OURS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boxes.csv").unlink(missing_ok=True)
    plan = [s for s, n in zip(SPLITS, numbers, strict=True) for _ in range(n)]
    rows, frames = [], []
    for i, split in enumerate(bar(plan, "simulate")):
        rng = np.random.default_rng([random_state, i])
        frame, found = street(
            rng,
            width=width,
            height=height,
            sign_size=sign_size,
            classes=classes,
            n_signs=int(rng.integers(signs[0], signs[1], endpoint=True)),
            n_distractors=int(rng.integers(distractors[0], distractors[1], endpoint=True)),
            noise=noise,
        )
        name = f"{split}/{i:05d}.{file_format}"
        with atomic(folder / name) as temporary:
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if file_format == "jpg" else []
            # Not cv2.imwrite: it reports success on a full disk.
            data = cv2.imencode(f".{file_format}", frame[..., ::-1], quality)[1].tobytes()
            temporary.write_bytes(data)
        frames.append({"path": name, "width": width, "height": height, "split": split})
        rows += [sign._asdict() | {"path": name, "place": name} for sign in found]
    annotations = check(Found(rows, frames, {c: i for i, c in enumerate(classes)}), None, strict=True)
    manifest.write(annotations, folder / "boxes.csv")
    return folder / "boxes.csv"


def _check(numbers, size, sign_size, classes, ranges, noise, file_format) -> None:
    """Refuse settings that are out of their range."""
    known = ", ".join(SIGNS)
    rules = (
        (min(numbers) >= 0 and sum(numbers) > 0, "train, val, test: numbers of frames, one above 0"),
        (min(size) >= 64 and max(size) <= 8192, "width and height: 64 to 8192 pixels"),
        (
            sign_size[0] >= LEAST_SIZE and sign_size[0] <= sign_size[1] <= size[1] / 3,
            f"sign_size: from {LEAST_SIZE} pixels to a third of the height ({size[1] // 3}), "
            "the smallest first",
        ),
        (len(set(classes)) == len(classes) and len(classes) > 1, "classes: two or more, each once"),
        (set(classes) <= set(SIGNS), f"classes: of {known}"),
        (all(0 <= least <= most for least, most in ranges), "signs, distractors: fewest and most"),
        (0 <= noise <= 64, "noise: 0 to 64 grey levels"),
        (file_format in FORMATS, f"file_format: {' or '.join(FORMATS)}"),
    )
    for is_right, rule in rules:
        if not is_right:
            raise UserError(f"simulated streets: a setting is out of its range; {rule}")
