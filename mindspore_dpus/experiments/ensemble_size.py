"""What more members bring: AUC of a grid's methods against the number of fused members."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.differences import Pair, paired_difference
from mindspore_dpus.experiments.finished import fused_output
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.markup import difference, forget, over_seeds, write_readable
from mindspore_dpus.metrics.fusion_curve import fusion_curve


def write_fusion(done: list[Case], split: str, output: Path) -> pd.DataFrame:
    """Write ``fusion.csv``, ``.md`` and ``.tex``, where some run has more than one member.

    Args:
        done: finished runs.
        split: whose predictions.
        output: the experiment's folder.

    Returns:
        The table of ``fusion.csv``: the axes, ``seed``, ``split``, and the AUC of ``1 fused``,
        ``2 fused`` and so on, each the mean over which members they are (``fusion_curve``). The other
        two have means and standard deviations over the seeds, and the ``gain`` of all members fused over
        the mean of single ones, with its interval over seeds and images (``paired_difference``).
    """
    rows, most = [], 0
    pairs: dict[tuple, list[Pair]] = {}
    for case in done:
        fused = fused_output(case, split)
        members = fused.members
        curve = fusion_curve(fused.labels, members)
        cell = pairs.setdefault(tuple(case.cell.values()), [])
        if len(members) > 1:
            cell.append(Pair(fused.labels, fused.probabilities, members, fused.paths))
        most = max(most, len(curve))
        areas = {f"{m} fused": a for m, a in zip(curve["members"], curve["auc_mean"], strict=True)}
        rows.append({**case.cell, "seed": case.seed, "split": split, **areas})
    table = pd.DataFrame(rows)
    if most < 2:
        forget(output / "fusion")
        return table
    write_table(table.round(4), output / "fusion.csv")
    readable = over_seeds(table, list(done[0].cell), [f"{m} fused" for m in range(1, most + 1)])
    readable["gain"] = [
        difference(*paired_difference(cell), len(cell)) if cell else "" for cell in pairs.values()
    ]
    write_readable(readable, output / "fusion")
    return table
