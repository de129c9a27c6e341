"""Where the methods of a grid fail: AUC of each group of images (one casting), and within groups."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.finished import Fused, fused_output
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.markup import forget, over_seeds, write_readable
from mindspore_dpus.metrics.by_group import within_groups_auc
from mindspore_dpus.metrics.classification import roc_auc

ALL, WITHIN = "all images", "within groups"
# Groups that a page has room for.
MOST = 12


def write_groups(experiment: Experiment, done: list[Case], output: Path) -> pd.DataFrame:
    """Write ``groups.csv``, ``.md`` and ``.tex``, where the images have groups; and, where the figure
    has an x-axis, ``pooled_groups.md`` and ``.tex``: the same over all values of that axis, of those
    seeds and values that every row has finished (± is over both).

    Args:
        experiment: the grid.
        done: its finished runs.
        output: the experiment's folder.

    Returns:
        The table of ``groups.csv``: the axes, ``seed``, ``split``, and the AUC of ``all images``,
        ``within groups`` (pairs of the same group), and of each ``group <name>`` that holds every
        class, the largest first. The others have means and standard deviations over the runs, of
        ``MOST`` groups.
    """
    split, x = experiment.split, experiment.x
    axes = list(experiment.axes)
    others = [axis for axis in axes if axis != x]
    pooled = output / "pooled_groups"
    fused = [fused_output(case, split) for case in done]
    if not done or not all((one.groups != "").any() for one in fused):
        forget(output / "groups")
        forget(pooled)
        return pd.DataFrame()
    table = pd.DataFrame(
        [
            {**case.cell, "seed": case.seed, "split": split, **_areas(one)}
            for case, one in zip(done, fused, strict=True)
        ]
    )
    write_table(table.round(4), output / "groups.csv")
    shown = table.columns[len(axes) + 2 :][: 2 + MOST].tolist()
    write_readable(over_seeds(table, axes, shown), output / "groups")
    common = _common(table, others, [x, "seed"]) if x and others else table[:0]
    if len(common):
        write_readable(over_seeds(common, others, shown, runs=True), pooled)
    else:
        forget(pooled)
    return table


def _common(table: pd.DataFrame, rows: list[str], runs: list[str]) -> pd.DataFrame:
    """The part of a table in which all ``rows`` have the same ``runs``."""
    n_rows = len(table[rows].drop_duplicates())
    return table[table.groupby(runs)["split"].transform("size") == n_rows]


def _areas(fused: Fused) -> dict[str, float]:
    labels, probabilities, groups = fused.labels, fused.probabilities, fused.groups
    areas = {
        ALL: roc_auc(labels, probabilities),
        WITHIN: within_groups_auc(labels, probabilities, groups),
    }
    rows_of = pd.Series(groups).groupby(groups).indices
    for group in sorted(rows_of, key=lambda name: (-len(rows_of[name]), name)):
        here = rows_of[group]
        if group and len(np.unique(labels[here])) == probabilities.shape[1]:
            areas[f"group {group}"] = roc_auc(labels[here], probabilities[here])
    return areas
