"""Every image is decoded and resized once, into one memory-mapped array for all who need pixels."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.bars import bar
from mindspore_dpus.data.decoded import ImageError
from mindspore_dpus.data.images import ImageSpec, load_prepared
from mindspore_dpus.data.samples import write_table
from mindspore_dpus.errors import UserError
from mindspore_dpus.processes import in_threads
from mindspore_dpus.run import atomic, digest


def cache_path(cache_dir: Path, data_fingerprint: str, spec: ImageSpec) -> Path:
    """The cache file of these images prepared in this way."""
    keys = {key: value for key, value in asdict(spec).items() if key != "max_pixels"}
    return cache_dir / f"images-{digest(data_fingerprint, keys)}.npy"


def build_cache(table: pd.DataFrame, root: Path, spec: ImageSpec, path: Path, unreadable: Path) -> None:
    """Decode and prepare every image of the table into ``path``, unless that file is there.

    Args:
        table: the sample table; row i becomes entry i.
        root: the data root.
        spec: how an image is prepared.
        path: the ``.npy`` file, (N, size, size, channels) uint8 or uint16.
        unreadable: where a table of images that cannot be read (path, error) is left.

    Raises:
        UserError: some image cannot be read (the table ``unreadable`` names all of them).
        OSError: the disk is full.
    """
    if path.exists():
        return
    names = table["path"].to_numpy()
    with atomic(path) as temporary:
        images = allocate(temporary, (len(names), *spec.shape), spec.dtype)

        def load(i: int) -> str | None:
            try:
                images[i] = load_prepared(root / names[i], spec)
            except ImageError as error:
                return str(error)
            return None

        loaded = in_threads(load, range(len(names)))
        progress = bar(loaded, "images", len(names))
        errors = [(name, e) for name, e in zip(names, progress, strict=True) if e]
        images.flush()
        if errors:
            write_table(pd.DataFrame(errors, columns=["path", "error"]), unreadable)
            raise UserError(
                f"{errors[0][1]} ({len(errors)} of {len(names)} images cannot be used; all are listed "
                f"in {unreadable}: repair or remove them, then start again)"
            )
    unreadable.unlink(missing_ok=True)


def allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """An empty ``.npy`` file with its blocks reserved: writing to a memory map on a full disk would
    otherwise kill the process instead of raising an error."""
    images = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
    return images


def open_cache(path: Path) -> np.ndarray:
    """The images, or features, as a read-only memory map, (N, ...).

    Raises:
        UserError: the file is torn.
    """
    try:
        return np.load(path, mmap_mode="r")
    except OSError:
        raise
    except Exception as error:  # NumPy raises what it pleases on broken files, as below zipfile and zlib
        raise _torn(path, error) from None


def load_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file: name -> array.

    Args:
        path: the file.
        names: which; default: all.

    Raises:
        UserError: the file is torn, or an array is not in it.
    """
    try:
        with np.load(path) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError:
        raise
    except Exception as error:
        raise _torn(path, error) from None


def _torn(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path} is torn or of another kind ({reason}); delete it and start the same command again"
    )
