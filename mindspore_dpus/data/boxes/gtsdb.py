"""``gt.txt`` of the German Traffic Sign Detection Benchmark: ``file;x1;y1;x2;y2;class``, a line a box.

Right and bottom edges are inclusive whole pixels there, so a box is x2 - x1 + 1 wide: one is added on
reading and taken away on writing. Classes are numbers; the names come from elsewhere, else the number is
the name. Frames without a sign are not listed: give the folder of the images to have them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_text
from mindspore_dpus.data.boxes.annotations import (
    EDGES,
    Annotations,
    Found,
    by_number,
    unknown_number,
)
from mindspore_dpus.data.boxes.text import read_text

_LINE = re.compile(r"([^;]+);(-?\d{1,9});(-?\d{1,9});(-?\d{1,9});(-?\d{1,9});(\d{1,9})")


def recognises(path: Path) -> bool:
    """Whether the first line of a text file is one of ``gt.txt``."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.readline(4096).decode("utf-8-sig", "replace")
    return _LINE.fullmatch(head.strip()) is not None


def read(path: Path, images: list[dict] | None, classes: Mapping[str, int | None] | None) -> Found:
    """Read ``gt.txt``; see :mod:`mindspore_dpus.data.boxes.registry` for the arguments.

    Args:
        path: the file.
        images: not used.
        classes: class name -> number; None: the numbers are the names.

    Raises:
        UserError: no line is of the format.
    """
    rows, numbers = [], set()
    names = None if classes is None else by_number(classes)
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            # Of the frame that it names, if it names one: what that shows is not known.
            error = f"{line.strip()[:80]!r} is not file;x1;y1;x2;y2;class"
            named = line.partition(";")[0].strip() if ";" in line else ""
            rows.append({"path": named, "place": f"{path} line {i}", "error": error})
            continue
        name, x1, y1, x2, y2 = match[1], *map(float, match.groups()[1:5])
        number = int(match[6])
        row = {"path": name, "x1": x1, "y1": y1, "x2": x2 + 1, "y2": y2 + 1}
        row["place"] = f"{path} line {i}"
        row["label"] = str(number)
        if names is not None and number not in names:
            row["error"] = unknown_number(number, names)
        elif names is not None:
            row["label"] = names[number]
        numbers.add(number)
        rows.append(row)
    if rows and all("label" not in row for row in rows):
        raise UserError(f"{rows[0]['place']}: {rows[0]['error']}")
    listed = dict.fromkeys(row["path"] for row in rows if "label" in row)
    frames = [{"path": name, "width": None, "height": None} for name in listed]
    return Found(rows, frames, {str(n): n for n in sorted(numbers)} if names is None else None)


def write(annotations: Annotations, path: Path) -> None:
    """Write ``gt.txt``: edges are rounded to whole pixels. Frames without boxes have no place in it.

    Raises:
        UserError: the name of a frame holds a semicolon.
    """
    lines = []
    edges = np.rint(annotations.boxes[EDGES].to_numpy(float)).astype(int) - (0, 0, 1, 1)
    names, labels = annotations.boxes["path"], annotations.boxes["label"]
    for name, label, box in zip(names, labels, edges, strict=True):
        if ";" in name or "\n" in name:
            raise UserError(f"{path}: the name {name!r} cannot stand in this format")
        lines.append(";".join(map(str, (name, *box, annotations.classes[label]))))
    write_text(path, "".join(f"{line}\n" for line in lines))
