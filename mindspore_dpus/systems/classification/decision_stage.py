"""predictions -> decision: the score from which an image counts as a defect, and its effect on test."""

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.decision.assessment import assess, chosen_line, summary_line
from mindspore_dpus.decision.choice import decide, refuse_assured_recall
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.probability import weighted_prior
from mindspore_dpus.decision.settings import DecisionSettings
from mindspore_dpus.decision.thresholds import rank_for_assured_recall
from mindspore_dpus.losses.settings import LOSSES
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.stages.subsets import read_subsets
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.run_data import data_root, source_of

logger = logging.getLogger(__name__)

DECISION = "decision.json"
ASSESSMENT = "decision_test.json"
SIZE_COLUMN = "flaw_size"


def check_decision(run: RunFolder, config: Configuration) -> None:
    """Refuse, before anything is trained, what ``make_decision`` could not do with these samples.

    Raises:
        UserError: settings of ``decision`` with more than two classes, size columns that are missing or
            hold no sizes, or an assured recall that so few defects cannot support.
    """
    table, classes, _ = read_samples(run / "samples.csv")
    decision = config.decision
    if len(classes) != 2:
        given, default = results(decision), results(DecisionSettings())
        for key in given:
            if given[key] != default[key]:
                raise UserError(
                    f"configuration: decision.{key} is for two classes; there are {len(classes)} "
                    f"({', '.join(classes)}). Leave it out"
                )
        return
    for column in decision.size_columns or []:
        if column not in table:
            raise UserError(
                f"configuration: decision.size_columns names {column!r}, which the manifest does not "
                f"have; it has {', '.join(table)}"
            )
    flaw_sizes(table, decision.size_columns, config.data.positive)
    if decision.rule == "assured_recall":
        in_val = (table["split"] == "val") & (table["label"] == config.data.positive)
        n_defects = int(in_val.sum())
        if rank_for_assured_recall(n_defects, decision.recall, config.evaluation.confidence) is None:
            refuse_assured_recall(
                decision.recall, config.evaluation.confidence, config.data.positive, n_defects
            )


def make_decision(run: RunFolder, config: Configuration) -> None:
    """``decision.json``, from validation; ``decision_test.json``: what it does on test.

    Two classes only: with more there is nothing to choose, and the run says so.
    """
    table, classes, _ = read_samples(run / "samples.csv")
    if len(classes) != 2:
        logger.info("  none, as there are %d classes; a threshold is for two", len(classes))
        return
    decision = _decide(run, config, run / "predictions_val.csv", table[table["split"] == "val"])
    decision.save(run / DECISION)
    test = table[table["split"] == "test"]
    write_assessment(decision, config, run / "predictions_test.csv", test, run / ASSESSMENT)


def decision_artefacts(run: RunFolder) -> list[str]:
    """What ``make_decision`` leaves."""
    _, classes, _ = read_samples(run / "samples.csv")
    return [DECISION, ASSESSMENT] if len(classes) == 2 else []


def _decide(run: RunFolder, config: Configuration, predictions: Path, table: pd.DataFrame) -> Decision:
    """The decision that labelled images choose, tied to the run's members."""
    is_defect, scores = _predictions(predictions, config)
    decision = decide(
        config.decision,
        config.evaluation.confidence,
        config.data.positive,
        is_defect,
        scores,
        _training_prior(run, config),
        _groups(table, config),
    )
    return dataclasses.replace(decision, members=members_key(run))


def members_key(run: RunFolder) -> str | None:
    """What names the networks of a run, in its folder and in its exports (``deploy.Scorer.members``)."""
    return run.stages().get("members", {}).get("key")


def read_decision(run: RunFolder) -> Decision | None:
    """The decision of a finished run; None where it has none: more than two classes."""
    return Decision.load(run / DECISION) if (run / DECISION).exists() else None


def check_choice(run: RunFolder, config: Configuration, table: pd.DataFrame, root: Path) -> None:
    """Refuse images that cannot choose a threshold.

    Args:
        run: a finished run.
        config: its configuration.
        table: the images.
        root: where they lie.

    Raises:
        UserError: more than two classes in the run, one class in the table, or images that the run was
            trained on.
    """
    samples, classes, _ = read_samples(run / "samples.csv")
    if len(classes) != 2:
        raise UserError(
            f"a decision is for two classes; there are {len(classes)} ({', '.join(classes)})"
        )
    missing = sorted(set(classes) - set(table["label"]))
    if missing:
        raise UserError(f"a decision needs images of both classes; {root} has none of {missing[0]!r}")
    trained = table["split"] == "train"
    own = data_root(run, config)
    files = samples["path"][samples["split"] == "train"]
    if not trained.any() and own.resolve() != root.resolve() and own.exists():
        with suppress(UserError):  # Some of the run's files are gone: those that are there will do.
            source = source_of(run, config)
            known = set(source.content_hashes(files))
            hashes = pd.Series(source.at(root, source.unreadable).content_hashes(table["path"]))
            trained = hashes.isin(known - {""})
    if trained.any():
        raise UserError(
            f"decision: the run was trained on {table['path'][trained.to_numpy()].iloc[0]}, whose score "
            "says nothing of new images; choose others, such as the split val"
        )


