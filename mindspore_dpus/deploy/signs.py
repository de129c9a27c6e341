"""Signs in frames, folders and videos -> a table, COCO JSON, pictures; the detector may be an export."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mindspore_dpus.core.errors import UserError, one_line
from mindspore_dpus.core.files import atomic, write_json
from mindspore_dpus.data.images.footage import Frame, find_footage, read_frames
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.deploy.detector import Detector
from mindspore_dpus.deploy.growing import going_on
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.report.box_pictures import draw_boxes

# Characters of a frame's name in that of its picture: a name of 255 bytes holds them in any letters.
_LONGEST = 50
EDGES = ("x1", "y1", "x2", "y2")
COLUMNS = ("path", "error", *EDGES, "label", "score")


# What is kept of a frame while the others are looked at: more than a table says of one without signs.
FRAME_COLUMNS = ("path", "error", "width", "height", "signs")


def look_at(detector: Detector, frame: Frame) -> dict:
    """``FRAME_COLUMNS`` of a frame: ``signs`` are (x1, y1, x2, y2, label, score); none, and ``error``, for
    a frame that cannot be used."""
    row = dict.fromkeys(FRAME_COLUMNS) | {"path": row_name(frame.name), "error": "", "signs": []}
    if frame.image is None:
        return row | {"error": one_line(frame.error)}
    found, classes = detector.detect(frame.image), detector.settings.classes
    row["height"], row["width"] = frame.image.shape[:2]
    row["signs"] = [
        [*np.round(box, 3).tolist(), classes[c], round(float(score), 6)]
        for box, c, score in zip(found.boxes, found.classes, found.scores, strict=True)
    ]
    return row


def predict(
    detector: Detector,
    inputs: Sequence[str],
    output: Path,
    *,
    every: int,
    pictures: Path | None,
) -> dict[str, int]:
    """Find signs in frames, folders and videos; write a CSV, or COCO JSON by the ending ``.json``.

    Frames that were looked at stand in a file beside it (``deploy.growing``) until the table is written:
    started again after a crash, the same call looks at none of them again.

    Args:
        detector: what finds.
        inputs: of ``data.images.footage.find_footage``.
        output: the table; a COCO file has ``images, annotations, categories`` with scores.
        every: of a video, every so many frames.
        pictures: folder for frames with their boxes (``picture_name``); None: none.

    Returns:
        ``frames``, ``signs``, ``errors``, and how many frames were ``kept`` from an earlier start.

    Raises:
        UserError: another ending than .csv or .json; the output cannot be written there.
        OSError: the disk is full.
    """
    if output.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"output {output}: the name must end in .csv or .json")
    files = find_footage(inputs)
    made_by = detector.identity, detector.settings.to_dict(), every
    rows, number = [], 0
    with going_on(
        *(output, FRAME_COLUMNS, files, made_by),
        kind="jsonl",
        keep=FRAME_COLUMNS,
        started=True,
    ) as (results, _):
        known = results.found
        for frame in read_frames(inputs, every=every, max_pixels=detector.settings.max_pixels):
            place = len(rows)
            # Decoded anew, as a video must be, but not looked at.
            kept = place < len(known) and known[place]["path"] == row_name(frame.name)
            if kept:
                row = known[place]
            else:
                results.cut(place)
                row = look_at(detector, frame)
                results.append([row])
            if frame.image is not None:
                number += 1
                picture = None if pictures is None else pictures / picture_name(number, row["path"])
                if picture and not (kept and picture.exists()):
                    _draw(frame, row, picture)
            rows.append(row)
        if output.suffix.lower() == ".csv":
            with atomic(output) as made, open(made, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(sign_rows(rows))
        else:
            settings = detector.settings
            write_json(output, as_coco(rows, settings.classes, settings.class_numbers))
        results.path.unlink()
    errors = sum(row["error"] != "" for row in rows)
    signs = sum(len(row["signs"]) for row in rows)
    return {"frames": number, "signs": signs, "errors": errors, "kept": len(known)}


def sign_rows(frames: Sequence[dict]) -> Iterator[dict]:
    """Rows of ``COLUMNS``: a row a sign; none for a frame without; one with ``error`` for a frame that
    cannot be used."""
    for frame in frames:
        row = dict.fromkeys(COLUMNS, "") | {"path": frame["path"]}
        if frame["error"]:
            yield row | {"error": frame["error"]}
        for sign in frame["signs"]:
            yield row | dict(zip((*EDGES, "label", "score"), sign, strict=True))


def picture_name(number: int, path: str) -> str:
    """A frame's picture: its place among the frames, which no other has, and its own name, of a video with
    the frame's number: ``000002_drive.mp4_3.jpg``, ``000001_00600.jpg``."""
    name = re.split(r"[\\/]", path)[-1]
    stem, ending = name.rpartition(".")[::2]
    name = stem if stem and f".{ending.lower()}" in EXTENSIONS else name
    shown = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST]
    return f"{number:06d}_{shown}.jpg"


def as_coco(
    frames: Sequence[dict], classes: Sequence[str], numbers: Sequence[int] | None = None
) -> dict:
    """Detections as COCO annotations with scores; frames that cannot be used stand in ``errors``.

    Args:
        frames: of ``FRAME_COLUMNS``.
        classes: all class names.
        numbers: of the classes in the data that were learnt from; None: 1, 2, ...
    """
    category = dict(zip(classes, numbers or range(1, len(classes) + 1), strict=True))
    usable = [frame for frame in frames if not frame["error"]]
    signs = [(i, sign) for i, frame in enumerate(usable, start=1) for sign in frame["signs"]]
    annotations = []
    for i, (image, (x1, y1, x2, y2, label, score)) in enumerate(signs, start=1):
        width, height = round(x2 - x1, 3), round(y2 - y1, 3)
        annotations.append(
            {
                "id": i,
                "image_id": image,
                "category_id": category[label],
                "bbox": [x1, y1, width, height],
                "area": round(width * height, 3),
                "iscrowd": 0,
                "score": score,
            }
        )
    return {
        "images": [
            {"id": i, "file_name": f["path"], "width": f["width"], "height": f["height"]}
            for i, f in enumerate(usable, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in category.items()],
        "errors": [{"path": f["path"], "error": f["error"]} for f in frames if f["error"]],
    }


def _draw(frame: Frame, row: dict, file: Path) -> None:
    boxes = np.array([sign[:4] for sign in row["signs"]], float).reshape(-1, 4)
    labels, scores = [sign[4] for sign in row["signs"]], [sign[5] for sign in row["signs"]]
    drawn = draw_boxes(frame.image, boxes, labels, scores)
    with atomic(file) as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes())
