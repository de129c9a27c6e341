"""Results of a grid -> the tables and figures that its file names."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_text
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments import finished
from mindspore_dpus.experiments.displays import Figure, Table
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.markup import (
    as_text,
    folded,
    forget,
    means,
    noted,
    rounded,
    with_notes,
    write_readable,
)
from mindspore_dpus.report import grid_plots

# The row of ``Table.printed``.
PRINTED = "the paper"


def write_displays(experiment: Experiment, done: list[Case], output: Path) -> None:
    """Write ``tables/<name>.csv``, ``.md``, ``.tex`` and ``figures/<name>.svg``.

    One whose runs are all still to do is left out, and removed where it is of another part of the grid.

    Args:
        experiment: the grid, with its ``tables`` and ``figures``.
        done: its finished runs.
        output: the experiment's folder.

    Raises:
        UserError: a class that no run has, or a best run by a metric that is undefined in all of them.
    """
    for name, table in experiment.tables.items():
        if chosen := _where(done, table.where):
            values, text = _table(experiment, table, chosen)
            write_table(values, output / "tables" / f"{name}.csv")
            write_readable(text, output / "tables" / name)
        else:
            forget(output / "tables" / name)
    for name, figure in experiment.figures.items():
        if chosen := _where(done, figure.where):
            write_text(output / "figures" / f"{name}.svg", _figure(experiment, figure, chosen))
        else:
            (output / "figures" / f"{name}.svg").unlink(missing_ok=True)


def _where(cases: list[Case], where: dict[str, list[str]]) -> list[Case]:
    return [case for case in cases if all(case.cell[axis] in kept for axis, kept in where.items())]


def _table(experiment: Experiment, table: Table, cases: list[Case]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers for other programs, and text as the paper prints it."""
    metrics, axes = table.metrics or experiment.metrics, list(experiment.axes)
    metrics = metrics[:1] if table.across and not table.metrics else metrics
    measured = finished.measures(cases, experiment.split, metrics)
    values = means(measured, axes, metrics)
    said = finished.notes(cases, axes, experiment.split, metrics)
    shown = [axis for axis in axes if len(table.where.get(axis, ())) != 1]
    if table.across:
        # A run whose metric is undefined is no run of the mean.
        counts = measured.groupby(axes, sort=False)[metrics].count()
        values["runs"] = counts.max(axis=1).tolist()
        texts = {m: noted(_numbers(values, m, table), values, axes, m, said) for m in metrics}
        text = _across(experiment, table, values, counts, texts, shown)
        return with_notes(rounded(values), axes, metrics, said), folded(text, table.fold)
    text = values[shown].astype(str)
    for metric in metrics:
        numbers = noted(_numbers(values, metric, table), values, axes, metric, said)
        text[_title(metric, table, experiment.split)] = numbers
    values = with_notes(rounded(values), axes, metrics, said)
    if table.printed:
        values = pd.concat([_printed(table, axes, metrics, False), values], ignore_index=True)
        first = _printed(table, shown, metrics, True).set_axis(text.columns, axis=1)
        text = pd.concat([first, text], ignore_index=True)
    return values, folded(text, table.fold)


def _printed(table: Table, axes: list[str], metrics: list[str], in_text: bool) -> pd.DataFrame:
    """The row of a paper's numbers, as it prints them; for other programs in the unit of the others."""
    row: dict = dict.fromkeys(axes, "") | {axes[0]: PRINTED}
    if not in_text:
        row["runs"] = 0
    for metric in metrics:
        number = table.printed.get(metric)
        if in_text:
            row[metric] = "" if number is None else str(number)
        else:
            scale = 100 if metric in table.percent else 1
            row[f"{metric}_mean"] = np.nan if number is None else round(number / scale, 10)
            row[f"{metric}_sd"] = np.nan
    return pd.DataFrame([row])


def _numbers(values: pd.DataFrame, metric: str, table: Table) -> list[str]:
    return as_text(values, metric, metric in table.percent)


def _title(metric: str, table: Table, split: str) -> str:
    return grid_plots.metric_title(metric, split) + (" / %" if metric in table.percent else "")


def _across(
    experiment: Experiment,
    table: Table,
    values: pd.DataFrame,
    counts: pd.DataFrame,
    texts: dict[str, list[str]],
    shown: list[str],
) -> pd.DataFrame:
    """A row for each combination of the other axes, and for each metric; a column for each value of the axis.

    Args:
        experiment, table: whose.
        values: ``means``.
        counts: a column for each metric: of how many runs the mean is.
        texts: of each metric, the numbers as they are printed.
        shown: axes that have more than one value here.
    """
    axis, split, metrics = table.across, experiment.split, list(counts)
    axes = [name for name in shown if name != axis] or [n for n in experiment.axes if n != axis]
    keys = [tuple(row[name] for name in axes) for row in values.to_dict("records")]
    columns = [value for value in experiment.axes[axis] if value in set(values[axis])]
    cells = {}
    for metric in metrics:
        runs = counts[metric].tolist()
        for key, value, text, n in zip(keys, values[axis], texts[metric], runs, strict=True):
            cells[key, metric, value] = text if not text or n == max(runs) else f"{text} ({n})"
    titles = {metric: _title(metric, table, split) for metric in metrics}
    # In the order of the axes: of a part of the grid, the first runs may be missing.
    combinations = [key for key in itertools.product(*(experiment.axes[a] for a in axes)) if key in keys]
    rows = [
        [
            *key,
            *([titles[metric]] if metrics[1:] else []),
            *(cells.get((key, metric, c), "") for c in columns),
        ]
        for key in combinations
        for metric in metrics
    ]
    named = f"metric by {axis}" if metrics[1:] else f"{axes[-1]}: {titles[metrics[0]]} by {axis}"
    head = [*axes, named] if metrics[1:] else [*axes[:-1], named]
    return pd.DataFrame(rows, columns=[*head, *columns])


def _figure(experiment: Experiment, figure: Figure, cases: list[Case]) -> str:
    axes, split = list(experiment.axes), experiment.split
    if figure.kind in ("bars", "lines"):
        metric = figure.metric or experiment.metrics[0]
        table = means(finished.measures(cases, split, [metric]), axes, [metric])
        # What all have in common need not be said of each.
        shown = [a for a in axes if table[a].nunique() > 1 or a == figure.x] or axes
        if figure.kind == "bars":
            return grid_plots.bars(table, shown, metric, split)
        order = list(experiment.axes[figure.x])
        return grid_plots.grid(table, shown, figure.x, metric, split, order)
    if figure.best is not None:
        # By validation, not by what is shown: else the test images would choose.
        values = [finished.measured(case, "val", figure.best) for case in cases]
        if np.isnan(values).all():
            raise UserError(f"figures: best: {figure.best} is undefined on validation in every run")
        cases = [cases[int(np.nanargmax(values))]]
    if figure.kind == "curves":
        return grid_plots.compared_curves({case.title: finished.history(case) for case in cases})
    metrics = {case.title: read_json(case.folder / "metrics.json")[split] for case in cases}
    matrices = {title: np.array(m["confusion_matrix"]) for title, m in metrics.items()}
    return grid_plots.confusions(matrices, next(iter(metrics.values()))["classes"])
