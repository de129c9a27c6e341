"""The report's section on the results: metrics of every model, curves, confusion matrix."""

import math
from types import SimpleNamespace

import numpy as np

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.metrics.classification import METRICS, MULTI_CLASS_METRICS
from mindspore_dpus.metrics.fusion import BASELINE, FUSED
from mindspore_dpus.report import plots
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.report.page import Section

SHOWN = (*METRICS, *MULTI_CLASS_METRICS)
# Of more classes, curves of these many: a page with a hundred figures is slow to make and to open.
MOST_CURVES = 12


def section(run: ClassifierRun) -> Section:
    """Tables of test and validation; ROC and precision-recall; members; confusion matrix of test."""
    test = run.metrics["test"]
    return Section(
        "results.html.j2",
        {
            "results": [_results(split, run.metrics[split]) for split in ("test", "val")],
            "metric_names": [name for name in SHOWN if name in run.models[FUSED]],
            "evaluation": run.evaluation,
            "positive": run.positive if run.positive_index is not None else None,
            "has_baseline": BASELINE in run.models,
            "per_class": _per_class(test),
            "curves": _curves(run, _curve_classes(run, test)),
            "curves_of": MOST_CURVES if len(run.classes) > MOST_CURVES else None,
            "fusion": _fusion(run),
            "n_members": len(run.members),
            "confusion": plots.confusion(np.array(test["confusion_matrix"]), run.classes),
        },
    )


def _results(name: str, split: dict) -> SimpleNamespace:
    models = []
    for model, values in split["models"].items():
        cells = [
            SimpleNamespace(value=value, interval=interval)
            for value, interval in (value_and_interval(values[m]) for m in SHOWN if m in values)
        ]
        models.append(SimpleNamespace(name=model, cells=cells))
    return SimpleNamespace(name=name, n=sum(split["counts"]), models=models)


def _per_class(split: dict) -> list[SimpleNamespace]:
    """Precision, recall, F1 and support of each class; of two, the metrics already say it."""
    if len(split["classes"]) == 2:
        return []
    rows = []
    for name, values in split["per_class"].items():
        cells = [value_and_interval({"value": values[m]})[0] for m in ("precision", "recall", "f1")]
        rows.append(SimpleNamespace(name=name, cells=[*cells, values["support"]]))
    return rows


def _curve_classes(run: ClassifierRun, split: dict) -> list[int]:
    """Of two classes the positive one; of many, those of the lowest F1, which need a look."""
    if run.positive_index is not None:
        return [run.positive_index]
    f1s = [split["per_class"][name]["f1"] for name in run.classes]
    f1s = [math.inf if f1 is None else f1 for f1 in f1s]
    return sorted(np.argsort(f1s, kind="stable")[:MOST_CURVES].tolist())


def _curves(run: ClassifierRun, classes: list[int]) -> str:
    """ROC and precision-recall of each of these classes against the rest."""
    labels, outputs = run.outputs
    figures = []
    for index in classes:
        scores = {name: output[:, index] for name, output in outputs.items()}
        # The fused curve is drawn last, on top.
        ordered = {name: scores[name] for name in sorted(scores, key=lambda name: name == FUSED)}
        figures.append(plots.curves(labels == index, ordered, run.classes[index]))
    return "\n".join(figures)


def _fusion(run: ClassifierRun) -> str:
    """AUC against the number of fused members; of one member there is no curve."""
    tables = {split: read_table(run.path / f"fusion_{split}.csv") for split in ("test", "val")}
    return plots.fusion(tables) if len(tables["test"]) > 1 else ""
