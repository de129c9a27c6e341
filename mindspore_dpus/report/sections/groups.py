"""The report's section on groups of images that belong together: which of them go wrong."""

import math
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from mindspore_dpus.data.samples import read_table
from mindspore_dpus.metrics.by_group import fused_output, with_groups, within_groups_auc
from mindspore_dpus.metrics.classification import roc_auc

MOST = 20


def by_group_section(
    run: Path, samples: pd.DataFrame, predictions: pd.DataFrame, classes: list[str]
) -> SimpleNamespace | None:
    """What the template ``by_group.html.j2`` shows of the test images; None where there are no groups.

    Args:
        run: the run folder.
        samples: its sample table.
        predictions: its predictions on test.
        classes: names in the order of the outputs.
    """
    path = run / "by_group_test.csv"
    if not path.exists():
        return None
    labels, fused = fused_output(predictions, classes)
    table = read_table(path)
    areas = pd.to_numeric(table["auc"])
    wrong = table[[f"wrong:{c}" for c in classes]].sum(axis=1) / table["images"]
    worst = wrong.sort_values(ascending=False, kind="stable").index[:MOST]
    groups = with_groups(predictions, samples)["group"].to_numpy()
    return SimpleNamespace(
        n_groups=len(table),
        n_mixed=int(areas.notna().sum()),
        auc=roc_auc(labels, fused),
        within=within_groups_auc(labels, fused, groups),
        rows=[
            SimpleNamespace(
                name=table["group"][i],
                counts=[(table[f"wrong:{c}"][i], table[f"n:{c}"][i]) for c in classes],
                auc="" if math.isnan(areas[i]) else f"{areas[i]:.3f}",
            )
            for i in worst
        ],
    )
