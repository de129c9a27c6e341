"""Where an ensemble sees a class: the members' maps, averaged, as arrays and as pictures."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from mindspore import Tensor

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.files import atomic
from mindspore_dpus.data.images.preparing import ImageSettings, scale_to_unit
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.models.gradcam import GradCam
from mindspore_dpus.models.settings import HeatmapSettings
from mindspore_dpus.report.overlays import overlay, peak, shrunk, to_heatmap
from mindspore_dpus.training.ensemble import Ensemble

MAP_BATCH = 32


def evidence(
    ensemble: Ensemble, heatmaps: HeatmapSettings, images: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """What each place says for a class: the mean of the members' maps (the baseline has no part in it).

    The maps are in units of log-odds, so they are averaged as they are: a member that sees more says
    more, and what one member sees against the class counts against what another sees for it. The ReLU
    of Grad-CAM comes after the mean (``report.overlays.to_heatmap``).

    Args:
        ensemble: the members.
        heatmaps: names the layer and the method.
        images: (N, H, W, C) prepared images, uint8 or uint16.
        classes: (N,) index of the class that each image is asked about.

    Returns:
        (N, h, w) float32, of the layer's size.

    Raises:
        NoMapError: the backbone has no such layer, or none with a map.
    """
    example = Tensor(normalise(images[:1]))
    nets = [net for name, net in ensemble.nets.items() if name != BASELINE]
    cams = [GradCam(net, example, heatmaps.layer, heatmaps.method) for net in nets]
    maps = []
    firsts = range(0, len(images), MAP_BATCH)
    for first in bar(firsts, "heatmaps"):
        part = slice(first, first + MAP_BATCH)
        batch = Tensor(normalise(images[part]))
        maps.append(np.mean([cam(batch, classes[part]) for cam in cams], axis=0))
        ensemble.device.yield_to_workers()
    return np.concatenate(maps)


def write_heatmaps(
    ensemble: Ensemble,
    heatmaps: HeatmapSettings,
    reader: ImageSettings,
    images: np.ndarray,
    classes: np.ndarray,
    paths: list[str],
    folder: Path,
    root: Path = Path(),
) -> pd.DataFrame:
    """Write each radiograph, in its own shape, with the ensemble's heat over it as a PNG file.

    Args:
        ensemble, heatmaps, images, classes: as for ``evidence``.
        reader: how the stored images become grey or colour values.
        paths: (N) names of the image files. ``a/b.jpg`` becomes ``folder/a/b.jpg.png``, and so do
            ``/a/b.jpg`` and, with a folder ``_`` for each ``..``, ``../a/b.jpg``.
        folder: where to write.
        root: what the names are relative to.

    Returns:
        A row for each image: ``path``; ``heatmap``, the file in the folder; ``peak_x, peak_y``, the
        pixel of the stored image that speaks most for the class, counted from 0 at the top left
        (missing where none does).

    Raises:
        NoMapError: as for ``evidence``.
        ImageError: a file has vanished since the images were made from it.
    """
    rows = []
    for path, one in zip(paths, evidence(ensemble, heatmaps, images, classes), strict=True):
        stored = read_image(root / path, reader.value_range == "file", reader.max_pixels)
        height, width = stored.values.shape[:2]
        picture = shrunk(scale_to_unit(stored, reader))
        picture = overlay(picture, to_heatmap(one, *picture.shape[:2]))
        name = _below(path) + ".png"
        _, data = cv2.imencode(".png", picture[:, :, ::-1])
        with atomic(folder / name) as temporary:
            temporary.write_bytes(data.tobytes())
        rows.append((path, name, *(peak(one, height, width) or (None, None))))
    table = pd.DataFrame(rows, columns=["path", "heatmap", "peak_x", "peak_y"])
    return table.astype({"peak_x": "Int64", "peak_y": "Int64"})


def _below(path: str) -> str:
    """A relative name that stays below the folder that it is put in."""
    file = Path(path)
    parts = file.relative_to(file.anchor).parts
    return "/".join("_" if part == ".." else part for part in parts)
