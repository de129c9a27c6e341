"""Simulated radiographs of castings, by Beer-Lambert absorption, with known sub-populations and flaws.

A random part of a random material is a thickness map in millimetres; in a flaw, air or a denser metal
takes the material's place. The detector sees ``I = I0 exp(-mu T) + scatter``, blurred by its
unsharpness, with Poisson noise of the photons and Gaussian noise of the read-out. The three kinds of
normal image are those of the paper's Figure 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.files import atomic
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.simulate.places import refuse_foreign
from mindspore_dpus.data.simulate.radiograph_settings import MATERIALS, RadiographSettings

SUBPOPULATIONS = ("bright", "rough", "plain")
FLAWS = ("void", "shrinkage", "inclusion", "crack")


# Iron for heavy inclusions, per mm; same tables, same energy.
MU_INCLUSION = 0.47

# Wall thickness, in mm of aluminium, from which a part of each sub-population is drawn.
WALL = {"bright": (4.0, 9.0), "rough": (14.0, 22.0), "plain": (24.0, 34.0)}


# What an interrupted simulation leaves: no manifest, perhaps a temporary file.
OURS = re.compile(
    r"(train|val|test)(/(normal|defect)(/(\d{6}|\.\d{6}\.\d+\.tmp)\.png)?)?|\.manifest\.\d+\.tmp\.csv"
)


def radiograph(
    rng: np.random.Generator,
    config: RadiographSettings,
    subpopulation: str,
    material: str,
    flaw: str | None,
) -> tuple[np.ndarray, dict]:
    """Simulate one image.

    Args:
        rng: source of randomness.
        config: size, bits, noise, scatter, flaw sizes.
        subpopulation: one of ``SUBPOPULATIONS``.
        material: one of ``MATERIALS``.
        flaw: one of ``FLAWS``, or None for a normal image.

    Returns:
        (size, size) uint8 or uint16; and the flaw's ``flaw_size`` (largest side in pixels),
        ``flaw_depth_mm`` (of air, or of an inclusion's iron) and box (``box_x, box_y, box_w, box_h`` in
        pixels), empty without one.
    """
    mu = MATERIALS[material].mu
    thickness = part(rng, config.size, subpopulation, material)
    attenuation = mu * thickness
    if flaw is None:
        return expose(rng, attenuation, config), {}
    shape = flaw_shape(rng, config, flaw)
    depth = _void_depth(rng, config, shape, thickness)
    filling = 0.0
    if flaw == "inclusion":
        # As much absorption on top as a void of that depth would take away: a thin piece of iron.
        filling = MU_INCLUSION
        depth = depth * mu / (MU_INCLUSION - mu)
    # The filling replaces the material: a part is no thicker for its flaw.
    attenuation = attenuation + (filling - mu) * depth
    return expose(rng, attenuation, config), _flaw_facts(shape, depth)


def _void_depth(
    rng: np.random.Generator, config: RadiographSettings, shape: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    """How much of the wall is missing in a void of that shape, in mm of the part's material."""
    wall = float(np.median(thickness[shape > 0]))
    depth = shape * wall * rng.uniform(*config.flaw_contrast)
    # Thin walls cannot lose more than they have.
    return np.minimum(depth, 0.95 * thickness)


def _flaw_facts(shape: np.ndarray, depth: np.ndarray) -> dict:
    """What the manifest says of a flaw: ``shape`` bounds it, ``depth`` is in mm."""
    rows, columns = np.nonzero(shape > 0.05)
    return {
        "flaw_size": int(max(np.ptp(rows), np.ptp(columns))) + 1,
        "flaw_depth_mm": round(float(depth.max()), 3),
        "box_x": int(columns.min()),
        "box_y": int(rows.min()),
        "box_w": int(np.ptp(columns)) + 1,
        "box_h": int(np.ptp(rows)) + 1,
    }


def part(rng: np.random.Generator, size: int, subpopulation: str, material: str) -> np.ndarray:
    """The thickness map of a random part, (size, size) float64 in mm of its material."""
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
    return MATERIALS[material].wall * np.maximum(thickness, 0.5)


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


def flaw_shape(rng: np.random.Generator, config: RadiographSettings, flaw: str) -> np.ndarray:
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


def expose(rng: np.random.Generator, attenuation: np.ndarray, config: RadiographSettings) -> np.ndarray:
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


def simulate(config: RadiographSettings, folder: Path, random_state: int) -> Path:
    """Write a data set of simulated radiographs and its manifest.

    Args:
        config: numbers, sizes and proportions.
        folder: where to; images go to ``{split}/{class}/``.
        random_state: seed; equal seeds give equal files.

    Returns:
        The manifest: columns ``path,label,split,group,subpopulation,material,flaw,flaw_size,
        flaw_depth_mm,box_x,box_y,box_w,box_h``. It is written last, so a folder with one is complete.

    Raises:
        UserError: the folder holds something else than simulated radiographs.
    """
    refuse_foreign(folder, "radiographs", OURS, lambda columns: "subpopulation" in columns)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    plan = list(_plan(config))
    rows = []
    for i, (split, label) in enumerate(bar(plan, "simulate")):
        rng = np.random.default_rng([random_state, i])
        proportions = np.array(config.proportions) / sum(config.proportions)
        subpopulation = str(rng.choice(SUBPOPULATIONS, p=proportions))
        material = str(rng.choice(config.materials))
        flaw = str(rng.choice(FLAWS)) if label == "defect" else None
        image, facts = radiograph(rng, config, subpopulation, material, flaw)
        name = f"{split}/{label}/{i:06d}.png"
        with atomic(folder / name) as temporary:
            # Not cv2.imwrite: it reports success on a full disk.
            temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        row = {"path": name, "label": label, "split": split, "group": ""}
        row |= {"subpopulation": subpopulation, "material": material, "flaw": flaw or ""}
        rows.append(row | facts)
    table = pd.DataFrame(rows)
    whole = [name for name in table if name.startswith("box_") or name == "flaw_size"]
    write_table(table.astype(dict.fromkeys(whole, "Int64")), manifest)
    return manifest


def _plan(config: RadiographSettings) -> Iterator[tuple[str, str]]:
    for split in ("train", "val", "test"):
        for label, count in zip(("normal", "defect"), getattr(config, split), strict=True):
            yield from [(split, label)] * count
