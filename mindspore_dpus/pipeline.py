"""The story in one screen: from a configuration to a fused, evaluated ensemble, a stage at a time."""

import dataclasses
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
from mindspore_dpus.errors import UserError
from mindspore_dpus.evaluation.predictions import compute_metrics, predictions_table
from mindspore_dpus.run import RunFolder, digest, write_json
from mindspore_dpus.stages import learn, prepare, subsets

PREDICT_CHUNK = 256


def train(config: Config, report: Callable[[str], None] = print) -> RunFolder:
    """Fill a run folder from left to right; stages that are done for this configuration are skipped.

    On a CPU, members are trained in processes of their own (``device.processes``). Each imports the
    script that calls this, so that script must do its work under ``if __name__ == "__main__":``.

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
        root = _make_sets(run, config)
        learn.make_members(run, config, root)
        learn.make_predictions(run, config, root)
        learn.make_metrics(run, config)
        learn.make_report(run, root)
        prepare.write_config(run, config)
    return run


def _make_sets(run: RunFolder, config: Config) -> Path:
    """From the configuration to the members' training sets; the data root."""
    run.before_change = lambda: prepare.write_provenance(run, config)
    root = prepare.find_root(run, config)
    prepare.make_samples(run, config, root)
    if config.sampling.strategy == "dpus":
        subsets.make_features(run, config, root)
        subsets.make_subsets(run, config)
        subsets.make_diagnostics(run, config)
    else:
        subsets.forget_groups(run)
        subsets.make_subsets(run, config)
    return root


def find_learning_rate(config: Config, report: Callable[[str], None] = print) -> tuple[RunFolder, float]:
    """Fill a run folder up to the learning-rate range test, whatever ``training.learning_rate`` says.

    Args:
        config: the checked configuration.
        report: called with a line for every stage.

    Returns:
        The run folder with ``lr_range.csv`` and ``lr_range.svg``, and the rate that they suggest.

    Raises:
        UserError: bad data, bad settings, or no rate at which the loss falls.
    """
    training = dataclasses.replace(config.training, learning_rate="auto")
    config = dataclasses.replace(config, training=training)
    run = RunFolder(config.output, report)
    with run.lock():
        return run, learn.make_lr_range(run, config, _make_sets(run, config))


def evaluate(
    run_path: Path,
    root: str | None = None,
    manifest: str | None = None,
    split: str = "auto",
    output: Path | None = None,
    target: str | None = None,
) -> tuple[Path, dict]:
    """Score a trained run on labelled images.

    Args:
        run_path: a finished run folder.
        root: other labelled images; default: the run's own data.
        manifest: their CSV, where they have one.
        split: ``train``, ``val``, ``test``, ``all``, or ``auto``: test where the data
            names it, else all.
        output: default: ``evaluations/<data>`` in the run folder.
        target: device; default: the run's.

    Returns:
        The folder with ``predictions.csv`` and ``metrics.json``, and the metrics.

    Raises:
        UserError: no finished run, unreadable images, or classes that the run never saw.
    """
    run, config = _open(run_path, target)
    table, data_root = learn.labelled_images(run, config, root, manifest, split)
    name = f"{data_root.resolve().name}-{digest(str(data_root.resolve()))[:4]}-{split}"
    folder = output or run / "evaluations" / name
    if output is not None and config.data.cache_dir is None:
        # The run may lie where nothing can be written.
        config.data.cache_dir = str(output / "cache")
    images = prepare.load_images(run, config, data_root, table, folder / "unreadable.csv")
    outputs = learn.with_fused(learn.load_ensemble(run, config).predict(images, np.arange(len(table))))
    _, classes, _ = prepare.read_samples(run)
    path = folder / "predictions.csv"
    write_table(predictions_table(table[["path", "label"]], classes, config, outputs), path)
    metrics = compute_metrics(path, classes, config)
    write_json(folder / "metrics.json", metrics)
    return folder, metrics


def _open(run_path: Path, target: str | None) -> tuple[RunFolder, Config]:
    run = RunFolder.open(run_path)
    config = load_config(run / "config.yaml")
    if target is not None:
        config.device.target = target
    return run, config


def predict(run_path: Path, paths: list[str], output: Path, target: str | None = None) -> pd.DataFrame:
    """Score images that nobody has labelled.

    Args:
        run_path: a finished run folder.
        paths: images, folders, glob patterns, CSV files with a column ``path``.
        output: CSV to write: ``path, error, predicted, score, <model>:<class> ...``, a row for every
            input; unreadable ones have an error and nothing else.
        target: device; default: the run's.

    Returns:
        The table written.

    Raises:
        UserError: no finished run, or nothing to score.
    """
    run, config = _open(run_path, target)
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a CSV file")
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
    place = {str(file): i for i, file in enumerate(files)}
    table = pd.concat(tables).sort_values("path", key=lambda column: column.map(place))
    table = table.reset_index(drop=True)
    if "predicted" not in table:
        table["predicted"] = None
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