def choose_decision(
    run: RunFolder, config: Configuration, table: pd.DataFrame, folder: Path, tiles: Tiles | None
) -> Decision:
    """Choose a threshold on the images of an evaluation, by the run's rule.

    Args:
        run: a finished run.
        config: its configuration.
        table: the rows that were evaluated.
        folder: of the evaluation.
        tiles: how they were cut.

    Raises:
        UserError: more than two classes, or images of one class only.
    """
    decision = _decide(run, config, folder / "predictions.csv", table)
    return dataclasses.replace(decision, tiles=tiles)


def apply_decision(
    decision: Decision | None,
    config: Configuration,
    table: pd.DataFrame,
    folder: Path,
    chosen: bool = False,
) -> None:
    """``decision.json`` and ``decision_test.json`` in the folder of an evaluation: what was applied, and
    what it does there.

    Args:
        decision: None: there is none, and nothing is written.
        chosen: whether these very images chose it; then they do not test it, and there is no
            ``decision_test.json``.
        config: the run's.
        table: the rows that were evaluated.
        folder: of the evaluation, with its ``predictions.csv``.
    """
    for name in (DECISION, ASSESSMENT):
        (folder / name).unlink(missing_ok=True)
    if decision is None:
        return
    decision.save(folder / DECISION)
    if chosen:
        return
    write_assessment(decision, config, folder / "predictions.csv", table, folder / ASSESSMENT)


def decision_lines(run: Path, folder: Path, images: str) -> list[str]:
    """What a terminal shows of a decision.

    Args:
        run: the run folder.
        folder: where ``decision.json`` and ``decision_test.json`` are.
        images: what to call the images that it is about.

    Returns:
        One line; nothing with more than two classes.
    """
    if (folder / ASSESSMENT).exists():
        decision = Decision.load(folder / DECISION)
        return [f" decision: {summary_line(decision, read_json(folder / ASSESSMENT), images)}"]
    if folder != run and (folder / DECISION).exists():
        return [f" decision: {chosen_line(Decision.load(folder / DECISION), images)}"]
    return []


def write_assessment(
    decision: Decision, config: Configuration, predictions: Path, table: pd.DataFrame, output: Path
) -> None:
    """Write what a decision does on labelled images.

    Args:
        decision: made on validation.
        config: which columns hold flaw sizes.
        predictions: file of ``predictions_table`` with labels.
        table: the rows of the sample table that it is about, in the same order.
        output: JSON file; see ``assess``.
    """
    is_defect, scores = _predictions(predictions, config)
    write_json(output, assess(decision, is_defect, scores, _sizes(table, config)))


def _sizes(table: pd.DataFrame, config: Configuration) -> np.ndarray | None:
    return flaw_sizes(table, config.decision.size_columns, config.data.positive)


def flaw_sizes(
    table: pd.DataFrame, size_columns: Sequence[str] | None, positive: str
) -> np.ndarray | None:
    """(N,) size of each image's flaw, nan where there is none; None: the table has no such column.

    Args:
        table: the samples.
        size_columns: ``decision.size_columns``.
        positive: the class of defects.

    Raises:
        UserError: a size of a defect that is no number above 0.
    """
    columns = [c for c in size_columns or [SIZE_COLUMN] if c in table]
    if not columns:
        return None
    sizes = np.full(len(table), np.nan)
    defects = np.flatnonzero(table["label"] == positive)
    for column in columns:
        cells = table[column].iloc[defects].astype(str).str.strip()
        numbers = pd.to_numeric(cells, errors="coerce")
        bad = (cells != "") & ~(np.isfinite(numbers) & (numbers > 0))
        if bad.any():
            row = int(np.argmax(bad))
            raise UserError(
                f"manifest: {column} of {table['path'].iloc[defects[row]]} is {cells.iloc[row]!r}; a "
                "flaw's size must be a number above 0, or empty. Mend it, or name other columns with "
                "decision.size_columns"
            )
        sizes[defects] = np.fmax(sizes[defects], numbers)
    return sizes


def _predictions(path: Path, config: Configuration) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool, whether an image is of the positive class; (N,) fused score."""
    positive = config.data.positive
    table = read_table(path)
    return (table["label"] == positive).to_numpy(), table["score"].to_numpy(float)


def _training_prior(run: RunFolder, config: Configuration) -> float:
    """The share of defects for which the members' outputs stand: that of their sets, as the loss
    weighs them."""
    table, classes, _ = read_samples(run / "samples.csv")
    label_of = table.set_index("path")["label"]
    positive = config.data.positive
    members = [paths for name, paths in read_subsets(run.path).items() if name != BASELINE]
    share = float(np.mean([(label_of[paths] == positive).mean() for paths in members]))
    loss = config.loss
    weights = loss.options.get("class_weights")
    if weights is not None:
        weight = dict(zip(classes, weights, strict=True))
        return weighted_prior(share, weight.pop(positive), *weight.values())
    return 0.5 if LOSSES[loss.name].balances_classes else share


def _groups(table: pd.DataFrame, config: Configuration) -> int | None:
    """How many groups the defects of a table come from; an image without one stands alone."""
    groups = table["group"][table["label"] == config.data.positive]
    named = groups[groups != ""]
    return named.nunique() + len(groups) - len(named) if len(named) else None
