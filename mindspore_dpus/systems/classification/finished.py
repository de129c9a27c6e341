"""What a finished run is there for: evaluation on other images, prediction, heatmaps, export."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mindspore_dpus.cli.terminal import localisation_line, metric_lines
from mindspore_dpus.config import Config
from mindspore_dpus.core.configuration import load_config
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder, digest, write_json
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.batch import Summary, predict_files
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.rule import go_by, rule_lines
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.metrics.by_group import write_group_table
from mindspore_dpus.metrics.localisation import boxed
from mindspore_dpus.metrics.predictions import compute_metrics, predictions_table
from mindspore_dpus.systems.classification import decide, explain, learn, prepare
from mindspore_dpus.systems.classification.exporting import export_run
from mindspore_dpus.systems.classification.scorer import RunScorer, score_frames


def evaluate(
    run_path: Path,
    root: str | None = None,
    manifest: str | None = None,
    split: str = "auto",
    output: Path | None = None,
    target: str | None = None,
    localisation: bool = False,
    allow_outside_root: bool = False,
    decision: Decision | None = None,
    tiles: Tiles | None = None,
    choose: bool = False,
) -> tuple[Path, dict, list[str]]:
    """Score a trained run on labelled images.

    Args:
        run_path: a finished run folder.
        root: other labelled images; default: the run's own data.
        manifest: their CSV, where they have one.
        split: ``train``, ``val``, ``test``, ``all``, or ``auto``: test where the data
            names it, else all.
        output: default: ``evaluations/<data>`` in the run folder.
        target: device; default: the run's.
        localisation: also hold heatmaps against the annotated boxes of the images
            (``metrics["localisation"]``, and ``localisation.csv``).
        allow_outside_root: whether the manifest may name files outside ``root``; else as in the run.
        decision: another than the run's.
        tiles: how each image is cut; default: as for the decision, or not at all.
        choose: choose a decision on these images, to go by elsewhere.

    Returns:
        The folder with ``predictions.csv``, ``metrics.json``, with tiles ``tiles.csv``, with groups
        ``by_group.csv``, and, where there is a decision, ``decision.json`` and ``decision_test.json``;
        the metrics; and what a terminal shows.

    Raises:
        UserError: no finished run, unreadable images, or classes that the run never saw.
    """
    run, config = _open(run_path, target)
    if choose and split == "auto":
        raise UserError("--decide needs --split: say which images; those of a test would test no more")
    if choose and decision is not None:
        raise UserError("--decide chooses a decision, and --decision goes by one: leave one of them out")
    config.data.allow_outside_root |= allow_outside_root
    table, data_root = learn.labelled_images(run, config, root, manifest, split)
    annotated = boxed(table) if localisation else None
    if choose:
        decide.check_choice(run, config, table, data_root)
    name = f"{data_root.resolve().name}-{digest(str(data_root.resolve()))[:4]}-{split}"
    if choose or decision is not None or tiles is not None:
        # Beside, not over, what the run's own decision makes of them.
        name += f"-{digest(decision and decision.to_json(), str(tiles), choose)[:4]}"
    folder = output or run / "evaluations" / name
    if output is not None and config.data.cache_dir is None:
        # The run may lie where nothing can be written.
        config.data.cache_dir = str(output / "cache")
    scorer = RunScorer(run, config)
    go_by(scorer, decision, tiles)
    if localisation and scorer.tiles is not None:
        raise UserError("--localisation is for whole images, not for tiles")
    if scorer.tiles is None:
        images = prepare.load_images(run, config, data_root, table, folder / "unreadable.csv")
        outputs = scorer.predict(images)
        (folder / "tiles.csv").unlink(missing_ok=True)
    else:
        outputs = score_frames(scorer, table["path"], data_root, folder)
    classes = scorer.classes
    path = folder / "predictions.csv"
    write_table(predictions_table(table[["path", "label"]], classes, config, outputs), path)
    write_group_table(table, path, classes, folder / "by_group.csv")
    metrics = compute_metrics(path, classes, config)
    if localisation:
        file = folder / "localisation.csv"
        metrics["localisation"] = explain.check_boxes(
            scorer.ensemble, config, images, annotated, classes, data_root, file
        )
    if scorer.tiles is not None:
        metrics["tiles"] = dataclasses.asdict(scorer.tiles)
    write_json(folder / "metrics.json", metrics)
    if choose:
        go_by(scorer, decide.choose_decision(run, config, table, folder, scorer.tiles), None)
    decide.apply_decision(scorer.decision, config, table, folder, choose)
    lines = metric_lines(metrics) + decide.decision_lines(run, folder, folder.name) + rule_lines(scorer)
    if localisation:
        lines.append(localisation_line(metrics["localisation"]))
    return folder, metrics, lines


def _open(run_path: Path, target: str | None) -> tuple[RunFolder, Config]:
    run = RunFolder.open(run_path)
    config = load_config(run / "config.yaml")
    if target is not None:
        config.device.target = target
    return run, config


def load_scorer(run_path: Path, target: str | None = None) -> RunScorer:
    """The models of a finished run, ready to score prepared images.

    Raises:
        UserError: no finished run.
    """
    return RunScorer(*_open(run_path, target))


def write_heatmaps(
    scorer: RunScorer, predictions: Path, kind: str, folder: Path, files: Sequence[Path]
) -> int:
    """Show where a run sees what it calls (``stages.explain.explain_predictions``).

    Args:
        scorer: of ``load_scorer``.
        predictions: the table that it has filled.
        kind: ``csv`` or ``jsonl``.
        folder: for the pictures.
        files: that were scored.

    Returns:
        How many there are.
    """
    if kind == "csv":
        table = read_table(predictions)
    else:
        table = pd.read_json(predictions, lines=True, dtype=False, convert_dates=False)
    # A row has a name of one line; the file's own may have several.
    table["path"] = table["path"].map({row_name(file): str(file) for file in files})
    return len(explain.explain_predictions(scorer, table, folder))


def predict(run_path: Path, paths: list[str], output: Path, target: str | None = None) -> Summary:
    """Score images that nobody has labelled.

    Args:
        run_path: a finished run folder.
        paths: images, folders, glob patterns, CSV files with a column ``path``.
        output: table to write, CSV or JSON lines: ``path, error, predicted, score, <model>:<class>
            ...``, a row for every input; unreadable ones have an error and nothing else.
        target: device; default: the run's.

    Returns:
        What was scored.

    Raises:
        UserError: no finished run, or nothing to score.
    """
    return predict_files(load_scorer(run_path, target), expand_paths(paths), output)


def export(
    run_path: Path,
    kind: str,
    output: Path | None = None,
    images: list[str] | None = None,
    decision: Decision | None = None,
) -> tuple[Path, Bundle]:
    """Write a run's fused ensemble as one graph, with a JSON beside it (``stages.bundle``).

    Args:
        run_path: a finished run folder.
        kind: ``onnx`` or ``mindir``.
        output: the graph's file; default: ``export/model.<kind>`` in the run folder.
        images: real images, as for ``predict``, on which graph and run must agree; default: of the
            run's test split.
        decision: another than the run's.

    Returns:
        The graph's file, and what its JSON says.

    Raises:
        UserError: no finished run, or the graph cannot be written or does not agree.
    """
    run, config = _open(run_path, None)
    output = output or run / "export" / f"model.{kind}"
    return output, export_run(run, config, kind, output, images and expand_paths(images), decision)
