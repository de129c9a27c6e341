"""The formats of boxes: one row each, and reading whatever format a file is in.

Not in ``__init__``: box arithmetic is used where there is no pandas.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes import coco, gtsdb, manifest, voc, yolo
from mindspore_dpus.data.boxes.annotations import TOLERANCE, Annotations, Found, check, check_annotations
from mindspore_dpus.data.boxes.images import list_images, with_images
from mindspore_dpus.data.labels import refuse_alike

AUTO = "auto"


class Format(NamedTuple):
    """One format.

    Args:
        title: what it is, for messages.
        recognises: whether a file or folder is of it, by a look at its beginning.
        read: (path, images of ``list_images`` or None, class name -> number or None for classes that have
            none, or no classes at all) -> what it found.
        write: (annotations, path).
    """

    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, list[dict] | None, Mapping[str, int | None] | None], Found]
    write: Callable[[Annotations, Path], None]


FORMATS = {
    "boxes": Format("CSV with path,x1,y1,x2,y2", manifest.recognises, manifest.read, manifest.write),
    "gtsdb": Format("gt.txt of GTSDB", gtsdb.recognises, gtsdb.read, gtsdb.write),
    "coco": Format("COCO JSON", coco.recognises, coco.read, coco.write),
    "voc": Format("Pascal VOC XML", voc.recognises, voc.read, voc.write),
    "yolo": Format("folder of YOLO text files", yolo.recognises, yolo.read, yolo.write),
}


def recognise(path: Path) -> str:
    """The format of a file or folder, by its content.

    Raises:
        UserError: it is of none or of several, or cannot be read.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; give a file of boxes, or a folder of them")
    try:
        found = [name for name, row in FORMATS.items() if row.recognises(path)]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{path} holds boxes in the formats {' and '.join(found)}; name one (data.format)"
        )
    known = ", ".join(f"{name} ({row.title})" for name, row in FORMATS.items())
    raise UserError(f"{path} is in no format of boxes that is known: {known}")


def read_boxes(
    path: str | Path,
    format: str = AUTO,
    *,
    images: str | Path | None = None,
    classes: Sequence[str] | Mapping[str, int | None] | None = None,
    strict: bool = True,
    tolerance: float = TOLERANCE,
) -> Annotations:
    """Read boxes of any format.

    Args:
        path: a file, or a folder of them.
        format: one of ``FORMATS``, or ``auto``: by the content.
        images: the folder of the frames. Every image below it is then a frame, with boxes or without;
            the sizes are the images' own; names that differ in their ending only are matched, and paths
            are relative to this folder.
        classes: the names of class 0, of class 1 ... for formats that number them, and the only classes
            that are allowed in the others; or name -> number, None for a class that has no number (then a
            file of numbers cannot mean it); None: as the file says.
        strict: raise the first problem of a box or frame; else these are listed in ``problems``.
        tolerance: how many pixels a box may reach out of its frame; it is cut there.

    Returns:
        Boxes, frames, problems and classes.

    Raises:
        UserError: an unknown format; a file that cannot be read, is damaged or of another format; two
            classes that differ in capitals or spaces only; with
            ``strict``, the first box or frame that cannot be used.
    """
    path = Path(path)
    name = recognise(path) if format == AUTO else format
    if name not in FORMATS:
        raise UserError(f"the format of boxes {name!r} is unknown; choose {AUTO}, {', '.join(FORMATS)}")
    if classes is not None and (not classes or len(set(classes)) < len(classes) or not all(classes)):
        raise UserError(f"{path}: the names of the classes must be given once each, none empty")
    if classes is not None and not isinstance(classes, Mapping):
        classes = {name: i for i, name in enumerate(classes)}
    listed = None if images is None else list_images(Path(images))
    found = FORMATS[name].read(path, listed, classes)
    written = [row["label"] for row in found.rows if row.get("label") and "error" not in row]
    refuse_alike(dict.fromkeys([*written, *(found.classes or ()), *(classes or ())]), path)
    if listed is not None:
        found = with_images(found, listed)
    try:
        return check(found, classes, strict=strict, tolerance=tolerance)
    except UserError as error:
        # Of the frames, whose place is the file.
        text = str(error)
        raise UserError(text if str(path) in text else f"{path}: {text}") from None


def write_boxes(annotations: Annotations, path: str | Path, format: str) -> None:
    """Write boxes in one of ``FORMATS``.

    Args:
        annotations: sound ones; what is in ``problems`` is not written.
        path: a file; of ``voc`` and ``yolo`` a folder.
        format: the name of the format.

    Raises:
        UserError: an unknown format, or the format cannot hold these frames.
        ValueError: the tables are not sound.
    """
    if format not in FORMATS:
        raise UserError(f"the format of boxes {format!r} is unknown; choose one of {', '.join(FORMATS)}")
    check_annotations(annotations)
    FORMATS[format].write(annotations, Path(path))
