"""Simulated radiographs of castings, by Beer-Lambert absorption, with known groups and flaws.

A random part is a thickness map in millimetres; a flaw takes thickness away, or adds a denser
material. The detector sees ``I = I0 exp(-mu T) + scatter``, blurred by its unsharpness, with
Poisson noise of the photons and Gaussian noise of the read-out. The three kinds of normal image
are those of the paper's Figure 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from mindspore_dpus.config import SimulateConfig
from mindspore_dpus.data.samples import write_table
from mindspore_dpus.errors import UserError
from mindspore_dpus.run import atomic

SUBPOPULATIONS = ("bright", "rough", "plain")
FLAWS = ("void", "shrinkage", "inclusion", "crack")

# Aluminium at some 80 keV; iron for heavy inclusions (both rounded from the NIST tables), per mm.
MU_ALUMINIUM = 0.054
MU_INCLUSION = 0.47

# Wall thickness in mm from which a part of each sub-population is drawn.
WALL = {"bright": (4.0, 9.0), "rough": (14.0, 22.0), "plain": (24.0, 34.0)}
PIXEL_MM = 0.4

# What an interrupted simulation leaves: no manifest, perhaps a temporary file.
OURS = re.compile(
    r"(train|val|test)(/(normal|defect)(/(\d{6}|\.\d{6}\.\d+\.tmp)\.png)?)?|\.manifest\.\d+\.tmp\.csv"
)


def radiograph(
    rng: np.random.Generator, config: SimulateConfig, subpopulation: str, flaw: str | None
) -> tuple[np.ndarray, dict]:
    """Simulate one image.

    Args:
        rng: source of randomness.
        config: size, bits, noise, scatter, flaw sizes.
        subpopulation: one of ``SUBPOPULATIONS``.
        flaw: one of ``FLAWS``, or None for a normal image.

    Returns:
        (size, size) uint8 or uint16; and the flaw's ``flaw_size`` (largest side in pixels),
        ``flaw_depth_mm`` and box (``box_x, box_y, box_w, box_h`` in pixels), empty without one.
    """
    thickness = part(rng, config.size, subpopulation)
    attenuation = MU_ALUMINIUM * thickness
    facts = {}
    if flaw is not None:
        shape = flaw_shape(rng, config, flaw)
        wall = float(np.median(thickness[shape > 0]))
        depth = shape * wall * rng.uniform(*config.flaw_contrast)
        # Thin walls cannot lose more than they have.
        depth = np.minimum(depth, 0.95 * thickness)
        if flaw == "inclusion":
            # As much absorption on top as a void of that depth would take away: a thin piece of iron.
            attenuation = attenuation + MU_ALUMINIUM * depth
            depth = depth * MU_ALUMINIUM / (MU_INCLUSION - MU_ALUMINIUM)
        else:
            attenuation = attenuation - MU_ALUMINIUM * depth
        rows, columns = np.nonzero(shape > 0.05)
        facts = {
            "flaw_size": int(max(np.ptp(rows), np.ptp(columns))) + 1,
            "flaw_depth_mm": round(float(depth.max()), 3),
            "box_x": int(columns.min()),
            "box_y": int(rows.min()),
            "box_w": int(np.ptp(columns)) + 1,
            "box_h": int(np.ptp(rows)) + 1,
        }
    return expose(rng, attenuation, config), facts


def part(rng: np.random.Generator, size: int, subpopulation: str) -> np.ndarray:
    """The thickness map of a random part, (size, size) float64 in mm."""
    wall = rng.uniform(*WALL[subpopulation])
    y, x = np.mgrid[0:size, 0:size] / size
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    slope = {"bright": 0.25, "rough": 0.2, "plain": 0.06}[subpopulation]
    thickness = wall * (1 + rng.uniform(0.2, 1) * slope * (along - along.mean()))
    if subpopulation != "plain":
        thickness += _ribs_and_holes(rng, x, y, wall)
    if subpopulation == "rough":
        thickness += _rough_surface(rng, size, wall)
    return np.maximum(thickness, 0.5)


def _ribs_and_holes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wall: float) -> np.ndarray:
    """Steps, ribs and bored holes: the details of a part's drawing, in mm."""
    change = np.zeros_like(x)
    for _ in range(rng.integers(1, 3)):
        angle = rng.uniform(0, 2 * np.pi)
        distance = (x - rng.uniform(0.2, 0.8)) * np.cos(angle) + (y - rng.uniform(0.2, 0.8)) * np.sin(
            angle
        )
        width = rng.uniform(0.05, 0.15)
        # A smooth edge: castings have draft angles and radii.
        change += wall * rng.uniform(0.2, 0.5) / (1 + np.exp((np.abs(distance) - width) / 0.012))
    if rng.random() < 0.5:
        centre = rng.uniform(0.1, 0.9, 2)
        radius = rng.uniform(0.12, 0.2)
        distance = np.hypot(x - centre[0], y - centre[1])
        change -= wall * rng.uniform(0.5, 0.8) / (1 + np.exp((distance - radius) / 0.012))
    return change


def _rough_surface(rng: np.random.Generator, size: int, wall: float) -> np.ndarray:
    """Concave-convex bumps as large as flaws but soft-edged: the false defects of Figure 1b."""
    noise = rng.normal(size=(size, size))
    sigma = rng.uniform(0.035, 0.06) * size
    bumps = cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return wall * rng.uniform(0.03, 0.06) * bumps / bumps.std()


