"""COCO JSON: annotations (``images, annotations, categories``), and detections as a list of results.

``bbox`` is [x, y, width, height] in pixels, x and y counted from 0 at the frame's top left, so a box is
half-open as in our table: x2 = x + width.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.data.boxes.annotations import EDGES, FRAME_COLUMNS, Annotations, Found, check
from mindspore_dpus.data.boxes.text import number, plain, read_json_text, side, whole
from mindspore_dpus.data.labels import trim_all

_HEAD = 1 << 16


def recognises(path: Path) -> bool:
    """Whether a JSON file is an object with one of COCO's keys near its beginning."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8-sig", "replace").lstrip()
    # Bytes, not a parsed value: a file of a million boxes is read once, by whoever wants them.
    return head.startswith("{") and any(f'"{key}"' in head for key in ("images", "annotations"))


def read(path: Path, images: list[dict] | None, classes: Mapping[str, int | None] | None) -> Found:
    """Read COCO annotations; see :mod:`mindspore_dpus.data.boxes.registry` for the arguments.

    Frames keep their number as ``image_id``. A crowd, which is a region and no box, is a problem.

    Args:
        path: the JSON file.
        images, classes: not used.

    Raises:
        UserError: damaged, not COCO, an image or category without what it needs, a repeated id.
    """
    value = read_json_text(path)
    if isinstance(value, list):
        raise UserError(f"{path} is a list, as COCO results are: annotations have images and categories")
    if not isinstance(value, dict):
        raise UserError(f"{path} is not COCO JSON: it has no images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(value.get(key), list):
            raise UserError(f"{path} is not COCO JSON: it has no list {key!r}")
    names = _categories(path, value["categories"])
    frames = _frames(path, value["images"])
    rows = []
    for i, item in enumerate(value["annotations"]):
        rows.append(_row(item, f"{path} annotations[{i}]", frames, names))
        if isinstance(item, dict) and item.get("iscrowd") and "error" not in rows[-1]:
            rows[-1]["error"] = "it is a crowd (iscrowd), which is no single box"
    return Found(rows, list(frames.values()), {name: i for i, name in names.items()})


def _categories(path: Path, items: list) -> dict[int, str]:
    names: dict[int, str] = {}
    listed = []
    for i, item in enumerate(items):
        try:
            listed.append((whole(item["id"]), item["name"]))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path} categories[{i}] has no whole id and name") from None
    # What is no text is no name: as an empty one, it is refused below.
    trimmed = trim_all((n if isinstance(n, str) else "" for _, n in listed), "classes", path)
    for i, ((key, _), name) in enumerate(zip(listed, trimmed, strict=True)):
        if not name or key in names or name in names.values():
            raise UserError(f"{path} categories[{i}]: the class {name!r} is empty or named twice")
        names[key] = name
    return names


def _frames(path: Path, items: list) -> dict[int, dict]:
    frames: dict[int, dict] = {}
    for i, item in enumerate(items):
        try:
            number, name = whole(item["id"]), item["file_name"]
            size = {key: side(item.get(key)) for key in ("width", "height")}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} images[{i}] needs a whole id, a file_name, and width and height in whole pixels"
            ) from None
        if not isinstance(name, str) or not name or number in frames:
            raise UserError(f"{path} images[{i}]: the id {number} is repeated or its file_name empty")
        frames[number] = {"path": name, **size, "image_id": number}
    return frames


