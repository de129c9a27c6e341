"""The one table of boxes that every format is read into and written from.

A box is a row with the columns ``path`` (the frame's file, relative to the folder of the frames), ``x1,
y1, x2, y2`` (float pixels, half-open: the box is x2 - x1 wide, and a box of the whole frame is 0, 0,
width, height), ``label`` (class name) and, for detections, ``score``. Frames are a table of their own,
so that a frame without boxes is one: an annotated street without a sign is not the same as no
annotation.

What is wrong with one box (swapped or empty, out of its frame, of an unknown class) or one frame (its
file of annotations is damaged, its size is another) is a row of a third table, ``problems``, with the place
and the error; a reader that is strict raises the first of them instead. Only sound boxes are in the
table of boxes. What is wrong with a whole annotation file is always a ``UserError``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.paths import spellings

EDGES = ["x1", "y1", "x2", "y2"]
COLUMNS = ["path", *EDGES, "label"]
FRAME_COLUMNS = ["path", "width", "height"]
PROBLEM_COLUMNS = ["path", "place", "error"]
# How far, in pixels, rounding to whole pixels may move an edge out of its frame. So far it is cut off.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Annotations:
    """Boxes, the frames they lie in, and what could not be used.

    Args:
        boxes: the columns ``COLUMNS``, perhaps ``score``, and what else the file says of a box.
        frames: a row a frame, with boxes or without: ``path, width, height`` (Int64 pixels, missing
            where nobody says), and what else the file says of a frame, as its split.
        problems: ``path, place, error``, a row for each box or frame that could not be used.
        classes: class name -> its number in the file, in the order of the class indices.
        numbered: False: neither the file nor the caller numbers the classes. Their numbers are then places
            in the alphabet, which no other file means.
    """

    boxes: pd.DataFrame
    frames: pd.DataFrame
    problems: pd.DataFrame
    classes: dict[str, int]
    numbered: bool = True

    @property
    def numbers(self) -> dict[str, int | None]:
        """Class name -> its number; None where the classes have names only."""
        return dict(self.classes) if self.numbered else dict.fromkeys(self.classes)

    def sound(self) -> "Annotations":
        """Only the frames without a problem: in the others, what is not annotated may be an object."""
        bad = set(self.problems["path"])
        boxes, frames = (
            table[~table["path"].isin(bad)].reset_index(drop=True) for table in (self.boxes, self.frames)
        )
        return replace(self, boxes=boxes, frames=frames, problems=self.problems.iloc[:0])


@dataclass(frozen=True)
class Found:
    """What a format's reader found in its file, unchecked.

    Args:
        rows: a box each: the keys of ``COLUMNS``, ``place`` (file and line or key), perhaps others; or
            ``path``, ``place`` and ``error`` where there is no box to read.
        frames: ``path, width, height`` (0 or None: unknown) of the frames that the file lists, perhaps
            others; of a file that lists none, those of its boxes.
        classes: class name -> its number in the file; None: the file does not list them.
        numbered: False: the numbers of ``classes`` are of ``Annotations.numbered``.
    """

    rows: list[dict]
    frames: list[dict]
    classes: dict[str, int] | None
    numbered: bool = True


def check(
    found: Found,
    classes: Mapping[str, int | None] | None,
    *,
    strict: bool,
    tolerance: float = TOLERANCE,
) -> Annotations:
    """Sort what a reader found into sound boxes, frames and problems.

    Args:
        found: of a reader.
        classes: the names that are allowed, with their numbers, None where they have none; None: those
            that the file lists, and of a file that lists none, those of its boxes, numbered in
            alphabetical order.
        strict: raise the first problem instead of listing it.
        tolerance: how many pixels a box may reach out of its frame; it is cut there.

    Raises:
        UserError: a frame is listed twice; with ``strict``, the first problem.
    """
    frames = _frame_table([frame for frame in found.frames if path_error(frame["path"]) is None])
    sizes = {row.path: (row.width, row.height) for row in frames.itertuples()}
    allowed = found.classes if classes is None else classes
    boxes, problems = [], []
    away = [f["path"] for f in found.frames if path_error(f["path"]) is not None]
    # A frame that leads away is a problem also where it has no box.
    alone = set(away) - {row["path"] for row in found.rows}
    nameless = [{"path": p, "place": "frame", "error": path_error(p)} for p in away if p in alone]
    for row in [*found.rows, *nameless]:
        if row["path"] not in sizes:
            # The boxes' file may write an umlaut as one character, the frames' as two.
            ways = (way for way in spellings(row["path"]) if way in sizes)
            row = row | {"path": next(ways, row["path"])}
        error = row.get("error") or _error(row, sizes, allowed, tolerance)
        if error:
            if strict:
                raise UserError(f"{row['place']}: {error}")
            problems.append({"path": row["path"], "place": row["place"], "error": error})
        else:
            inside = _cut(row, *sizes[row["path"]])
            boxes.append({k: v for k, v in (row | inside).items() if k not in ("place", "error")})
    table = pd.DataFrame(boxes, columns=None if boxes else COLUMNS)
    table = table[COLUMNS + [name for name in table if name not in COLUMNS]]
    table = table.astype(dict.fromkeys(EDGES, float) | {"path": object, "label": object})
    numbers, numbered = _numbered(table, found, classes)
    return Annotations(table, frames, pd.DataFrame(problems, columns=PROBLEM_COLUMNS), numbers, numbered)


def _frame_table(rows: list[dict]) -> pd.DataFrame:
    frames = pd.DataFrame(rows, columns=None if rows else FRAME_COLUMNS)
    frames = frames[FRAME_COLUMNS + [name for name in frames if name not in FRAME_COLUMNS]]
    repeated = frames["path"][frames["path"].duplicated()]
    if len(repeated):
        raise UserError(f"the frame {repeated.iloc[0]} is listed more than once")
    for name in ("width", "height"):
        numbers = pd.Series([value or None for value in frames[name]], dtype="Int64")
        frames[name] = numbers.to_numpy() if len(frames) == 0 else numbers
    return frames.astype({"path": object, "width": "Int64", "height": "Int64"})


def _numbered(
    table: pd.DataFrame, found: Found, names: Mapping[str, int | None] | None
) -> tuple[dict[str, int], bool]:
    """Class name -> number, and whether anybody says so."""
    listed = found.classes
    # The file's own numbers, where it has them for all.
    if listed is not None and (names is None or set(names) <= set(listed)):
        return {name: listed[name] for name in (listed if names is None else names)}, found.numbered
    if names is not None and None not in names.values():
        return dict(names), True
    order = sorted(set(table["label"])) if names is None else names
    return {name: i for i, name in enumerate(order)}, False


def path_error(path: str) -> str | None:
    """What is wrong with the name of a frame: a file of annotations must not lead out of its folder."""
    pure = PurePosixPath(path)
    if not path.strip():
        return "names no frame"
    if pure.is_absolute() or ".." in pure.parts:
        return f"names {path}, which leads out of the folder of the frames"
    return None


def _error(row: dict, sizes: dict, allowed, tolerance: float) -> str | None:
    """What is wrong with a box; None: nothing."""
    if (error := path_error(row["path"])) is not None:
        return error
    if row["path"] not in sizes:
        return f"the frame {row['path']} is not among the frames"
    if not row["label"]:
        return "the box has no class"
    if allowed is not None and row["label"] not in allowed:
        return f"the class {row['label']!r} is unknown; known are {_some(allowed)}"
    edges = [row[name] for name in EDGES]
    text = "x from {0:g} to {2:g}, y from {1:g} to {3:g}".format(*edges)
    if not all(map(math.isfinite, edges)):
        return f"the box is not made of finite numbers: {text}"
    x1, y1, x2, y2 = edges
    if x2 < x1 or y2 < y1:
        return f"the box is inverted, its right or bottom edge before the other: {text}"
    if x2 == x1 or y2 == y1:
        return f"the box is empty: {text}"
    width, height = sizes[row["path"]]
    beyond = [-x1, -y1]
    beyond += [] if pd.isna(width) else [x2 - float(width)]
    beyond += [] if pd.isna(height) else [y2 - float(height)]
    if max(beyond) > tolerance:
        size = "" if pd.isna(width) else f" of {width} x {height} pixels"
        return f"the box reaches {max(beyond):g} pixels out of its frame{size}: {text}"
    inside = _cut(row, width, height)
    if inside["x2"] <= inside["x1"] or inside["y2"] <= inside["y1"]:
        return f"the box lies outside its frame: {text}"
    return None


def _cut(row: dict, width, height) -> dict:
    """The edges of a box, cut at the frame's."""
    right = math.inf if pd.isna(width) else float(width)
    bottom = math.inf if pd.isna(height) else float(height)
    return {
        "x1": max(float(row["x1"]), 0.0),
        "y1": max(float(row["y1"]), 0.0),
        "x2": min(float(row["x2"]), right),
        "y2": min(float(row["y2"]), bottom),
    }


