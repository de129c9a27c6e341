"""What the audit knows of each image, from decoding its file once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.files import atomic
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.data.arrays import load_arrays
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.phash import BITS, low_frequencies
from mindspore_dpus.data.images.preparing import ImageSettings, check_range, naming
from mindspore_dpus.data.images.reading import read_image

VERSION = 2
"""Raised by whoever changes what is measured: it is part of the remembered file's name."""


@dataclass
class Measures:
    """Measures of N images.

    Attributes:
        table: a row for each image: ``error`` (why it cannot be read, or empty), ``height``, ``width``,
            ``channels``, ``dtype``, ``low`` and ``high`` (smallest and largest stored value),
            ``share_low`` and ``share_high`` (shares of the stored values equal to them), ``pixels`` (a
            hash of the decoded image: equal for equal pixels, whatever the file).
        coefficients: (N, 256) float32, ``phash.low_frequencies`` of each.
    """

    table: pd.DataFrame
    coefficients: np.ndarray


def measure_images(paths: Sequence[str], root: Path, spec: ImageSettings) -> Measures:
    """Decode and measure images.

    Args:
        paths: file names, relative to ``root``.
        root: the data root.
        spec: how they will be prepared: what that would refuse cannot be read.

    Returns:
        Their measures in that order; zeros for those that cannot be read.
    """
    measured = in_threads(lambda name: measure(root / name, spec), paths)
    rows = list(bar(measured, "audit", len(paths)))
    coefficients = np.array([row.pop("coefficients") for row in rows], np.float32).reshape(-1, BITS)
    return Measures(pd.DataFrame(rows, columns=list(NOTHING)), coefficients)


NOTHING = {
    "error": "",
    "height": 0,
    "width": 0,
    "channels": 0,
    "dtype": "",
    "low": 0.0,
    "high": 0.0,
    "share_low": 0.0,
    "share_high": 0.0,
    "pixels": "",
}


def measure(path: Path, spec: ImageSettings | None = None) -> dict:
    """One row of ``Measures.table``, and ``coefficients``.

    Args:
        path: a file, or a frame of one.
        spec: how it will be prepared; None: as the configuration's defaults say.
    """
    try:
        return _measure(path, spec or ImageSettings())
    except ImageError as error:
        return NOTHING | {"error": str(error), "coefficients": np.zeros(BITS, np.float32)}


def _measure(path: Path, spec: ImageSettings) -> dict:
    decoded = read_image(path, use_voi=False, max_pixels=spec.max_pixels)
    image = decoded.values
    if spec.value_range == "file" and decoded.windowed:
        # What is measured is what is stored, equal in copies that are shown otherwise. Whether the file
        # can be used is another matter: it will be read with its window.
        decoded = read_image(path, max_pixels=spec.max_pixels)
    with naming(path):
        check_range(decoded, spec)
        low, high = image.min(), image.max()
        pixels = hashlib.blake2b(f"{image.shape} {image.dtype}".encode(), digest_size=16)
        pixels.update(np.ascontiguousarray(image))
        return {
            "error": "",
            "height": image.shape[0],
            "width": image.shape[1],
            "channels": image.shape[2] if image.ndim == 3 else 1,
            "dtype": str(image.dtype),
            "low": float(low),
            "high": float(high),
            "share_low": np.count_nonzero(image == low) / image.size,
            "share_high": np.count_nonzero(image == high) / image.size,
            "pixels": pixels.hexdigest(),
            "coefficients": low_frequencies(image),
        }


def save_measures(measures: Measures, path: Path) -> None:
    """Write measures to a ``.npz`` file, atomically."""
    columns = {
        name: column.to_numpy().astype(str) if isinstance(NOTHING[name], str) else column.to_numpy()
        for name, column in measures.table.items()
    }
    with atomic(path) as temporary:
        np.savez(temporary, coefficients=measures.coefficients, **columns)


def load_measures(path: Path) -> Measures:
    """Read what ``save_measures`` wrote."""
    arrays = load_arrays(path)
    coefficients = arrays.pop("coefficients")
    return Measures(pd.DataFrame(arrays), coefficients)
