"""The report's section on results: of many classes, the curves of those that need a look."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.metrics.predictions import compute_metrics
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.sections import results


def section(folder, n_classes, wrong):
    """The section of a run with four images a class; those of ``wrong`` classes go to the next class."""
    classes = [f"c{i:02d}" for i in range(n_classes)]
    labels = np.repeat(np.arange(n_classes), 4)
    predicted = np.where(np.isin(labels, wrong), (labels + 1) % n_classes, labels)
    outputs = np.full((len(labels), n_classes), 0.01)
    outputs[np.arange(len(labels)), predicted] = 0.9
    columns = {f"{m}:{c}": outputs[:, i] for m in ("00", "fused") for i, c in enumerate(classes)}
    paths = [f"{i}.png" for i in range(len(labels))]
    table = pd.DataFrame({"path": paths, "label": [classes[i] for i in labels]})
    predictions = table.assign(predicted=[classes[i] for i in predicted], **columns)
    evaluation = EvaluationSettings(n_bootstrap=10)
    metrics = {}
    for split in ("val", "test"):
        path = folder / f"predictions_{split}.csv"
        write_table(predictions, path)
        write_table(pd.DataFrame({"members": [1], "auc": [1.0]}), folder / f"fusion_{split}.csv")
        metrics[split] = compute_metrics(path, classes, "defect", evaluation, 0)
    write_json(folder / "metrics.json", metrics)
    write_table(table.assign(split="test", group=""), folder / "samples.csv")
    write_table(pd.DataFrame({"subset": [0], "path": ["0.png"]}), folder / "subsets.csv")
    run = ClassifierRun(folder, folder, None, evaluation, "defect", "none")
    return results.section(run)


def shown(made):
    """Classes whose recall is an axis."""
    return [c for c in (f"c{i:02d}" for i in range(20)) if f"recall of {c}<" in made]


@pytest.fixture(autouse=True)
def few_curves(monkeypatch):
    """Drawing takes the time."""
    monkeypatch.setattr(results, "MOST_CURVES", 4)


def test_of_many_classes_the_curves_of_the_worst_are_shown(tmp_path):
    made = section(tmp_path, 7, wrong=[6])
    assert made.context["curves_of"] == 4
    # c06 is never found; of those that are all found, the first count.
    assert shown(made.context["curves"]) == ["c00", "c01", "c02", "c06"]


@pytest.mark.parametrize("n_classes", [3, 4])
def test_of_few_classes_all_are_shown(tmp_path, n_classes):
    made = section(tmp_path, n_classes, wrong=[1])
    assert made.context["curves_of"] is None
    assert shown(made.context["curves"]) == [f"c{i:02d}" for i in range(n_classes)]