def by_number(classes: Mapping[str, int | None]) -> dict[int, str]:
    """Number -> name, of the classes that have a number."""
    return {number: name for name, number in classes.items() if number is not None}


def unknown_number(number: int, names: Mapping[int, str]) -> str:
    """The message for a class's number that ``names`` does not hold."""
    numbers = sorted(names)
    if not numbers:
        return f"the class {number} is given by its number, and the classes here have names only"
    known = _some(numbers)
    if numbers == list(range(len(numbers))):
        known = f"0 to {numbers[-1]}"
    return f"the class {number} is unknown; known are {known}"


def _some(names: Sequence, most: int = 8) -> str:
    shown = [repr(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def check_annotations(annotations: Annotations) -> None:
    """Refuse tables that a program has put together wrongly, before they are written or learned from.

    Raises:
        ValueError: a missing column, a box that is not sound, a frame or class that is not listed.
    """
    missing = [name for name in COLUMNS if name not in annotations.boxes]
    if missing:
        raise ValueError(f"the table of boxes has no column {missing[0]!r}")
    rows = [row | {"place": f"row {i}"} for i, row in enumerate(annotations.boxes.to_dict("records"))]
    frames = [
        {k: None if pd.isna(v) else v for k, v in row.items()}
        for row in annotations.frames[FRAME_COLUMNS].to_dict("records")
    ]
    try:
        check(Found(rows, frames, annotations.classes), None, strict=True)
    except UserError as error:
        raise ValueError(str(error)) from None
