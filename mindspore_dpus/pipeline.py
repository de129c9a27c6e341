"""The story in one screen: from a configuration to a fused, evaluated ensemble, a stage at a time."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd

from mindspore_dpus.cli import load_config
from mindspore_dpus.config import Config
from mindspore_dpus.data.inputs import expand_paths
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.data.tiles import Tiles
from mindspore_dpus.deploy.batch import Summary, predict_files
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.rule import go_by, rule_lines
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.errors import UserError
from mindspore_dpus.evaluation.by_group import write_group_table
from mindspore_dpus.evaluation.decision import Decision
from mindspore_dpus.evaluation.localisation import boxed
from mindspore_dpus.evaluation.predictions import compute_metrics, predictions_table
from mindspore_dpus.run import RunFolder, digest, write_json
from mindspore_dpus.stages import decide, explain, learn, prepare, subsets
from mindspore_dpus.stages.audit import make_audit
from mindspore_dpus.stages.bundle import export_run
from mindspore_dpus.stages.score import RunScorer, score_frames


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
        explain.make_heatmaps(run, config, root)
        decide.make_decision(run, config)
        learn.make_report(run, root)
        prepare.write_config(run, config)
    return run


@contextmanager
def leading(config: Config) -> Iterator[bool]:
    """Whether this process is to ``train``.

    It is, but for one of several devices that ``msrun`` has started (``device.data_parallel``): that one
    trains members with the first, and is told False when they are done.

    Raises:
        UserError: the devices are not there, or cannot share a batch equally.
    """
    if not config.device.data_parallel:
        yield True
        return
    from mindspore_dpus.training.members import follow
    from mindspore_dpus.training.parallel import together

    with together(config, partial(follow, config)) as leads:
        yield leads


def _make_sets(run: RunFolder, config: Config) -> Path:
    """From the configuration to the members' training sets; the data root."""
    run.before_change = lambda: prepare.write_provenance(run, config)
    root = prepare.find_root(run, config)
    prepare.make_samples(run, config, root)
    decide.check_decision(run, config)
    learn.check_model(run, config)
    make_audit(run, config, root)
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


def summary(run: RunFolder) -> str:
    """What a person wants to know at the end: the numbers and where the rest is."""
    lines = [] if run.ran else ["nothing to do: every stage is done for this configuration and data"]
    lines += metric_lines(run.metrics()["test"])
    lines += decide.decision_lines(run, run.path, "test")
    lines.append(f"report: {Path(run.path, 'report.html')}")
    return "\n".join(lines)


def metric_lines(metrics: dict) -> list[str]:
    """A line for each model: AUC, precision, recall with their intervals."""
    lines = []
    for name, values in metrics["models"].items():
        parts = [f"{m} {_interval(values[m])}" for m in ("auc", "precision", "recall")]
        lines.append(f"{name:>9}: " + ", ".join(parts))
    return lines


def localisation_line(found: dict) -> str:
    """What ``evaluate`` found out about heatmaps and boxes, in words."""
    exchanged, energy = (_interval({"value": found[name]}) for name in ("exchanged", "energy"))
    return (
        f"heatmaps: {found['hits']} of {found['images']} peaks lie in the annotated box: "
        f"{_interval(found | {'value': found['share']})}; by chance {found['chance']:.3f}, another "
        f"image's peak {exchanged}; share of the heat inside {energy}"
    )


def _interval(metric: dict) -> str:
    if metric["value"] is None:
        return "undefined"
    text = f"{metric['value']:.3f}"
    if metric.get("low") is not None:
        text += f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return text
