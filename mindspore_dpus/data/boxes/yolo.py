"""YOLO text: a file a frame, a line a box: ``class x y width height``, perhaps a score.

x and y are the box's centre; all four are shares of the frame, so the frame's size is needed both ways.
Classes are numbers, their names the lines of ``classes.txt``. An empty file, and no file, say that a
frame has no boxes. Images lie where the files of labels do, or in ``images/`` where those are in
``labels/``.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_text
from mindspore_dpus.data.boxes.annotations import (
    EDGES,
    Annotations,
    Found,
    by_number,
    unknown_number,
)
from mindspore_dpus.data.boxes.images import (
    ByName,
    annotation_files,
    check_files_of_frames,
    list_images,
    stem,
)
from mindspore_dpus.data.boxes.text import number, read_text, whole
from mindspore_dpus.data.labels import trim

CLASSES = "classes.txt"
# Folders that stand for one another: the files of images/a/1.jpg and labels/a/1.txt belong together.
IMAGES, LABELS = "images", "labels"
# Shares are written with so many digits, and read as true to so many.
_DIGITS = 9


def label_files(folder: Path) -> list[Path]:
    """The text files below a folder, sorted, without ``classes.txt`` and hidden ones."""
    return [file for file in annotation_files(folder, ".txt") if file.name.lower() != CLASSES]


def recognises(path: Path) -> bool:
    """Whether this is a folder of text files, the first that is not empty with a line of YOLO's."""
    if not path.is_dir():
        return False
    empty = False
    # A link that leads nowhere says nothing of the format.
    for file in (file for file in label_files(path) if file.is_file()):
        with file.open("rb") as opened:
            cells = opened.readline(4096).decode("utf-8", "replace").split()
        if cells:
            return _is_line(cells)
        empty = True
    return empty and _find_classes(path) is not None


def _is_line(cells: list[str]) -> bool:
    try:
        return len(cells) in (5, 6) and whole(cells[0]) >= 0 and all(map(number, cells[3:5]))
    except ValueError:
        return False


def find_images(folder: Path) -> list[dict]:
    """The images that a folder of label files is about, by where they lie.

    Raises:
        UserError: they are not there.
    """
    places = [folder]
    if LABELS in folder.parts:
        last = len(folder.parts) - 1 - folder.parts[::-1].index(LABELS)
        places.insert(0, Path(*folder.parts[:last], IMAGES, *folder.parts[last + 1 :]))
    for place in places:
        if place.is_dir():
            try:
                return list_images(place)
            except UserError:
                continue
    raise UserError(
        f"{folder}: the sizes of the frames are needed, and no images lie in "
        f"{' or '.join(map(str, places))}; name their folder (data.root with data.list_frames)"
    )


def _find_classes(folder: Path) -> Path | None:
    files = (file for place in (folder, folder.parent) for file in sorted(place.glob("*")))
    return next((file for file in files if file.name.lower() == CLASSES and file.is_file()), None)


