"""One array in several files: made a part at a time, and a part that is there is not made again."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mindspore_dpus.core.files import atomic, exclusive, read_json, write_json
from mindspore_dpus.data.arrays import damaged, open_array, save_array

INDEX = "index.json"


class Shards:
    """Arrays of equally many rows (the last one has the rest), read as one (N, ...).

    Rows are found by a number, a slice, or an array of numbers. What spans parts is copied.

    Args:
        parts: one or more, alike but for the length of the last.
    """

    def __init__(self, parts: list[np.ndarray]) -> None:
        self.parts = parts
        self.rows_per_part = len(parts[0])
        self.shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        self.dtype, self.ndim = parts[0].dtype, parts[0].ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(key, slice):
            first, last, step = key.indices(len(self))
            begin, end = first // self.rows_per_part, (last - 1) // self.rows_per_part
            if begin == end:
                offset = begin * self.rows_per_part
                return self.parts[begin][first - offset : last - offset : step]
            key = np.arange(first, last, step)
        rows = np.asarray(key)
        if ((rows < -len(self)) | (rows >= len(self))).any():
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        part, place = np.divmod(rows % len(self), self.rows_per_part)
        if rows.ndim == 0:
            return self.parts[part][place]
        found = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        for number in np.unique(part):
            inside = part == number
            found[inside] = self.parts[number][place[inside]]
        return found

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype) if copy else np.asarray(self[:], dtype)


def fill_shards(
    folder: Path, n_rows: int, rows_per_part: int, make: Callable[[np.ndarray], np.ndarray | None]
) -> None:
    """Make an array of ``n_rows`` rows in ``folder``, or those of its parts that are not there.

    A killed process loses the part that it was making. A second one that wants the same array waits for
    the first.

    Args:
        folder: the array's.
        n_rows: N, one or more.
        rows_per_part: rows of every file but the last.
        make: row numbers (M,) -> their values (M, ...); or None where they cannot be made: then the
            other parts are, and the array stays unfinished.

    Raises:
        OSError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / ".lock", wait=True):
        for left in folder.glob(".*.tmp*"):
            left.unlink()
        whole = True
        for number in range(math.ceil(n_rows / rows_per_part)):
            if not _part(folder, number).exists():
                first = number * rows_per_part
                values = make(np.arange(first, min(first + rows_per_part, n_rows)))
                whole = whole and values is not None
                if values is not None:
                    with atomic(_part(folder, number)) as temporary:
                        save_array(temporary, values)
        if whole:
            head = open_array(_part(folder, 0))
            shape = [n_rows, *head.shape[1:]]
            index = {"shape": shape, "dtype": head.dtype.str, "rows_per_part": rows_per_part}
            write_json(folder / INDEX, index)


def is_filled(folder: Path) -> bool:
    """Whether ``fill_shards`` came to its end, and all that it made is still there.

    Raises:
        UserError: the index is damaged.
    """
    if not (folder / INDEX).exists():
        return False
    return all(_part(folder, number).exists() for number in range(_index(folder)[2]))


def open_shards(folder: Path) -> Shards:
    """A filled array, memory-mapped and read-only.

    Raises:
        UserError: a file is damaged, or of another array.
        FileNotFoundError: a file is missing.
    """
    shape, dtype, n_parts, rows_per_part = _index(folder)
    parts = [open_array(_part(folder, number)) for number in range(n_parts)]
    for number, part in enumerate(parts):
        n_rows = min(rows_per_part, shape[0] - number * rows_per_part)
        if part.dtype != dtype or part.shape != (n_rows, *shape[1:]):
            raise damaged(_part(folder, number), f"{part.dtype} {part.shape} is not what {INDEX} says")
    return Shards(parts)


def _index(folder: Path) -> tuple[list[int], np.dtype, int, int]:
    """Shape, type, number of parts, and rows of each."""
    index = read_json(folder / INDEX)
    try:
        shape, rows_per_part = [int(n) for n in index["shape"]], int(index["rows_per_part"])
        n_parts = math.ceil(shape[0] / rows_per_part)
        if min(shape[0], rows_per_part) < 1:
            raise ValueError("it has no rows")
        return shape, np.dtype(index["dtype"]), n_parts, rows_per_part
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
        raise damaged(folder / INDEX, error) from None


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.npy"
