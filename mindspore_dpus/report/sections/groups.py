"""The report's section on groups of images that belong together: which of them go wrong."""

import math
from types import SimpleNamespace

import pandas as pd

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.metrics.by_group import fused_output, with_groups, within_groups_auc
from mindspore_dpus.metrics.classification import roc_auc
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section

MOST = 20


def section(run: ClassifierRun) -> Section | None:
    """The groups of test images with the largest share of errors; None where there are no groups."""
    path = run.path / "by_group_test.csv"
    if not path.exists():
        return None
    predictions, classes = run.predictions, run.classes
    labels, fused = fused_output(predictions, classes)
    table = read_table(path)
    areas = pd.to_numeric(table["auc"])
    wrong = table[[f"wrong:{c}" for c in classes]].sum(axis=1) / table["images"]
    worst = wrong.sort_values(ascending=False, kind="stable").index[:MOST]
    groups = with_groups(predictions, run.samples)["group"].to_numpy()
    context = SimpleNamespace(
        classes=classes,
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
    return Section("groups.html.j2", vars(context))
