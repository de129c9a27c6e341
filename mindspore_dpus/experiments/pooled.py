"""Is one method better than another along a whole axis? Differences over its values and all seeds."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.markup import forget, rounded, write_readable
from mindspore_dpus.experiments.pairing import compare, compared, compared_by_group, paired_runs


def write_pooled(experiment: Experiment, done: list[Case], output: Path) -> pd.DataFrame:
    """Write ``pooled.csv``, ``.md`` and ``.tex``, where a grid has an x-axis and a reference beside it.

    A difference that is small beside what seeds make of it at one value of the x-axis (a share of
    defects) may be seen over all of them. Each run is drawn as a seed is elsewhere, so the interval is
    for such runs at such values.

    Args:
        experiment: the grid.
        done: finished runs.
        output: the experiment's folder.

    Returns:
        The table of ``pooled.csv``: a row for each combination of the other axes but the reference's;
        ``split``, and what ``compare`` says over all values of the x-axis that both have finished.
    """
    x, reference = experiment.x, experiment.reference
    rows = []
    for others in _cells_without(x, done) if x and reference and x not in reference else []:
        if others | reference == others:
            continue
        pairs = [
            pair
            for value in experiment.axes[x]
            for pair in paired_runs(
                others | {x: value}, others | reference | {x: value}, done, experiment.split
            )
        ]
        if pairs:
            rows.append({**others, "split": experiment.split, **compare(pairs)})
    if not rows:
        forget(output / "pooled")
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    write_table(rounded(table), output / "pooled.csv")
    axes = [axis for axis in experiment.axes if axis != x]
    readable = table[[*axes, "pairs"]].astype(str)
    title = f"{experiment.split} AUC difference"
    readable[title] = [compared(row) for row in table.to_dict("records")]
    write_readable(readable.assign(**compared_by_group(table)), output / "pooled")
    return table


def _cells_without(axis: str, done: list[Case]) -> list[dict[str, str]]:
    """Each combination of the other axes once, in the order of the runs."""
    cells = [{key: value for key, value in case.cell.items() if key != axis} for case in done]
    return [cell for i, cell in enumerate(cells) if cell not in cells[:i]]
