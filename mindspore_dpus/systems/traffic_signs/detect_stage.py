"""region scores -> thresholds -> detections -> metrics."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.boxes import coco
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.deploy.cascade import CHOOSING, Detections, detect
from mindspore_dpus.deploy.stopwatch import Stopwatch
from mindspore_dpus.metrics import matching
from mindspore_dpus.metrics.detection import bootstrap_detection, detection_metrics, per_class
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.systems.traffic_signs.cascade_thresholds import choose_thresholds
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.run_data import RunFrames, read_run_frames
from mindspore_dpus.systems.traffic_signs.score_stage import EVALUATED, TIMES, read_region_scores

logger = logging.getLogger(__name__)

DETECTION_COLUMNS = ["path", *EDGES, "label", "score"]


def make_detections(run: RunFolder, config: Configuration) -> None:
    """``thresholds.csv`` (Table 8, on validation frames), ``thresholds.json`` (the best),
    ``detections_val.csv``, ``detections_test.csv``, ``detections_test.json`` (COCO results), ``time.json``
    (ms of a frame and step)."""
    frames, c = read_run_frames(run), config.cascade
    classes = class_names(read_table(run / "signs" / "samples.csv"))
    scored = read_region_scores(run, frames, classes)
    val = frames.of("val")

    def measure(detections: list[Detections]) -> float:
        table = detection_table(frames, val, detections, classes)
        truths, rows = as_arrays(frames, val, table)
        return detection_metrics(truths, rows, len(frames.classes))["map_50"]

    try:
        table = choose_thresholds(
            [scored[i] for i in val],
            measure,
            background_thresholds=c.background_thresholds,
            sign_thresholds=c.sign_thresholds,
            nms_thresholds=c.nms_thresholds,
            limit=c.limit,
            vote_threshold=c.vote_threshold,
        )
    except ValueError as error:
        raise UserError(f"validation frames hold no sign: {error}") from None
    write_table(table.round(6), run / "thresholds.csv")
    names = ("background_threshold", "sign_threshold", "nms_threshold")
    chosen = {name: float(table[name].iloc[0]) for name in names}
    write_json(run / "thresholds.json", chosen | {"val_map_50": float(table["value"].iloc[0])})
    logger.info("  thresholds (validation): background %g, sign %g, suppression %g", *chosen.values())
    watch, rules = Stopwatch(), chosen | {"limit": c.limit, "vote_threshold": c.vote_threshold}
    for split in EVALUATED:
        rows = frames.of(split)
        detections = [detect(scored[i], **rules, watch=watch) for i in rows]
        table = detection_table(frames, rows, detections, classes)
        write_table(table, run / f"detections_{split}.csv")
        if split == "test":
            coco.write_results(table, frames.annotations, run / "detections_test.json")
    passed = [(s.foreground >= chosen["background_threshold"]).sum() for s in scored.values()]
    proposals, regions = read_json(run / "proposals" / "recall.json"), read_json(run / TIMES)
    write_json(
        run / "time.json",
        {
            "ms_per_frame": proposals["ms_per_frame"]
            | regions["ms_per_frame"]
            | watch.ms(CHOOSING, len(scored)),
            "looked_at_per_frame": regions["regions_per_frame"],
            "passed_background_per_frame": float(np.mean(passed)),
        },
    )


def detection_table(
    frames: RunFrames, rows: Sequence[int], detections: Sequence[Detections], classes: Sequence[str]
) -> pd.DataFrame:
    """Detections of frames as rows of ``DETECTION_COLUMNS``."""
    tables = [
        pd.DataFrame(found.boxes, columns=EDGES).assign(
            path=frames.paths[i],
            label=[classes[c] for c in found.classes],
            score=found.scores,
        )
        for i, found in zip(rows, detections, strict=True)
        if len(found.boxes)
    ]
    if not tables:
        return pd.DataFrame(columns=DETECTION_COLUMNS)
    table = pd.concat(tables, ignore_index=True)[DETECTION_COLUMNS]
    return table.round(dict.fromkeys(EDGES, 3) | {"score": 6})


def as_arrays(
    frames: RunFrames, rows: Sequence[int], detections: pd.DataFrame
) -> tuple[matching.Truths, matching.Detections]:
    """True boxes and detections of some frames, numbered as in ``frames``."""
    number = {path: i for i, path in enumerate(frames.paths)}
    index = {name: i for i, name in enumerate(frames.classes)}
    labels = [index[name] for i in rows for name in frames.labels[i]]
    where = [i for i in rows for _ in frames.labels[i]]
    boxes = np.concatenate([frames.boxes[i] for i in rows]) if len(rows) else np.empty((0, 4))
    truths = matching.Truths(np.array(where, int), np.array(labels, int), boxes)
    found = matching.Detections(
        detections["path"].map(number).to_numpy(int),
        detections["label"].map(index).to_numpy(int),
        detections[EDGES].to_numpy(float),
        detections["score"].to_numpy(float),
    )
    return truths, found


def score_detections(
    frames: RunFrames,
    rows: Sequence[int],
    detections: pd.DataFrame,
    evaluation: EvaluationSettings,
    seed: int,
) -> tuple[dict, pd.DataFrame]:
    """All metrics of some frames, and a table of the classes."""
    truths, found = as_arrays(frames, rows, detections)
    values = bootstrap_detection(
        truths,
        found,
        len(frames.classes),
        rows,
        n_bootstrap=evaluation.n_bootstrap,
        confidence=evaluation.confidence,
        random_state=seed,
    )
    table = pd.DataFrame(per_class(truths, found, len(frames.classes)))
    table.insert(0, "label", frames.classes)
    return {
        "frames": len(rows),
        "boxes": len(truths.labels),
        "detections": len(found.labels),
        "models": {"fused": {name: _plain(value) for name, value in values.items()}},
    }, table


def _plain(value: dict) -> dict:
    """JSON has no not-a-number."""
    return {k: None if v != v else v for k, v in value.items()}


def make_metrics(run: RunFolder, config: Configuration) -> None:
    """``metrics.json`` (val and test), ``per_class_val.csv``, ``per_class_test.csv``."""
    frames = read_run_frames(run)
    metrics: dict = {}
    recall = read_json(run / "proposals" / "recall.json")
    for split in EVALUATED:
        rows = frames.of(split)
        detections = read_table(run / f"detections_{split}.csv")
        metrics[split], table = score_detections(
            frames, rows, detections, config.evaluation, config.seed
        )
        metrics[split]["proposals"] = recall[split]
        write_table(table.round(6), run / f"per_class_{split}.csv")
    metrics["time"] = read_json(run / "time.json")
    write_json(run / "metrics.json", metrics)


def errors_of(
    frames: RunFrames, rows: Sequence[int], detections: pd.DataFrame, threshold: float = 0.5
) -> pd.DataFrame:
    """Misses and false calls of every frame, most first.

    Returns:
        ``path, signs, found, missed, false_calls``.
    """
    truths, found = as_arrays(frames, rows, detections)
    matches = matching.match(truths, found, (threshold,), None)
    hit = matches.truths[0]
    missed = np.setdiff1d(np.arange(len(truths.labels)), hit[hit >= 0])
    table = []
    for i in rows:
        signs = len(frames.labels[i])
        n_missed = int((truths.frames[missed] == i).sum())
        false = int(((matches.frames == i) & (hit < 0)).sum())
        table.append((frames.paths[i], signs, signs - n_missed, n_missed, false))
    names = ["path", "signs", "found", "missed", "false_calls"]
    table = pd.DataFrame(table, columns=names)
    wrong = -(table["missed"] + table["false_calls"])
    return table.iloc[np.argsort(wrong, kind="stable")].reset_index(drop=True)
