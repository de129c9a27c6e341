"""Arrays in files, ``.npy`` and ``.npz``; damaged ones are named."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from mindspore_dpus.core.errors import UserError

# Bytes that are written at once.
BLOCK = 2**24


def open_array(path: Path) -> np.ndarray:
    """An array of a ``.npy`` file as a read-only memory map.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return np.load(path, mmap_mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy raises what it pleases on broken files, as below zipfile and zlib
        raise damaged(path, error) from None


def load_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file: name -> array.

    Args:
        path: the file.
        names: which; default: all.

    Raises:
        UserError: the file is damaged, or an array is not in it.
    """
    try:
        with np.load(path) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError:
        raise
    except Exception as error:
        raise damaged(path, error) from None


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file. (``numpy.save`` does not say that the disk was full when it was.)"""
    with open(path, "wb") as file:
        _write(file, array)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a ``.npz`` file.

    Args:
        path: the file.
        arrays: name -> (N, ...); read by blocks of rows, so that what is mapped is not held.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _write(file, array)


def _write(file: IO[bytes], array: np.ndarray) -> None:
    form = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(file, form)
    n_rows = max(1, BLOCK // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
    for first in range(0, len(array), n_rows):
        file.write(array[first : first + n_rows].tobytes())


def damaged(path: Path, reason: object) -> UserError:
    """The error that a damaged file of the cache, or of a run folder, is answered with."""
    reason = " ".join(str(reason).split()) or type(reason).__name__
    return UserError(
        f"{path} is damaged or of another kind ({reason}); delete it and start the same command again"
    )
