"""What a person types -> the image files that are meant. Needs Python and OpenCV only."""

import glob
import os
from collections.abc import Callable
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.delimited import read_rows
from mindspore_dpus.data.images.folders import (
    SYSTEM_FOLDERS,
    is_image,
    list_files,
    said,
    sort_files,
    walk,
)
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.data.images.frames import name_frames, split_frame
from mindspore_dpus.data.paths import native_all


def expand_paths(inputs: list[str]) -> list[Path]:
    """Expand files, folders, patterns and CSV files.

    Args:
        inputs: an image (also one that does not exist: its row will say so), a frame of one
            (``scan.dcm#3``), a folder (all images below it), a glob pattern (of files and folders), or a
            CSV with a column ``path``, relative to the CSV.

    Returns:
        The files in the order given, each once; of a file of several frames, every frame.

    Raises:
        UserError: an input that holds no images.
    """
    files: dict[Path, None] = {}
    for text in inputs:
        found = find_input(text, is_image)
        if not found:
            raise UserError(f"{text}: no images there ({', '.join(EXTENSIONS)})")
        frames = (name for file in found for name in _frames(file))
        files |= dict.fromkeys(Path(name) for name in frames)
    return list(files)


def find_input(text: str, wanted: Callable[[Path], bool]) -> list[Path]:
    """The files that one input means.

    Args:
        text: as of ``expand_paths``.
        wanted: which files of a folder, or of what matches a pattern, are meant; of the others, those
            that are no known companions are counted in a line.

    Raises:
        UserError: a CSV that is none.
    """
    path = Path(text)
    if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is none, not an error
        return list_files(path, wanted)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return [path.parent / name for name in native_all(read_paths(path), path.parent, path)]
    if glob.has_magic(text) and not os.path.exists(split_frame(path)[0]):  # noqa: PTH110
        matches = [Path(name) for name in glob.glob(text, recursive=True)]  # noqa: PTH207
        # As hidden folders are: those of systems are meant where the pattern spells them.
        foreign = SYSTEM_FOLDERS.difference(Path(text.lower()).parts)
        matches = [match for match in matches if foreign.isdisjoint(Path(str(match).lower()).parts)]
        below = (walk(match) if match.is_dir() else [match] for match in matches)
        return said(sort_files({file for files in below for file in files}, wanted), text)
    return [path]


def _frames(file: Path) -> list[str]:
    try:
        return name_frames(str(file), Path())
    except (UserError, OSError):
        # Whoever reads it says what is wrong, in its row: the other files have theirs.
        return [str(file)]


def read_paths(file: Path) -> list[str]:
    """The column ``path`` of a CSV.

    Raises:
        UserError: the file is missing, is no CSV table, has no such column or leaves it empty.
    """
    return read_rows(file, ("path",), filled=("path",)).column("path")
