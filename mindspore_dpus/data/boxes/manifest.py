"""``boxes.csv``, the project's own layout, with ``frames.csv`` and ``classes.csv`` beside it.

``boxes.csv``: ``path,x1,y1,x2,y2,class_id,class_name``, perhaps ``score``, and what else is known of a
box. As in ``gt.txt`` right and bottom edges are inclusive: one is added on reading and taken away on
writing. ``frames.csv``: ``path,width,height`` and what else is known of a frame, as its ``split``; a
frame without boxes stands here only. ``classes.csv``: ``class_id,class_name``, so that a class without
boxes is one; a column ``numbers`` says ``none`` where the data do not number them
(``Annotations.numbered``). The files of ``other.csv`` are ``other_frames.csv`` and ``other_classes.csv``.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic
from mindspore_dpus.data.boxes.annotations import (
    COLUMNS,
    EDGES,
    Annotations,
    Found,
    by_number,
    unknown_number,
)
from mindspore_dpus.data.boxes.text import number, plain, side, whole
from mindspore_dpus.data.delimited import has_columns, read_rows
from mindspore_dpus.data.labels import trim_all

NEEDED = ("path", *EDGES)
# In the column ``numbers`` of classes.csv: classes that the data do not number.
OURS = "none"
# Columns that are read below, and keys of our own, which no column of the file may take the place of.
_OWN = ("class_id", "class_name", "score", "label", "place", "error")


def beside(path: Path, what: str) -> Path:
    """The file of ``frames`` or ``classes`` that belongs to a file of boxes."""
    name = path.stem.replace("boxes", what) if "boxes" in path.stem else f"{path.stem}_{what}"
    return path.with_name(f"{name}.csv")


def recognises(path: Path) -> bool:
    """Whether a CSV file has the columns of boxes."""
    return path.suffix.lower() == ".csv" and path.is_file() and has_columns(path, NEEDED)


def read(path: Path, images: list[dict] | None, classes: Mapping[str, int | None] | None) -> Found:
    """Read ``boxes.csv`` and what lies beside it; see :mod:`mindspore_dpus.data.boxes.registry`.

    Args:
        path: of the boxes.
        images: not used.
        classes: class name -> number; needed where the file gives numbers only. Names in the file's rows
            go first: it may number the same classes in another way.

    Raises:
        UserError: one of the files is not as it should be, or two of them contradict each other.
    """
    table = read_rows(path, NEEDED).rows
    _trim_classes(table, path)
    known, numbered = _read_classes(beside(path, "classes"))
    names: dict[int, str] = {} if known is None else {i: name for name, i in known.items()}
    given = None if known is not None or classes is None else by_number(classes)
    rows = []
    for line, cells in table:
        place = f"{path} line {line}"
        row: dict = {"path": cells["path"], "place": place}
        try:
            x1, y1, x2, y2 = (number(cells[name]) for name in EDGES)
            row |= {"x1": x1, "y1": y1, "x2": x2 + 1, "y2": y2 + 1}
            row["label"] = _label(cells, names, given, fixed=known is not None)
            if "score" in cells:
                row["score"] = number(cells["score"])
        except ValueError as error:
            row["error"] = str(error)
        others = (name for name in cells if name not in (*NEEDED, *_OWN))
        rows.append(row | {name: cells[name] for name in others})
    frames = _read_frames(beside(path, "frames"))
    if frames is None:
        paths = dict.fromkeys(row["path"] for row in rows)
        frames = [{"path": p, "width": None, "height": None} for p in paths]
    if known is None and names:
        known = {names[i]: i for i in sorted(names)}
    return Found(rows, frames, known, numbered)


def _trim_classes(table: list[tuple[int, dict[str, str]]], path: Path) -> None:
    named = [cells for _, cells in table if "class_name" in cells]
    trimmed = trim_all((cells["class_name"] for cells in named), "classes", path)
    for cells, name in zip(named, trimmed, strict=True):
        cells["class_name"] = name


def _label(
    cells: dict[str, str], names: dict[int, str], given: dict[int, str] | None, fixed: bool
) -> str:
    """The class of a row. What the rows say of numbers and names is kept in ``names`` and must agree; what
    they do not say is looked up in ``given``."""
    name = cells.get("class_name", "")
    if not cells.get("class_id"):
        if not name:
            raise ValueError("the box has no class: it needs class_name, or class_id and classes.csv")
        return name
    i = whole(cells["class_id"])
    if not name:
        if i in names:
            return names[i]
        if given is None:
            raise ValueError(f"the class {i} is unknown: classes.csv does not name it")
        if i not in given:
            raise ValueError(unknown_number(i, given))
        return given[i]
    if not fixed:
        if name in names.values() and names.get(i) != name:
            raise ValueError(f"the class {name!r} has another number in the rows above")
        names.setdefault(i, name)
    if i in names and names[i] != name:
        raise ValueError(f"the class {i} is {names[i]!r} elsewhere, here {name!r}")
    return name


def _read_classes(path: Path) -> tuple[dict[str, int] | None, bool]:
    """Class name -> number, None without such a file; and whether the numbers are the data's."""
    if not os.path.lexists(path):  # a link that leads nowhere is refused where it is read
        return None, True
    classes: dict[str, int] = {}
    table = read_rows(path, ("class_id", "class_name")).rows
    _trim_classes(table, path)
    for line, cells in table:
        try:
            i, name = whole(cells["class_id"]), cells["class_name"]
        except ValueError as error:
            raise UserError(f"{path} line {line}: {error}") from None
        if not name or name in classes or i in classes.values():
            raise UserError(f"{path} line {line}: the class {i}, {name!r}, is empty or named twice")
        classes[name] = i
    return classes, not any(cells.get("numbers") == OURS for _, cells in table)


def _read_frames(path: Path) -> list[dict] | None:
    if not os.path.lexists(path):  # a link that leads nowhere is refused where it is read
        return None
    frames = []
    for line, cells in read_rows(path, ("path",), filled=("path",)).rows:
        try:
            size = {name: side(cells.get(name)) for name in ("width", "height")}
        except ValueError as error:
            raise UserError(f"{path} line {line}: {error}") from None
        frames.append(cells | size)
    return frames


def write(annotations: Annotations, path: Path) -> None:
    """Write ``boxes.csv``, and ``frames.csv`` and ``classes.csv`` beside it."""
    boxes = annotations.boxes
    table = pd.DataFrame({"path": boxes["path"]})
    for name, inclusive in zip(EDGES, (0, 0, 1, 1), strict=True):
        table[name] = pd.Series([plain(v - inclusive) for v in boxes[name]], dtype=object)
    table["class_id"] = [annotations.classes[label] for label in boxes["label"]]
    table["class_name"] = boxes["label"]
    for name in boxes:
        if name not in COLUMNS:
            table[name] = boxes[name]
    classes = pd.DataFrame(
        {"class_id": list(annotations.classes.values()), "class_name": list(annotations.classes)}
    )
    if not annotations.numbered:
        classes["numbers"] = OURS
    # The boxes last: where they are, the others are.
    for part, file in (
        (annotations.frames, beside(path, "frames")),
        (classes, beside(path, "classes")),
        (table, path),
    ):
        with atomic(file) as temporary:
            part.to_csv(temporary, index=False)
