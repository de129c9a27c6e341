"""Results of a grid -> tables (CSV, Markdown, LaTeX), paired differences, a figure."""

import itertools
from functools import partial
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.files import write_text
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.details import write_details
from mindspore_dpus.experiments.ensemble_size import write_fusion
from mindspore_dpus.experiments.finished import is_done, measures, notes, val_score
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.groups import write_groups
from mindspore_dpus.experiments.made_with import write_made_with
from mindspore_dpus.experiments.markup import (
    as_text,
    means,
    noted,
    rounded,
    with_notes,
    write_readable,
)
from mindspore_dpus.experiments.pairing import compare, compared, compared_by_group, paired_runs
from mindspore_dpus.experiments.pooled import write_pooled
from mindspore_dpus.experiments.preserved import write_preserved
from mindspore_dpus.experiments.searching import ranking
from mindspore_dpus.experiments.show import write_displays
from mindspore_dpus.report import grid_plots


def write_results(experiment: Experiment, cases: list[Case], output: Path) -> pd.DataFrame:
    """Write every table and figure of an experiment.

    Args:
        experiment: the grid.
        cases: its runs; those that are not done are left out.
        output: where to: ``results.csv`` (a row a run), ``table.csv``, ``table.md``, ``table.tex``
            (mean and standard deviation over the seeds), ``figure.svg``, ``write_made_with``,
            ``write_displays``, ``search.csv`` (``searching.ranking``); of systems with class
            probabilities also ``write_details``, ``write_groups``, ``write_fusion``,
            ``write_preserved``, ``write_pooled``.

    Returns:
        The table: a row a cell; ``split``; ``runs``; for each metric ``<metric>_mean`` and ``_sd``
        (over the seeds); and, with a reference, what ``compare`` says of the seeds that both have
        finished, with the same images.
    """
    # In the grid's order, whatever is missing of a seed.
    cells = list(dict.fromkeys(tuple(case.cell.values()) for case in cases))
    done = sorted(filter(is_done, cases), key=lambda case: cells.index(tuple(case.cell.values())))
    axes, split, metrics = list(experiment.axes), experiment.split, experiment.metrics
    results = measures(done, split, metrics).reindex(columns=[*axes, "seed", "split", *metrics])
    said = notes(done, axes, split, metrics)
    write_table(with_notes(results, axes, metrics, said), output / "results.csv")
    if experiment.measures.has_predictions:
        write_details(done, split, output)
        write_groups(experiment, done, output)
        write_fusion(done, split, output)
        write_preserved(done, output)
        write_pooled(experiment, done, output)
    write_made_with(done, output)
    if experiment.search and done:
        table = ranking(experiment.search, done, partial(val_score, experiment.search.by))
        write_table(table, output / "search.csv")
    table = means(results, axes, metrics)
    if len(table):
        table.insert(len(axes), "split", split)
    if experiment.reference and len(table):
        found = [_difference(cell, experiment, done) for cell in table[axes].to_dict("records")]
        table = table.join(pd.DataFrame(found, index=table.index))
    written = with_notes(rounded(table), axes, metrics, said) if len(table) else table
    write_table(written, output / "table.csv")
    write_readable(_readable(table, experiment, said), output / "table")
    if len(table):
        order = list(experiment.axes[experiment.x]) if experiment.x else None
        figure = grid_plots.grid(table, axes, experiment.x, experiment.main_metric, split, order)
        write_text(output / "figure.svg", figure)
    else:
        (output / "figure.svg").unlink(missing_ok=True)
    write_displays(experiment, done, output)
    return table


def check_measures(experiment: Experiment, case: Case) -> None:
    """Whether all that an experiment's tables and figures show can be had of a finished run.

    Raises:
        UserError: not that one; the message names it.
    """
    names = [experiment.metrics, *(table.metrics or [] for table in experiment.tables.values())]
    names.append([figure.metric for figure in experiment.figures.values() if figure.metric])
    measures([case], experiment.split, list(dict.fromkeys(itertools.chain(*names))))


def _difference(cell: dict[str, str], experiment: Experiment, done: list[Case]) -> dict:
    """AUC of a cell minus that of its reference: mean over shared seeds, and bootstrap intervals."""
    other = cell | experiment.reference
    return {} if other == cell else compare(paired_runs(cell, other, done, experiment.split))


def _readable(table: pd.DataFrame, experiment: Experiment, said: dict) -> pd.DataFrame:
    """The table with ``mean ± sd`` in one cell, as in the paper's Table 2."""
    axes, split = list(experiment.axes), experiment.split
    if not len(table):
        return pd.DataFrame(columns=axes)
    readable = table[[*axes, "runs"]].astype(str)
    for metric in experiment.metrics:
        texts = noted(as_text(table, metric), table, axes, metric, said)
        readable[grid_plots.metric_title(metric, split)] = texts
    if "difference" in table:
        readable[f"{split} AUC difference"] = [
            _difference_in_words(row, experiment.reference) for row in table.to_dict("records")
        ]
    return readable.assign(**compared_by_group(table))


def _difference_in_words(row: dict, reference: dict[str, str]) -> str:
    if all(row[axis] == value for axis, value in reference.items()):
        return "reference"
    found = compared(row)
    all_of_them = not found or row["pairs"] == row["runs"]
    return found if all_of_them else f"{found} ({row['pairs']:.0f} of {row['runs']} runs)"
