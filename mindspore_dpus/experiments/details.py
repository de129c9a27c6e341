"""What a grid shows of each run besides its row: curves, confusion matrix, classes, range test."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import read_json, write_text
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.markup import forget, over_seeds, write_readable
from mindspore_dpus.metrics.classification import CLASS_METRICS
from mindspore_dpus.report import plots


def write_details(done: list[Case], split: str, output: Path) -> pd.DataFrame:
    """Write ``details/<run>-curves.svg``, ``-confusion.svg`` and, where the learning rate comes from a
    range test, ``-lr_range.svg``; and of all runs ``classes.csv``, ``.md`` and ``.tex``.

    Args:
        done: finished runs.
        split: whose predictions.
        output: the experiment's folder.

    Returns:
        The table of ``classes.csv``: the axes, ``seed``, ``split``, ``class``, and of the fused
        predictions ``precision``, ``recall``, ``f1``, ``support``. The other two have means and
        standard deviations over the seeds.
    """
    rows = []
    for case in done:
        metrics = read_json(case.folder / "metrics.json")[split]
        figures = {
            "curves": partial(_curves, case.folder),
            "confusion": partial(
                plots.confusion, np.array(metrics["confusion_matrix"]), metrics["classes"]
            ),
        }
        for name, draw in figures.items():
            path = output / "details" / f"{case.name}-{name}.svg"
            if not _is_newer(path, case.folder / "metrics.json"):
                write_text(path, draw())
        if case.config.training.learning_rate == "auto":
            copy = (case.folder / "lr_range.svg").read_text(encoding="utf-8")
            write_text(output / "details" / f"{case.name}-lr_range.svg", copy)
        for label, values in metrics["per_class"].items():
            rows.append({**case.cell, "seed": case.seed, "split": split, "class": label, **values})
    table = pd.DataFrame(rows)
    if not rows:
        forget(output / "classes")
        return table
    write_table(table, output / "classes.csv")
    keys = [*done[0].cell, "class"]
    readable = over_seeds(table, keys, list(CLASS_METRICS))
    support = table.groupby(keys, sort=False)["support"].mean()
    readable["support"] = [f"{n:g}" for n in support]
    write_readable(readable, output / "classes")
    return table


def _curves(folder: Path) -> str:
    paths = sorted(folder.glob("members/*/history.csv"))
    return plots.training_curves({path.parent.name: pd.read_csv(path) for path in paths})


def _is_newer(drawing: Path, source: Path) -> bool:
    """Whether a figure was drawn after the run that it shows had ended."""
    return drawing.exists() and drawing.stat().st_mtime_ns >= source.stat().st_mtime_ns
