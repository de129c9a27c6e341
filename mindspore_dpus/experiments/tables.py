"""Results of a grid -> tables (CSV, Markdown, LaTeX), paired differences, a figure."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.samples import write_table
from mindspore_dpus.evaluation import grid_plots
from mindspore_dpus.experiments.details import write_details
from mindspore_dpus.experiments.differences import Pair, paired_difference
from mindspore_dpus.experiments.finished import Fused, fused_output, is_done, measured
from mindspore_dpus.experiments.formats import number, write_readable
from mindspore_dpus.experiments.fusion import write_fusion
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.groups import write_groups
from mindspore_dpus.experiments.show import mean_and_sd, write_displays
from mindspore_dpus.run import write_text


def write_results(experiment: Experiment, cases: list[Case], output: Path) -> pd.DataFrame:
    """Write every table and figure of an experiment.

    Args:
        experiment: the grid.
        cases: its runs; those that are not done are left out.
        output: where to: ``results.csv`` (a row a run), ``table.csv``, ``table.md``, ``table.tex``
            (mean and standard deviation over the seeds), ``figure.svg``, ``write_details``,
            ``write_groups``, ``write_fusion``, ``write_displays``.

    Returns:
        The table: a row a cell; ``split``; ``runs``; for each metric ``<metric>_mean`` and ``_sd``
        (over the seeds); and, with a reference, ``difference``, ``difference_low``,
        ``difference_high`` of the AUC (interval over seeds and images), and, where all images have a
        group, ``group_difference_low``, ``group_difference_high`` (over seeds and groups).
    """
    done = [case for case in cases if is_done(case)]
    axes, split = list(experiment.axes), experiment.split
    results = pd.DataFrame(
        [
            {**case.cell, "seed": case.seed, "split": split}
            | {metric: measured(case, split, metric) for metric in experiment.metrics}
            for case in done
        ],
        columns=[*axes, "seed", "split", *experiment.metrics],
    )
    write_table(results, output / "results.csv")
    write_details(done, split, output)
    write_groups(done, split, output)
    write_fusion(done, split, output)
    rows = []
    for cell in dict.fromkeys(tuple(case.cell.values()) for case in done):
        part = results[(results[axes] == list(cell)).all(axis=1)]
        row = {**dict(zip(axes, cell, strict=True)), "split": split, "runs": len(part)}
        row |= mean_and_sd(part, experiment.metrics)
        if experiment.reference:
            row |= _difference(dict(zip(axes, cell, strict=True)), experiment, done)
        rows.append(row)
    table = pd.DataFrame(rows)
    write_table(table.round(4), output / "table.csv")
    readable = _readable(table, axes, experiment.metrics, split)
    write_readable(readable, output / "table")
    if len(table):
        shown = "auc" if "auc" in experiment.metrics else experiment.metrics[0]
        write_text(output / "figure.svg", grid_plots.grid(table, axes, experiment.x, shown, split))
    write_displays(experiment, done, output)
    return table


def _difference(cell: dict[str, str], experiment: Experiment, done: list[Case]) -> dict:
    """AUC of a cell minus that of its reference: mean over shared seeds, and bootstrap intervals."""
    other = cell | experiment.reference
    if other == cell:
        return {}
    own = {case.seed: case for case in done if case.cell == cell}
    reference = {case.seed: case for case in done if case.cell == other}
    seeds = sorted(set(own) & set(reference))
    if not seeds:
        return {}
    split = experiment.split
    pairs = [(fused_output(own[s], split), fused_output(reference[s], split)) for s in seeds]
    mean, low, high = paired_difference([_pair(one, other, one.paths) for one, other in pairs])
    found = {"difference": mean, "difference_low": low, "difference_high": high}
    if all((one.groups != "").all() for one, _ in pairs):
        by_group = [_pair(one, other, one.groups) for one, other in pairs]
        _, low, high = paired_difference(by_group, stratified=False)
        found |= {"group_difference_low": low, "group_difference_high": high}
    return found


def _pair(one: Fused, other: Fused, units: np.ndarray) -> Pair:
    return Pair(one.labels, one.probabilities, other.probabilities, units)


def _readable(table: pd.DataFrame, axes: list[str], metrics: list[str], split: str) -> pd.DataFrame:
    """The table with ``mean ± sd`` in one cell, as in the paper's Table 2."""
    readable = table[[*axes, "runs"]].astype(str) if len(table) else pd.DataFrame(columns=axes)
    for metric in metrics if len(table) else []:
        pairs = zip(table[f"{metric}_mean"], table[f"{metric}_sd"], strict=True)
        readable[grid_plots.metric_title(metric, split)] = [number(mean, sd) for mean, sd in pairs]
    if "difference" in table:
        readable[f"{split} AUC difference"] = [
            f"{d:+.4f} {_interval(low, high)}" if np.isfinite(d) else "reference"
            for d, low, high in table[["difference", "difference_low", "difference_high"]].to_numpy()
        ]
    if "group_difference_low" in table:
        limits = table[["group_difference_low", "group_difference_high"]].to_numpy()
        readable["over groups"] = [
            _interval(*pair) if np.isfinite(pair).all() else "" for pair in limits
        ]
    return readable


def _interval(low: float, high: float) -> str:
    return f"[{low:+.4f}, {high:+.4f}]"
