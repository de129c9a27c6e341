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
from mindspore_dpus.data.boxes.registry import AUTO
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
        format: of the boxes, one of ``data.boxes.registry.FORMATS``, or ``auto``.
        list_frames: every image below root is a frame.
        split: of the frames, where they name one; ``all``.
        output: None: evaluations/<root's name> in the run folder.
        target: another device than the run's.
    """

    root: Path
    boxes: Path | None = None
    format: str = AUTO
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
        format=asked.format,
        list_frames=asked.list_frames,
    )
    # Classes that the run does not know are problems.
    classes = read_run_frames(run).annotations.numbers
    found = readable(find_annotations(asked.root, data, classes), asked.root, data.max_pixels)
    folder = asked.output or run / "evaluations" / asked.root.resolve().name
    # First: where no frame is left, this table says why.
    write_table(found.problems, folder / "problems.csv")
    frames = found.sound().frames
    if asked.split != "all":
        named = frames["split"] if "split" in frames else pd.Series("", index=frames.index)
        frames = frames[named == asked.split]
    if frames.empty:
        raise UserError(_nothing(asked, found, folder))
    frames = frames.assign(split="test").reset_index(drop=True)
    boxes = found.boxes[found.boxes["path"].isin(frames["path"])].reset_index(drop=True)
    table = RunFrames(Annotations(boxes, frames, found.problems.iloc[:0], found.classes))
    rows = table.of("test")
    detections = [
        detector.detect(read_frame(asked.root / table.paths[i], data.max_pixels)) for i in rows
    ]
    rows_found = detection_table(table, rows, detections, detector.settings.classes)
    metrics, classes = score_detections(table, rows, rows_found, config.evaluation, config.seed)
    write_table(rows_found, folder / "detections.csv")
    write_table(errors_of(table, rows, rows_found), folder / "errors.csv")
    write_table(classes.round(6), folder / "per_class.csv")
    write_json(folder / "metrics.json", metrics | {"problems": len(found.problems)})
    lines = [f"{metrics['frames']} frames, {metrics['boxes']} signs, {len(found.problems)} problems"]
    return folder, lines + metric_lines(metrics)


def _nothing(asked: Evaluation, found: Annotations, folder: Path) -> str:
    """Why there is no frame to evaluate."""
    of_split = "" if asked.split == "all" else f" of the split {asked.split}"
    text = f"{asked.root}: no sound annotated frame{of_split}"
    if found.problems.empty:
        return text
    path, place, error = found.problems[["path", "place", "error"]].iloc[0]
    first = f"{len(found.problems)} problems, the first of {path} ({place}): {error}"
    return f"{text}; {first}; all are in {folder / 'problems.csv'}"