def read(path: Path, images: list[dict] | None, classes: Mapping[str, int | None] | None) -> Found:
    """Read a folder of label files; see :mod:`mindspore_dpus.data.boxes.registry` for the arguments.

    A line that is not YOLO's is a problem of its frame.

    Args:
        path: the folder.
        images: of ``list_images``; None: they are searched for.
        classes: class name -> number, where there is no ``classes.txt`` in the folder or the one above.

    Raises:
        UserError: no folder, images or names of classes; no file belongs to any image.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; YOLO has a text file a frame: give their folder")
    images = find_images(path) if images is None else images
    file = _find_classes(path)
    listed = None
    if file is not None:
        listed = {name: i for i, name in enumerate(_read_classes(file))}
    elif classes is None:
        raise UserError(f"{path}: there is no {CLASSES} with the names of the classes; give them")
    names = by_number(classes if listed is None else listed)
    by_name = ByName(images)
    sizes = {frame["path"]: (frame["width"], frame["height"]) for frame in images}
    rows: list[dict] = []
    read: dict[str, Path] = {}
    found = label_files(path)
    for labels in found:
        names_of, error = _find(by_name, labels.relative_to(path))
        name = names_of[0] if len(names_of) == 1 else None
        frame = {"path": name or stem(labels.relative_to(path).as_posix()), "place": str(labels)}
        try:
            text = read_text(labels)
        except UserError as problem:
            rows.append(frame | {"error": str(problem)})
            continue
        if name is None:
            # Of each that it may be, nobody knows what it shows.
            rows += [frame | {"path": p, "error": error} for p in names_of or [frame["path"]]]
        elif name in read:
            rows.append(frame | {"error": f"{read[name]} is also the file of {name}"})
        elif None in sizes[name]:
            error = f"the size of {name} cannot be read: it is broken, or holds several frames"
            rows.append(frame | {"error": error})
        else:
            read[name] = labels
            rows += _rows(text, labels, name, sizes[name], names)
    if found and not any(row["path"] in sizes for row in rows) and not read:
        raise UserError(
            f"{path}: none of the {len(found)} files finds its image: {found[0].name} belongs to no image "
            f"such as {images[0]['path']}; give the folder of the images that lie as the labels do"
        )
    return Found(rows, images, listed)


def _find(images: ByName, labels: Path) -> tuple[list[str], str]:
    """The images that a file of labels, a path below their folder, may belong to, and what is wrong where
    it is not one: there below the folder of the images, or with a folder ``images`` in the way, in the
    place of ``labels`` or before all others."""
    parts = list(labels.parent.parts)
    if LABELS in parts:
        last = len(parts) - 1 - parts[::-1].index(LABELS)
        parts[last] = IMAGES
    else:
        parts.insert(0, IMAGES)
    beside = PurePosixPath(*parts, labels.name)
    for name in (labels.as_posix(), beside.as_posix()):
        if found := images.all_of(name):
            return found, images.find(name)[1]
    return [], images.find(labels.as_posix())[1]


def _read_classes(file: Path) -> list[str]:
    names = [trim(line) for line in read_text(file).splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names) or len(set(names)) < len(names):
        raise UserError(f"{file} must have a class a line, none empty and none twice")
    return names


def _rows(
    text: str, file: Path, path: str, size: tuple[int, int], names: Mapping[int, str]
) -> list[dict]:
    rows = []
    for i, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        row: dict = {"path": path, "place": f"{file} line {i}", "label": ""}
        try:
            if len(cells) not in (5, 6):
                raise ValueError(f"{line.strip()[:80]!r} is not class x y width height, or with a score")
            label = whole(cells[0])
            if label not in names:
                raise ValueError(unknown_number(label, names))
            x, y, width, height = map(number, cells[1:5])
            if max(abs(v) for v in (x, y, width, height)) > 2:
                raise ValueError("x, y, width and height must be shares of the frame, not pixels")
            if len(cells) == 6:
                row["score"] = number(cells[5])
            row["label"] = names[label]
            edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            scale = (*size, *size)
            # So that whole pixels come back as such.
            row |= {k: round(e * s, 5) for k, e, s in zip(EDGES, edges, scale, strict=True)}
        except ValueError as error:
            row["error"] = str(error)
        rows.append(row)
    return rows


def write(annotations: Annotations, folder: Path) -> None:
    """Write a text file for each frame, at the frame's path below ``folder``, and ``classes.txt``.

    The classes get the numbers 0, 1, ... in their order.

    Raises:
        UserError: the size of a frame is not known, two frames differ in nothing but their ending, or a
            class's name has more than one line.
    """
    frames = annotations.frames
    check_files_of_frames(frames, folder, "text", "but YOLO's shares need it")
    if any(name != name.strip() or len(name.splitlines()) != 1 for name in annotations.classes):
        raise UserError(f"{folder}: a class's name cannot stand in a line of {CLASSES}")
    numbers = {name: i for i, name in enumerate(annotations.classes)}
    boxes = dict(iter(annotations.boxes.groupby("path", sort=False)))
    for row in frames.itertuples():
        found = boxes.get(row.path, annotations.boxes.iloc[:0])
        lines = [_line(box, numbers, int(row.width), int(row.height)) for box in found.itertuples()]
        write_text(folder / f"{stem(row.path)}.txt", "".join(lines))
    write_text(folder / CLASSES, "".join(f"{name}\n" for name in annotations.classes))


def _line(box, numbers: dict[str, int], width: int, height: int) -> str:
    shares = (
        (box.x1 + box.x2) / 2 / width,
        (box.y1 + box.y2) / 2 / height,
        (box.x2 - box.x1) / width,
        (box.y2 - box.y1) / height,
    )
    text = " ".join(f"{share:.{_DIGITS}f}" for share in shares)
    score = getattr(box, "score", None)
    text += "" if score is None or pd.isna(score) else f" {float(score)!r}"
    return f"{numbers[box.label]} {text}\n"
