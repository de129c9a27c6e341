"""The story in one screen: from a configuration to a fused, evaluated ensemble, a stage at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mindspore_dpus.cli import load_config
from mindspore_dpus.config import Config
from mindspore_dpus.data.images import ImageError, ImageSpec, load_prepared
from mindspore_dpus.data.inputs import expand_paths
from mindspore_dpus.data.samples import write_table
from mindspore_dpus.evaluation.predictions import compute_metrics, predictions_table
from mindspore_dpus.run import RunFolder, write_json
from mindspore_dpus.stages import learn, prepare, subsets

PREDICT_CHUNK = 256


def train(config: Config, report: Callable[[str], None] = print) -> RunFolder:
    """Fill a run folder from left to right; stages that are done for this configuration are skipped.

    Args:
        config: the checked configuration.
        report: called with a line for every stage, member and epoch.

    Returns:
        The finished run folder.

    Raises:
        UserError: bad data, bad settings, or a loss that is not a number. Finished stages stay.
    """
    run = RunFolder(config.output, report)
    with run.lock():
        run.before_change = lambda: prepare.write_provenance(run, config)
        root = prepare.find_root(run, config)
        prepare.make_samples(run, config, root)
        if config.sampling.strategy == "dpus":
            subsets.make_features(run, config, root)
        subsets.make_subsets(run, config)
        learn.make_members(run, config, root)
        learn.make_predictions(run, config, root)
        learn.make_metrics(run, config)
        if config.sampling.strategy == "dpus":
            subsets.make_diagnostics(run, config)
        learn.make_report(run, root)
        prepare.write_provenance(run, config)
    return run


def evaluate(
    run_path: Path,
    root: str | None = None,
    manifest: str | None = None,
    split: str = "auto",
    output: Path | None = None,
) -> tuple[Path, dict]:
    """Score a trained run on labelled images.

    Args:
        run_path: a finished run folder.
        root: other labelled images; default: the run's own data.
        manifest: their CSV, where they have one.
        split: ``train``, ``val``, ``test``, ``all``, or ``auto``: test where the data
            names it, else all.
        output: default: ``evaluations/<data>`` in the run folder.

    Returns:
        The folder with ``predictions.csv`` and ``metrics.json``, and the metrics.

    Raises:
        UserError: no finished run, unreadable images, or classes that the run never saw.
    """
    run = RunFolder.open(run_path)
    config = load_config(run / "config.yaml")
    table, data_root = learn.labelled_images(run, config, root, manifest, split)
    folder = output or run / "evaluations" / f"{data_root.resolve().name}_{split}"
    images = prepare.load_images(run, config, data_root, table)
    outputs = learn.with_fused(learn.load_ensemble(run, config).predict(images, np.arange(len(table))))
    _, classes, _ = prepare.read_samples(run)
    path = folder / "predictions.csv"
    write_table(predictions_table(table[["path", "label"]], classes, config, outputs), path)
    metrics = compute_metrics(path, classes, config)
    write_json(folder / "metrics.json", metrics)
    return folder, metrics


def predict(run_path: Path, paths: list[str], output: Path) -> pd.DataFrame:
    """Score images that nobody has labelled.

    Args:
        run_path: a finished run folder.
        paths: images, folders, glob patterns, CSV files with a column ``path``.
        output: CSV to write: ``path, error, predicted, score, <model>:<class> ...``, a row for every
            input; unreadable ones have an error and nothing else.

    Returns:
        The table written.

    Raises:
        UserError: no finished run, or nothing to score.
    """
    run = RunFolder.open(run_path)
    config = load_config(run / "config.yaml")
    files = expand_paths(paths)
    ensemble = learn.load_ensemble(run, config)
    _, classes, _ = prepare.read_samples(run)
    spec = ImageSpec.from_config(config.data)
    tables = []
    for first in tqdm(range(0, len(files), PREDICT_CHUNK), "predict", leave=False, disable=None):
        chunk = files[first : first + PREDICT_CHUNK]
        images, errors = [], []
        for file in chunk:
            try:
                images.append(load_prepared(file, spec))
                errors.append("")
            except ImageError as error:
                errors.append(str(error))
        rows = pd.DataFrame({"path": [str(file) for file in chunk], "error": errors})
        tables.append(rows[rows["error"] != ""])
        if images:
            outputs = learn.with_fused(ensemble.predict(np.stack(images), np.arange(len(images))))
            readable = rows[rows["error"] == ""]
            scored = predictions_table(readable, classes, config, outputs)
            tables.append(scored.set_index(readable.index))
    # Chunks keep their order, and inside one the unreadable files return to their places.
    ordered = pd.concat(tables).assign(path=lambda t: t["path"].astype(str))
    place = {str(file): i for i, file in enumerate(files)}
    table = ordered.sort_values("path", key=lambda column: column.map(place)).reset_index(drop=True)
    write_table(table, output)
    return table


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end: the numbers and where the rest is."""
    lines = [] if run.ran else ["nothing to do: every stage is done for this configuration and data"]
    lines += metric_lines(run.metrics()["test"])
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)


def metric_lines(metrics: dict) -> list[str]:
    """A line for each model: AUC, precision, recall with their intervals."""
    lines = []
    for name, values in metrics["models"].items():
        parts = [f"{m} {_interval(values[m])}" for m in ("auc", "precision", "recall")]
        lines.append(f"{name:>9}: " + ", ".join(parts))
    return lines


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "undefined"
    text = f"{metric['value']:.3f}"
    if metric.get("low") is not None:
        text += f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return text
