"""The report's section on the training: curves of every member, halved rates, the range test."""

import pandas as pd

from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.report import plots
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section


def section(run: ClassifierRun) -> Section:
    """Curves of the members, and of the baseline where there is one."""
    histories = {}
    for name in (*run.members, BASELINE):
        path = run.path / "members" / name / "history.csv"
        if path.exists():
            histories[name] = pd.read_csv(path)
    halvings = {name: n for name, table in histories.items() if (n := table["halvings"].max())}
    figure = run.path / "lr_range.svg"
    return Section(
        "training.html.j2",
        {
            "training": plots.training_curves(histories),
            "halvings": halvings,
            "lr_range": figure.read_text(encoding="utf-8") if figure.exists() else "",
        },
    )
