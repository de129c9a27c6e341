"""What the draws of a grid's methods preserve of the classes that they are drawn from."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.markup import forget, over_seeds, rounded, write_readable

# Columns of a run's diagnostics.csv that say how far a draw is from its class.
MEASURES = ("share_deviation", "true_share_deviation", "energy", "mmd")


def write_preserved(done: list[Case], output: Path) -> pd.DataFrame:
    """Write ``preserved.csv``, ``.md`` and ``.tex``, where some run draws by clusters.

    Args:
        done: finished runs; those that do not draw by clusters are left out.
        output: the experiment's folder.

    Returns:
        The table of ``preserved.csv``: the axes, ``seed``, ``largest cluster`` (the share of its class),
        and of each measure in ``diagnostics.csv`` its mean over the members, the same of random draws as
        large (``<measure> random``), and their ratio (``<measure> / random``). Of several classes drawn
        from, the mean. The other two files have the ratios' mean ± sd over the seeds.
    """
    rows = [_preserved(case) for case in done if (case.folder / "diagnostics.csv").exists()]
    table = pd.DataFrame(rows)
    if table.empty:
        forget(output / "preserved")
        return table
    write_table(rounded(table), output / "preserved.csv")
    shown = [name for name in table if name == "largest cluster" or name.endswith("/ random")]
    write_readable(over_seeds(table, list(done[0].cell), shown), output / "preserved")
    return table


def _preserved(case: Case) -> dict:
    clusters = read_table(case.folder / "clusters.csv").groupby("label")["cluster"]
    largest = clusters.apply(lambda cluster: cluster.value_counts(normalize=True).max())
    diagnostics = read_table(case.folder / "diagnostics.csv").groupby("kind")
    row = {**case.cell, "seed": case.seed, "largest cluster": largest.mean()}
    for name in MEASURES:
        if name in diagnostics.obj:
            means = diagnostics[name].apply(lambda values: values.astype(float).mean())
            row |= {name: means["drawn"], f"{name} random": means["random"]}
            row[f"{name} / random"] = (
                means["drawn"] / means["random"] if means["random"] else float("nan")
            )
    return row