def flaw_shape(rng: np.random.Generator, config: SimulateConfig, flaw: str) -> np.ndarray:
    """Relative depth of a flaw, (size, size) in 0..1, somewhere well inside the image."""
    size = config.size
    diameter = rng.uniform(*config.flaw_size) * size
    centre = rng.uniform(0.2, 0.8, 2) * size
    if flaw == "crack":
        return _crack(rng, size, centre, 1.5 * diameter)
    if flaw == "shrinkage":
        shape = np.zeros((size, size))
        for _ in range(rng.integers(4, 9)):
            offset = rng.normal(0, diameter / 3, 2)
            small = diameter * rng.uniform(0.2, 0.5)
            shape = np.maximum(shape, _ellipsoid(rng, size, centre + offset, small))
        return shape
    return _ellipsoid(rng, size, centre, diameter)


def _ellipsoid(rng: np.random.Generator, size: int, centre: np.ndarray, diameter: float) -> np.ndarray:
    """Chord length through an ellipsoid, as a share of the longest chord."""
    y, x = np.mgrid[0:size, 0:size]
    angle = rng.uniform(0, np.pi)
    dx, dy = x - centre[0], y - centre[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    a = max(diameter, 2.0) / 2
    b = max(a * rng.uniform(0.6, 1.0), 1.0)
    return np.sqrt(np.maximum(0.0, 1 - (along / a) ** 2 - (across / b) ** 2))


def _crack(rng: np.random.Generator, size: int, centre: np.ndarray, length: float) -> np.ndarray:
    """A thin wandering line, deepest in its middle."""
    steps = max(4, int(length))
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, steps))
    points = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1), 0) * length / steps
    points = np.clip(points - points.mean(0) + centre, 1, size - 2)
    shape = np.zeros((size, size))
    depths = np.sin(np.linspace(0.15, np.pi - 0.15, steps))
    for start, end, depth in zip(points[:-1], points[1:], depths[1:], strict=True):
        line = np.zeros_like(shape)
        ends = [tuple(round(v * 8) for v in p) for p in (start, end)]
        cv2.line(line, *ends, float(depth), thickness=1, lineType=cv2.LINE_8, shift=3)
        shape = np.maximum(shape, line)
    return cv2.GaussianBlur(shape, (0, 0), 0.6)


def expose(rng: np.random.Generator, attenuation: np.ndarray, config: SimulateConfig) -> np.ndarray:
    """What the detector writes for an attenuation map (mu times thickness, no unit).

    Returns:
        (size, size) uint8 or uint16, brighter where the part is thinner.
    """
    size = config.size
    primary = np.exp(-attenuation)
    scatter = cv2.GaussianBlur(primary, (0, 0), 0.2 * size, borderType=cv2.BORDER_REFLECT)
    signal = (1 - config.scatter) * primary + config.scatter * scatter
    signal = cv2.GaussianBlur(signal, (0, 0), 0.5, borderType=cv2.BORDER_REFLECT)
    counts = rng.poisson(signal * config.photons) + rng.normal(0, 2.0, signal.shape)
    top = 2**config.bits - 1
    # The scale leaves room above the mean of an open beam, so noise is not cut off there.
    grey = counts / (1.1 * config.photons) * top
    return np.clip(np.rint(grey), 0, top).astype(np.uint8 if config.bits == 8 else np.uint16)


def simulate(config: SimulateConfig, folder: Path, random_state: int) -> Path:
    """Write a data set of simulated radiographs and its manifest.

    Args:
        config: numbers, sizes and proportions.
        folder: where to; images go to ``{split}/{class}/``.
        random_state: seed; equal seeds give equal files.

    Returns:
        The manifest: columns ``path,label,split,group,subpopulation,flaw,flaw_size,flaw_depth_mm,
        box_x,box_y,box_w,box_h``. It is written last, so a folder with one is complete.

    Raises:
        UserError: the folder holds something else than simulated radiographs.
    """
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    plan = list(_plan(config))
    rows = []
    for i, (split, label) in enumerate(tqdm(plan, "simulate", leave=False, disable=None)):
        rng = np.random.default_rng([random_state, i])
        proportions = np.array(config.proportions) / sum(config.proportions)
        subpopulation = str(rng.choice(SUBPOPULATIONS, p=proportions))
        flaw = str(rng.choice(FLAWS)) if label == "defect" else None
        image, facts = radiograph(rng, config, subpopulation, flaw)
        name = f"{split}/{label}/{i:06d}.png"
        with atomic(folder / name) as temporary:
            # Not cv2.imwrite: it reports success on a full disk.
            temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        row = {"path": name, "label": label, "split": split, "group": ""}
        rows.append(row | {"subpopulation": subpopulation, "flaw": flaw or ""} | facts)
    table = pd.DataFrame(rows)
    whole = [name for name in table if name.startswith("box_") or name == "flaw_size"]
    write_table(table.astype(dict.fromkeys(whole, "Int64")), manifest)
    return manifest


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is not ours to fill: empty, simulated before, or left half-filled."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose an empty folder for simulated radiographs")
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        with open(manifest, encoding="utf-8", errors="replace") as file:
            columns = file.readline().strip().split(",")
        foreign = None if "subpopulation" in columns else "manifest.csv"
    else:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        foreign = next((name for name in names if not OURS.fullmatch(name)), None)
    if foreign is not None:
        raise UserError(
            f"{folder} holds {foreign}, which no simulation has written; choose an empty folder"
        )


def _plan(config: SimulateConfig) -> Iterator[tuple[str, str]]:
    for split in ("train", "val", "test"):
        for label, count in zip(("normal", "defect"), getattr(config, split), strict=True):
            yield from [(split, label)] * count
