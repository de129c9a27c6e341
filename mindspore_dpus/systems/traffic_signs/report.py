"""A filled run folder -> report.html; and what a terminal shows of it."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.metrics.average_precision import precision_recall
from mindspore_dpus.metrics.matching import as_one_class, match
from mindspore_dpus.report.detection_plots import place_map, precision_recall_curves
from mindspore_dpus.report.page import Card, Page, write_page
from mindspore_dpus.report.sections import detections
from mindspore_dpus.systems.traffic_signs.classifier_tables import TABLES
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.detect_stage import as_arrays, errors_of
from mindspore_dpus.systems.traffic_signs.place_filter_fit import heat_map
from mindspore_dpus.systems.traffic_signs.run_data import (
    RunFrames,
    data_root,
    read_frame,
    read_run_frames,
)

PICTURES = 12
# Cells of the map, down and across.
MAP = (40, 68)
THRESHOLDS = (0.5, 0.7)


def write_report(run: RunFolder, config: Configuration) -> None:
    """``report.html``."""
    metrics, frames = read_json(run / "metrics.json"), read_run_frames(run)
    found = read_table(run / "detections_test.csv")
    rows = frames.of("test")
    errors = errors_of(frames, rows, found)
    number = {path: i for i, path in enumerate(frames.paths)}
    pictures = []
    for path in errors["path"].head(PICTURES):
        image = read_frame(data_root(run, config) / path, config.data.max_pixels)
        here, i = found[found["path"] == path], number[path]
        boxes = here[EDGES].to_numpy(float)
        true = frames.boxes[i], frames.labels[i]
        pictures.append(
            detections.picture(image, true, (boxes, here["label"].tolist()), here["score"].tolist())
        )
    place = read_json(run / "place_filter.json") if config.place.enabled else None
    test = metrics["test"]
    cards = [
        Card(f"mAP at {level}", _value(test["models"]["fused"][name]), "test frames")
        for level, name in (("0.5", "map_50"), ("0.7", "map_70"), ("0.5:0.95", "map"))
    ]
    cards.append(
        Card("recall of proposals", f"{test['proposals']['recall_50']:.3f}", "at 0.5, test frames")
    )
    page = Page(
        "Traffic signs",
        f"{len(frames.paths)} frames, {len(frames.classes)} classes; {test['frames']} test frames with "
        f"{test['boxes']} signs",
        cards,
    )
    section = detections.section(
        metrics,
        read_table(run / "per_class_test.csv"),
        read_table(run / "thresholds.csv"),
        place,
        errors,
        pictures,
        [_map(frames, place), _curves(frames, rows, found)],
        _paper_tables(run, config),
    )
    write_page(run.path, page, [section])


def _paper_tables(run: RunFolder, config: Configuration) -> dict[str, pd.DataFrame]:
    """Titles and rows of what the paper has as Tables 5 to 7, and of what the networks learnt from."""
    files = {
        "Regions that both networks learn from": "regions.csv",
        "Background network: loss and accuracy (the paper's Table 6)": TABLES["background"],
        "Sign network: loss and accuracy (the paper's Table 7)": TABLES["signs"],
    }
    if config.sweep.enabled:
        title = "Proposals, recall of true boxes and seconds a frame (the paper's Table 5)"
        files = {title: "proposals/table5.csv"} | files
    return {title: read_table(run / file) for title, file in files.items()}


def _map(frames: RunFrames, place: dict | None) -> str:
    train = frames.of("train")
    boxes, sizes = [frames.boxes[i] for i in train], [frames.sizes[i] for i in train]
    kept = place and PlaceFilter.from_dict(place["filter"])
    return place_map(heat_map(boxes, sizes, *MAP), kept)


def _curves(frames: RunFrames, rows: np.ndarray, found: pd.DataFrame) -> str:
    truths, detections = as_arrays(frames, rows, found)
    one, found_one = as_one_class(truths, detections)
    agnostic = match(one, found_one, THRESHOLDS, None)
    matches = match(truths, detections, THRESHOLDS, None)
    return precision_recall_curves(
        {
            f"any class, at {threshold:g}": precision_recall(agnostic, one.labels, 0, i)
            for i, threshold in enumerate(THRESHOLDS)
        },
        [precision_recall(matches, truths.labels, label) for label in np.unique(truths.labels)],
    )


def _value(metric: dict) -> str:
    return "undefined" if metric["value"] is None else f"{metric['value']:.3f}"


def metric_lines(split: dict) -> list[str]:
    """Metrics of one split, a line each."""
    lines = []
    shown = {"map_50": "mAP@0.5", "map_70": "mAP@0.7", "map": "mAP@0.5:0.95"}
    shown |= {"map_50_frequent": "mAP@0.5, 5 boxes or more", "ap_50_agnostic": "AP@0.5 of any class"}
    for name, title in shown.items():
        metric = split["models"]["fused"][name]
        interval = ""
        if metric.get("low") is not None:
            interval = f" [{metric['low']:.3f}, {metric['high']:.3f}]"
        lines.append(f"{title:>24}: {_value(metric)}{interval}")
    return lines


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end."""
    metrics = read_json(run / "metrics.json")
    test = metrics["test"]
    lines = [f"{test['frames']} test frames, {test['boxes']} signs, {test['detections']} detections"]
    lines += metric_lines(test)
    recall = test["proposals"]
    lines.append(
        f"     recall of proposals: {recall['recall_50']:.3f} at 0.5, {recall['recall_70']:.3f} at 0.7, "
        f"{recall['proposals_per_frame']:.0f} a frame"
    )
    time = metrics["time"]["ms_per_frame"]
    parts = ", ".join(f"{name.replace('_', ' ')} {v:.1f}" for name, v in time.items())
    lines.append(f"       ms a frame: {parts}")
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)
