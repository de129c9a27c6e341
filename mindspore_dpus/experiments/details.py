"""What a grid shows of each run besides its row: curves, confusion matrix, table of classes."""

from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.samples import write_table
from mindspore_dpus.evaluation import plots
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.run import read_json, write_text


def write_details(done: list[Case], split: str, output: Path) -> pd.DataFrame:
    """Write ``details/<run>-curves.svg`` and ``-confusion.svg``, and ``classes.csv`` of all runs.

    Args:
        done: finished runs.
        split: whose predictions.
        output: the experiment's folder.

    Returns:
        The table of ``classes.csv``: the axes, ``seed``, ``split``, ``class``, and of the fused
        predictions ``precision``, ``recall``, ``f1``, ``support``.
    """
    rows = []
    for case in done:
        metrics = read_json(case.folder / "metrics.json")[split]
        histories = {
            path.parent.name: pd.read_csv(path)
            for path in sorted(case.folder.glob("members/*/history.csv"))
        }
        figures = {
            "curves": plots.training_curves(histories),
            "confusion": plots.confusion(np.array(metrics["confusion_matrix"]), metrics["classes"]),
        }
        for name, figure in figures.items():
            write_text(output / "details" / f"{case.name}-{name}.svg", figure)
        for label, values in metrics["per_class"].items():
            rows.append({**case.cell, "seed": case.seed, "split": split, "class": label, **values})
    table = pd.DataFrame(rows)
    if rows:
        write_table(table, output / "classes.csv")
    return table
