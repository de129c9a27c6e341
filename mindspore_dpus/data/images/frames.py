"""Files of several frames: ``scan.dcm#3`` is the third frame of ``scan.dcm``.

A multi-frame DICOM or multi-page TIFF file gives a row a frame. Frames are counted from 1, as in the
DICOM standard and in viewers. A file of one frame goes by its plain name.
"""

import os
import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mindspore_dpus.core.errors import UserError, one_line
from mindspore_dpus.data.images.formats import SINGLE, count_opened
from mindspore_dpus.data.images.opened import Opened

if TYPE_CHECKING:  # A PC on the line has no pandas.
    import pandas as pd

_FRAME = re.compile(r"(.+)#([1-9]\d{0,8})", re.DOTALL)
# A part of a frame (``data.images.regions``), which is of the same file.
_REGION = re.compile(r"(.+)(#xywh=[-\d.,]+)", re.DOTALL)


def split_frame(path: str | Path) -> tuple[Path, int | None]:
    """The file that a name means, and the frame, from 1; None where the name gives none.

    A file whose own name ends in such a number is meant by it. A region of a frame
    (``data.images.regions``) is of the frame's file.
    """
    path = without_region(path)
    match = _FRAME.fullmatch(str(path))
    if match is None or os.path.isfile(path):  # noqa: PTH113 - too long a name is none
        return Path(path), None
    return Path(match[1]), int(match[2])


def without_region(path: str | Path) -> str | Path:
    """The frame that a region is a part of; of any other name, the name."""
    match = _REGION.fullmatch(str(path))
    return path if match is None or os.path.isfile(path) else match[1]  # noqa: PTH113


def count_frames(path: str | Path) -> int:
    """How many frames a file holds: by its content; 1 where it cannot be read (whoever decodes it says
    why)."""
    path = Path(path)
    if path.suffix.lower() in SINGLE:
        return 1
    try:
        if not path.is_file():
            return 1
        with path.open("rb") as file:
            return count_opened(Opened(path, file))
    except Exception:
        return 1


def refuse_nameless(path: str, root: Path) -> None:
    """Refuse a file whose name cannot stand in a table.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{one_line(root / path)} has a name that is not UTF-8, as tables need it: rename it"
        ) from None


def name_frames(path: str, root: Path) -> list[str]:
    """A name for each frame of a file: its own where it has one frame, or where the name gives one.

    Args:
        path: relative to ``root``, as the names returned.
        root: a folder.

    Raises:
        UserError: the name cannot stand in a table.
    """
    refuse_nameless(path, root)
    file, frame = split_frame(root / path)
    number = 1 if frame is not None else count_frames(file)
    if number > 1 and (whole := str(without_region(path))) != path:
        raise UserError(
            f"{path}: the file holds {number} frames; name the region's, as in {whole}#1{path[len(whole) :]}"
        )
    return [path] if number == 1 else [f"{path}#{i}" for i in range(1, number + 1)]


def expand_frames(table: "pd.DataFrame", root: Path) -> "pd.DataFrame":
    """A row a frame: files of several frames become as many rows, alike in all but the path.

    Args:
        table: a sample table, paths relative to ``root``.
        root: the data root.

    Returns:
        The table. Frames of one file are of one group, unless the table names another: a split never
        separates the views of one part.

    Raises:
        UserError: a frame is named more than once.
    """
    names = [name_frames(path, root) for path in table["path"]]
    rows = np.repeat(np.arange(len(table)), [len(found) for found in names])
    table = table.iloc[rows].assign(path=list(chain.from_iterable(names))).reset_index(drop=True)
    repeated = table["path"][table["path"].duplicated()]
    if len(repeated):
        raise UserError(f"data.manifest: {repeated.iloc[0]} is named more than once")
    for i, (path, group) in enumerate(zip(table["path"], table["group"], strict=True)):
        file, frame = split_frame(root / path)
        if not group and (frame is not None or file != root / path):
            table.loc[i, "group"] = path[: len(path) - len(str(root / path)) + len(str(file))]
    return table
