"""What a finished run is there for: evaluation on other images, prediction, heatmaps, export."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.configuration import parse_file
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import digest, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.rule import go_by, rule_lines
from mindspore_dpus.deploy.scoring import row_name
from mindspore_dpus.metrics.by_group import write_group_table
from mindspore_dpus.metrics.localisation import boxed
from mindspore_dpus.metrics.predictions import compute_metrics, predictions_table
from mindspore_dpus.systems.classification.configuration import Configuration, check_configuration
from mindspore_dpus.systems.classification.decision_stage import (
    apply_decision,
    check_choice,
    choose_decision,
    decision_lines,
)
from mindspore_dpus.systems.classification.export_stage import export_run
from mindspore_dpus.systems.classification.heatmap_stage import check_boxes, explain_predictions
from mindspore_dpus.systems.classification.labelled import labelled_images
from mindspore_dpus.systems.classification.run_data import source_of
from mindspore_dpus.systems.classification.scorer import RunScorer, score_frames
from mindspore_dpus.systems.classification.summary import localisation_line, metric_lines


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation is asked for.

    Args:
        root: other labelled images; None: the run's own data.
        manifest: their CSV, where they have one.
        allow_outside_root: whether the manifest may name files outside ``root``; else as in the run.
        split: ``train``, ``val``, ``test``, ``all``, or ``auto``: test where the data names it, else all.
        output: None: ``evaluations/<data>`` in the run folder.
        target: device; None: the run's.
        localisation: also hold heatmaps against the annotated boxes of the images
            (``metrics["localisation"]``, and ``localisation.csv``).
        decision: another than the run's.
        tiles: how each image is cut; None: as for the decision, or not at all.
        choose: choose a decision on these images, to go by elsewhere.
    """

    root: str | None = None
    manifest: str | None = None
    allow_outside_root: bool = False
    split: str = "auto"
    output: Path | None = None
    target: str | None = None
    localisation: bool = False
    decision: Decision | None = None
    tiles: Tiles | None = None
    choose: bool = False

    def check(self) -> None:
        """Refuse wishes that contradict each other.

        Raises:
            UserError: says which.
        """
        if self.choose and self.split == "auto":
            raise UserError(
                "choosing a decision needs a split: say which images; those of a test would test no more"
            )
        if self.choose and self.decision is not None:
            raise UserError("one decision is given and another is to be chosen: leave one of them out")

    def name(self, root: Path) -> str:
        """Of its folder, for images of this root."""
        name = f"{root.resolve().name}-{digest(str(root.resolve()))[:4]}-{self.split}"
        if self.choose or self.decision is not None or self.tiles is not None:
            # Beside, not over, what the run's own decision makes of them.
            given = self.decision and self.decision.to_json()
            name += f"-{digest(given, str(self.tiles), self.choose)[:4]}"
        return name


def evaluate(run_path: Path, asked: Evaluation) -> tuple[Path, dict, list[str]]:
    """Score a trained run on labelled images.

    Args:
        run_path: a finished run folder.
        asked: which images, and what of them.

    Returns:
        The folder with ``predictions.csv``, ``metrics.json``, with tiles ``tiles.csv``, with groups
        ``by_group.csv``, and, where there is a decision, ``decision.json`` and ``decision_test.json``;
        the metrics; and what a terminal shows.

    Raises:
        UserError: no finished run, unreadable images, or classes that the run never saw.
    """
    asked.check()
    run, config = _open(run_path, asked)
    table, root = labelled_images(run, config, asked.root, asked.manifest, asked.split)
    annotated = boxed(table) if asked.localisation else None
    if asked.choose:
        check_choice(run, config, table, root)
    folder = asked.output or run / "evaluations" / asked.name(root)
    scorer = RunScorer(run, config)
    go_by(scorer, asked.decision, asked.tiles)
    if asked.localisation and scorer.tiles is not None:
        raise UserError("localisation is for whole images, not for tiles")
    images, outputs = _outputs(run, config, scorer, table, root, folder)
    classes, positive = scorer.classes, config.data.positive
    path = folder / "predictions.csv"
    names, threshold = table[["path", "label"]], config.evaluation.threshold
    write_table(predictions_table(names, classes, positive, threshold, outputs), path)
    write_group_table(table, path, classes, folder / "by_group.csv")
    metrics = compute_metrics(path, classes, positive, config.evaluation, config.seed)
    if asked.localisation:
        file = folder / "localisation.csv"
        metrics["localisation"] = check_boxes(scorer, images, annotated, classes, root, file)
    if scorer.tiles is not None:
        metrics["tiles"] = dataclasses.asdict(scorer.tiles)
    write_json(folder / "metrics.json", metrics)
    if asked.choose:
        go_by(scorer, choose_decision(run, config, table, folder, scorer.tiles), None)
    apply_decision(scorer.decision, config, table, folder, asked.choose)
    lines = metric_lines(metrics) + decision_lines(run.path, folder, folder.name) + rule_lines(scorer)
    if asked.localisation:
        lines.append(localisation_line(metrics["localisation"]))
    return folder, metrics, lines


def _outputs(
    run: RunFolder,
    config: Configuration,
    scorer: RunScorer,
    table: pd.DataFrame,
    root: Path,
    folder: Path,
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """The prepared images, where they are scored as a whole; and the outputs of all models."""
    if scorer.tiles is not None:
        return None, score_frames(scorer, table["path"], root, folder)
    images = source_of(run, config).at(root, folder / "unreadable.csv").open(table)
    (folder / "tiles.csv").unlink(missing_ok=True)
    return images, scorer.predict(images)


def _open(run_path: Path, asked: Evaluation) -> tuple[RunFolder, Configuration]:
    """A run, and its configuration with what an evaluation changes in it."""
    run = RunFolder.open(run_path)
    config = parse_file(Configuration, run / "config.yaml")
    check_configuration(config)
    data, device = config.data, config.device
    if asked.allow_outside_root:
        data = dataclasses.replace(data, allow_outside_root=True)
    if asked.output is not None and data.cache_dir is None:
        # The run may lie where nothing can be written.
        data = dataclasses.replace(data, cache_dir=str(asked.output / "cache"))
    if asked.target is not None:
        device = dataclasses.replace(device, target=asked.target)
    return run, dataclasses.replace(config, data=data, device=device)


def load_scorer(run_path: Path, target: str | None = None) -> RunScorer:
    """The models of a finished run, ready to score prepared images.

    Raises:
        UserError: no finished run.
    """
    return RunScorer(*_open(run_path, Evaluation(target=target)))


def write_heatmaps(
    scorer: RunScorer, predictions: Path, kind: str, folder: Path, files: Sequence[Path]
) -> int:
    """Show where a run sees what it calls (``heatmap_stage.explain_predictions``).

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
    return len(explain_predictions(scorer, table, folder))


def export(
    run_path: Path,
    kind: str,
    output: Path | None = None,
    images: list[str] | None = None,
    decision: Decision | None = None,
) -> tuple[Path, Bundle]:
    """Write a run's fused ensemble as one graph, with a JSON beside it (``export_stage``).

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
    run, config = _open(run_path, Evaluation())
    output = output or run / "export" / f"model.{kind}"
    return output, export_run(run, config, kind, output, images and expand_paths(images), decision)