def _row(item: object, place: str, frames: dict[int, dict], names: dict[int, str]) -> dict:
    """One annotation or result."""
    row: dict = {"path": "", "place": place}
    if not isinstance(item, dict):
        return row | {"error": "it is not an object"}
    try:
        image = whole(item["image_id"])
        if image not in frames:
            return row | {"error": f"its image_id {image} is not among the images"}
        # Whatever else is wrong: what this frame shows is not known.
        row["path"] = frames[image]["path"]
        category = whole(item["category_id"])
        x, y, width, height = map(number, item["bbox"])
        if "score" in item:
            row["score"] = number(item["score"])
    except KeyError as error:
        return row | {"error": f"it has no {error.args[0]}"}
    except (TypeError, ValueError) as error:
        return row | {"error": f"image_id, category_id, bbox or score is wrong: {error}"}
    row |= {"x1": x, "y1": y, "x2": x + width, "y2": y + height, "label": names.get(category, "")}
    if category not in names:
        row["error"] = f"its category_id {category} is not among the categories"
    return row


def image_ids(frames: pd.DataFrame) -> dict[str, int]:
    """Path -> number of the frame: its ``image_id``, where there is one, else its place from 1."""
    if "image_id" in frames and frames["image_id"].notna().all():
        return {row.path: int(row.image_id) for row in frames.itertuples()}
    return {path: i for i, path in enumerate(frames["path"], start=1)}


def _bbox(row) -> list[int | float]:
    return [plain(v) for v in (row.x1, row.y1, row.x2 - row.x1, row.y2 - row.y1)]


def write(annotations: Annotations, path: Path) -> None:
    """Write COCO annotations. Categories have their number; frames their ``image_id``, else 1, 2, ..."""
    ids = image_ids(annotations.frames)
    images = []
    for row in annotations.frames[FRAME_COLUMNS].itertuples():
        size = {k: int(v) for k, v in (("width", row.width), ("height", row.height)) if not pd.isna(v)}
        images.append({"id": ids[row.path], "file_name": row.path, **size})
    items = []
    for i, row in enumerate(annotations.boxes.itertuples(), start=1):
        area = plain((row.x2 - row.x1) * (row.y2 - row.y1))
        item = {"id": i, "image_id": ids[row.path], "category_id": annotations.classes[row.label]}
        items.append(item | {"bbox": _bbox(row), "area": area, "iscrowd": 0})
    categories = [{"id": i, "name": name} for name, i in annotations.classes.items()]
    write_json(path, {"images": images, "annotations": items, "categories": categories})


def read_results(path: Path, reference: Annotations, *, strict: bool) -> Annotations:
    """Read detections: a list of ``image_id, category_id, bbox, score``.

    Args:
        path: the JSON file.
        reference: the annotations that its numbers of frames and classes are of.
        strict: raise the first problem instead of listing it.

    Returns:
        Boxes with a ``score`` in the frames of ``reference``, or problems.

    Raises:
        UserError: damaged, or not a list; with ``strict``, the first problem.
    """
    value = read_json_text(path)
    if not isinstance(value, list):
        raise UserError(f"{path} is not a list of COCO results")
    paths = {i: {"path": name} for name, i in image_ids(reference.frames).items()}
    names = {i: name for name, i in reference.classes.items()}
    rows = []
    for i, item in enumerate(value):
        row = _row(item, f"{path} [{i}]", paths, names)
        if "score" not in row and "error" not in row:
            row["error"] = "it has no score"
        rows.append(row)
    frames = [
        {k: None if pd.isna(v) else v for k, v in row.items()}
        for row in reference.frames.to_dict("records")
    ]
    # Where a box was found is a matter of the detector: what reaches out of the frame is cut off.
    return check(Found(rows, frames, reference.classes), None, strict=strict, tolerance=float("inf"))


def write_results(detections: pd.DataFrame, reference: Annotations, path: Path) -> None:
    """Write detections as COCO results.

    Args:
        detections: ``path, x1, y1, x2, y2, label, score``.
        reference: the annotations whose numbers of frames and classes are meant.
        path: the JSON file.
    """
    ids = image_ids(reference.frames)
    results = []
    for row in detections[["path", *EDGES, "label", "score"]].itertuples():
        item = {"image_id": ids[row.path], "category_id": reference.classes[row.label]}
        results.append(item | {"bbox": _bbox(row), "score": float(row.score)})
    write_json(path, results)
