"""Signs in frames, folders and videos -> a table, COCO JSON, pictures; the detector may be an export."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, write_json
from mindspore_dpus.data.images.footage import Frame, read_frames
from mindspore_dpus.deploy.detector import Detector
from mindspore_dpus.report.box_pictures import draw_boxes

EDGES = ("x1", "y1", "x2", "y2")
COLUMNS = ("path", "error", *EDGES, "label", "score")


def detect_files(
    detector: Detector, inputs: Sequence[str], every: int
) -> Iterator[tuple[Frame, list[dict]]]:
    """Rows of ``COLUMNS`` for every frame: a row a sign; none for a frame without; one with ``error``
    for a frame that cannot be used."""
    settings = detector.settings
    for frame in read_frames(inputs, every=every, max_pixels=settings.max_pixels):
        empty = dict.fromkeys(COLUMNS, "") | {"path": frame.name}
        if frame.image is None:
            yield frame, [empty | {"error": frame.error}]
            continue
        found = detector.detect(frame.image)
        yield (
            frame,
            [
                empty
                | dict(zip(EDGES, np.round(box, 3).tolist(), strict=True))
                | {"label": settings.classes[c], "score": round(float(score), 6)}
                for box, c, score in zip(found.boxes, found.classes, found.scores, strict=True)
            ],
        )


def predict(
    detector: Detector,
    inputs: Sequence[str],
    output: Path,
    *,
    every: int,
    pictures: Path | None,
) -> dict[str, int]:
    """Find signs in frames, folders and videos; write a CSV, or COCO JSON by the ending ``.json``.

    Args:
        detector: what finds.
        inputs: of ``data.images.footage.find_footage``.
        output: the table; a COCO file has ``images, annotations, categories`` with scores.
        every: of a video, every so many frames.
        pictures: folder for frames with their boxes; None: none.

    Returns:
        ``frames``, ``signs`` and ``errors``.

    Raises:
        UserError: another ending than .csv or .json.
    """
    if output.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"output {output}: the name must end in .csv or .json")
    rows, frames = [], []
    for frame, found in detect_files(detector, inputs, every):
        rows += found
        if frame.image is None:
            continue
        height, width = frame.image.shape[:2]
        frames.append({"path": frame.name, "width": width, "height": height})
        if pictures is not None:
            _draw(frame, found, pictures / f"{len(frames):06d}.jpg")
    if output.suffix.lower() == ".csv":
        with atomic(output) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        write_json(output, as_coco(rows, frames, detector.settings.classes))
    errors = sum(row["error"] != "" for row in rows)
    return {"frames": len(frames), "signs": len(rows) - errors, "errors": errors}


def as_coco(rows: Sequence[dict], frames: Sequence[dict], classes: Sequence[str]) -> dict:
    """Detections as COCO annotations with scores; frames that cannot be used stand in ``errors``.

    Args:
        rows: of ``COLUMNS``.
        frames: ``path, width, height`` of those that can be used.
        classes: all class names.
    """
    number = {frame["path"]: i for i, frame in enumerate(frames, start=1)}
    category = {name: i for i, name in enumerate(classes, start=1)}
    annotations = []
    for i, row in enumerate((row for row in rows if row["error"] == ""), start=1):
        x1, y1, x2, y2 = (row[edge] for edge in EDGES)
        width, height = round(x2 - x1, 3), round(y2 - y1, 3)
        annotations.append(
            {
                "id": i,
                "image_id": number[row["path"]],
                "category_id": category[row["label"]],
                "bbox": [x1, y1, width, height],
                "area": round(width * height, 3),
                "iscrowd": 0,
                "score": row["score"],
            }
        )
    return {
        "images": [
            {"id": number[f["path"]], "file_name": f["path"], "width": f["width"], "height": f["height"]}
            for f in frames
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in category.items()],
        "errors": [{"path": r["path"], "error": r["error"]} for r in rows if r["error"] != ""],
    }


def _draw(frame: Frame, rows: Sequence[dict], file: Path) -> None:
    boxes = np.array([[row[e] for e in EDGES] for row in rows], float).reshape(-1, 4)
    labels, scores = [row["label"] for row in rows], [row["score"] for row in rows]
    drawn = draw_boxes(frame.image, boxes, labels, scores)
    with atomic(file) as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes())
