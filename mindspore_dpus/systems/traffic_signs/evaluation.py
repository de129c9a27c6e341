"""A finished run on other annotated frames."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes.annotations import Annotations
from mindspore_dpus.deploy.detector import Detector
from mindspore_dpus.systems import load_config
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.detect_stage import (
    detection_table,
    errors_of,
    score_detections,
)
from mindspore_dpus.systems.traffic_signs.report import metric_lines
from mindspore_dpus.systems.traffic_signs.run_data import (
    RunFrames,
    find_annotations,
    read_frame,
    read_run_frames,
    readable,
)
from mindspore_dpus.systems.traffic_signs.trained_detector import run_detector


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


def load_scorer(path: Path, target: str | None) -> Detector:
    """A finished run, ready to detect in any frames (see ``load_run``)."""
    return load_run(path, target)[2]


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
    )
    # Classes that the run does not know are problems.
    classes = read_run_frames(run).annotations.numbers
    found = readable(find_annotations(asked.root, data, classes), asked.root, data.max_pixels)
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
