"""Every image is decoded and resized once, into one memory-mapped array for all who need pixels."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.reader import Reader
from mindspore_dpus.data.shards import fill_shards, is_filled

# Bytes of a file: what is in memory before it is written, and what a killed process decodes again.
PART = 2**27
# Raised by whoever changes which pixels a file gives: 2 since orientation is obeyed in every format.
READER = 2


def cache_path(cache_dir: Path, data_fingerprint: str, reader: Reader) -> Path:
    """The folder of these samples read in this way."""
    return (
        cache_dir / f"samples-{digest(data_fingerprint, type(reader).__name__, results(reader), READER)}"
    )


def build_cache(table: pd.DataFrame, root: Path, reader: Reader, path: Path, unreadable: Path) -> None:
    """Decode and prepare every image of the table into ``path``, unless they are there.

    Args:
        table: the sample table; row i becomes entry i.
        root: the data root.
        reader: how a sample becomes an array.
        path: the folder of the array, (N, *reader.shape).
        unreadable: where a table of images that cannot be read (path, error) is left.

    Raises:
        UserError: some image cannot be read (the table ``unreadable`` names all of them).
        OSError: the disk is full.
    """
    if is_filled(path):
        return
    names = table["path"].to_numpy()
    errors = []

    def decode(rows: np.ndarray) -> np.ndarray | None:
        images = np.empty((len(rows), *reader.shape), reader.dtype)

        def load(i: int) -> str | None:
            try:
                images[i] = reader.load(root / names[rows[i]])
            except UserError as error:
                return str(error)
            return None

        loaded = bar(in_threads(load, range(len(rows))), "images", len(rows))
        found = [(names[row], e) for row, e in zip(rows, loaded, strict=True) if e]
        errors.extend(found)
        return None if found else images

    rows_per_part = max(1, PART // (math.prod(reader.shape) * np.dtype(reader.dtype).itemsize))
    fill_shards(path, len(names), rows_per_part, decode)
    if errors:
        # Repaired files are other content, and so another cache: nobody will come back to this one.
        shutil.rmtree(path)
        raise list_unusable(errors, len(names), unreadable)
    unreadable.unlink(missing_ok=True)


def list_unusable(errors: list[tuple[str, str]], n_images: int, listing: Path) -> UserError:
    """Write (path, error) of images that cannot be read into a table; the error that says so."""
    write_table(pd.DataFrame(errors, columns=["path", "error"]), listing)
    return unusable(errors[0][1], len(errors), n_images, listing)


def unusable(first: str, count: int, n_images: int, listing: Path) -> UserError:
    """The error for images that cannot be read.

    Args:
        first: what is wrong with the first one.
        count: how many they are.
        n_images: how many there are with the good ones.
        listing: the table that names all of them.
    """
    return UserError(
        f"{first} ({count} of {n_images} images cannot be used; all are listed in {listing}: repair or "
        "remove them, then start again)"
    )
