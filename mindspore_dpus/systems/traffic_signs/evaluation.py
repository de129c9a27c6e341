"""A finished run on other frames: evaluate it on annotated ones, find signs in any."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes.table import EDGES, Annotations
from mindspore_dpus.data.images.footage import Frame, read_frames
from mindspore_dpus.deploy.detector import Detector
from mindspore_dpus.report.box_pictures import draw_boxes
from mindspore_dpus.systems import load_config
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.detect_stage import (
    detection_table,
    errors_of,
    score_detections,
)
from mindspore_dpus.systems.traffic_signs.frames import (
    RunFrames,
    find_annotations,
    read_frame,
    read_run_frames,
    readable,
)
from mindspore_dpus.systems.traffic_signs.networks import run_detector
from mindspore_dpus.systems.traffic_signs.report import metric_lines

COLUMNS = ["path", "error", *EDGES, "label", "score"]


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` is asked for.

    Args:
        root: folder of annotated frames.
        boxes: their boxes; None: root/boxes.csv or root/gt.txt.
        list_frames: every image below root is a frame.
        split: of the frames, where they name one; ``all``.
        output: None: evaluations/<root's name> in the run folder.
        target: another device than the run's.
    """

    root: Path
    boxes: Path | None = None
    list_frames: bool = False
    split: str = "all"
    output: Path | None = None
    target: str | None = None


def load_run(path: Path, target: str | None) -> tuple[RunFolder, Configuration, Detector]:
    """A finished run, ready to detect.

    Raises:
        UserError: it is no run, not finished, or of another system.
    """
    run = RunFolder.open(path)
    config = load_config(run / "config.yaml")
    run.finished("detections")
    if target:
        device = dataclasses.replace(config.device, target=target)
        config = dataclasses.replace(config, device=device)
    return run, config, run_detector(run, config)


def evaluate(path: Path, asked: Evaluation) -> tuple[Path, list[str]]:
    """Detect in annotated frames with the run's thresholds, and measure.

    Returns:
        The folder of ``detections.csv``, ``problems.csv``, ``errors.csv``, ``per_class.csv`` and
        ``metrics.json``; and what a terminal shows.

    Raises:
        UserError: no run, no usable frame, an annotation file of another format.
    """
    run, config, detector = load_run(path, asked.target)
    data = dataclasses.replace(
        config.data,
        boxes=None if asked.boxes is None else str(asked.boxes),
        format="auto",
        list_frames=asked.list_frames,
        # Other data may number the run's classes; those that it does not know are problems.
        classes=tuple(read_run_frames(run).classes),
    )
    found = readable(find_annotations(asked.root, data), asked.root, data.max_pixels)
    frames = found.sound().frames
    if asked.split != "all":
        named = frames["split"] if "split" in frames else pd.Series("", index=frames.index)
        frames = frames[named == asked.split]
    if frames.empty:
        raise UserError(f"{asked.root}: no sound annotated frame of the split {asked.split}")
    frames = frames.assign(split="test").reset_index(drop=True)
    boxes = found.boxes[found.boxes["path"].isin(frames["path"])].reset_index(drop=True)
    table = RunFrames(Annotations(boxes, frames, found.problems.iloc[:0], found.classes))
    rows = table.of("test")
    detections = [
        detector.detect(read_frame(asked.root / table.paths[i], data.max_pixels)) for i in rows
    ]
    folder = asked.output or run / "evaluations" / asked.root.resolve().name
    rows_found = detection_table(table, rows, detections, detector.settings.classes)
    metrics, classes = score_detections(table, rows, rows_found, config.evaluation, config.seed)
    write_table(rows_found, folder / "detections.csv")
    write_table(found.problems, folder / "problems.csv")
    write_table(errors_of(table, rows, rows_found), folder / "errors.csv")
    write_table(classes.round(6), folder / "per_class.csv")
    write_json(folder / "metrics.json", metrics | {"problems": len(found.problems)})
    lines = [f"{metrics['frames']} frames, {metrics['boxes']} signs, {len(found.problems)} problems"]
    return folder, lines + metric_lines(metrics)


def detect_files(
    detector: Detector, inputs: Sequence[str], every: int, max_pixels: int
) -> Iterator[tuple[Frame, list[dict]]]:
    """Rows of ``COLUMNS`` for every frame: a row a sign; none for a frame without; one with ``error``
    for a frame that cannot be used."""
    classes = detector.settings.classes
    for frame in read_frames(inputs, every=every, max_pixels=max_pixels):
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
                | {"label": classes[c], "score": round(float(score), 6)}
                for box, c, score in zip(found.boxes, found.classes, found.scores, strict=True)
            ],
        )


def predict(
    detector: Detector,
    inputs: Sequence[str],
    output: Path,
    *,
    every: int,
    max_pixels: int,
    pictures: Path | None,
) -> dict[str, int]:
    """Find signs in frames, folders and videos; write a CSV, or COCO JSON by the ending ``.json``.

    Args:
        detector: what finds.
        inputs: of ``data.images.footage.find_footage``.
        output: the table; a COCO file has ``images, annotations, categories`` with scores.
        every: of a video, every so many frames.
        max_pixels: of the largest frame.
        pictures: folder for frames with their boxes; None: none.

    Returns:
        ``frames``, ``signs`` and ``errors``.

    Raises:
        UserError: another ending than .csv or .json.
    """
    if output.suffix.lower() not in (".csv", ".json"):
        raise UserError(f"output {output}: the name must end in .csv or .json")
    rows, frames = [], []
    for frame, found in detect_files(detector, inputs, every, max_pixels):
        rows += found
        if frame.image is None:
            continue
        height, width = frame.image.shape[:2]
        frames.append({"path": frame.name, "width": width, "height": height})
        if pictures is not None:
            _draw(frame, found, pictures / f"{len(frames):06d}.jpg")
    table = pd.DataFrame(rows, columns=COLUMNS)
    signs = table[table["error"] == ""]
    if output.suffix.lower() == ".csv":
        write_table(table, output)
    else:
        write_json(output, as_coco(signs, frames, detector.settings.classes, table))
    return {"frames": len(frames), "signs": len(signs), "errors": len(table) - len(signs)}


def as_coco(
    signs: pd.DataFrame, frames: Sequence[dict], classes: Sequence[str], table: pd.DataFrame
) -> dict:
    """Detections as COCO annotations with scores; frames that cannot be used stand in ``errors``."""
    number = {frame["path"]: i for i, frame in enumerate(frames, start=1)}
    category = {name: i for i, name in enumerate(classes, start=1)}
    annotations = []
    for i, row in enumerate(signs.itertuples(index=False), start=1):
        box = [row.x1, row.y1, round(row.x2 - row.x1, 3), round(row.y2 - row.y1, 3)]
        annotations.append(
            {
                "id": i,
                "image_id": number[row.path],
                "category_id": category[row.label],
                "bbox": box,
                "area": round(box[2] * box[3], 3),
                "iscrowd": 0,
                "score": row.score,
            }
        )
    wrong = table[table["error"] != ""]
    return {
        "images": [
            {"id": number[f["path"]], "file_name": f["path"], "width": f["width"], "height": f["height"]}
            for f in frames
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in category.items()],
        "errors": wrong[["path", "error"]].to_dict("records"),
    }


def _draw(frame: Frame, rows: Sequence[dict], file: Path) -> None:
    boxes = np.array([[row[e] for e in EDGES] for row in rows], float).reshape(-1, 4)
    drawn = draw_boxes(
        frame.image, boxes, [row["label"] for row in rows], [row["score"] for row in rows]
    )
    with atomic(file) as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes())
