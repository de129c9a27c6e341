"""Predictions go to a CSV and come back; metrics become valid JSON."""

import json

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.metrics.classification import METRICS, bootstrap_metrics
from mindspore_dpus.metrics.predictions import (
    compute_metrics,
    positive_index,
    predictions_table,
    read_predictions,
    shown_classes,
    worst_errors,
)
from mindspore_dpus.metrics.settings import EvaluationSettings

EVALUATION = EvaluationSettings(n_bootstrap=20)
SEED = 3


def softmax(n, n_classes, seed):
    exponentials = np.exp(np.random.default_rng(seed).normal(size=(n, n_classes)))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def write_predictions(path, classes, positive, labels, models=("fused", "00", "baseline")):
    """A prediction file of random outputs; returns them and the table."""
    rows = pd.DataFrame({"path": [f"{i}.png" for i in range(len(labels))], "label": labels})
    outputs = {name: softmax(len(labels), len(classes), i) for i, name in enumerate(models)}
    table = predictions_table(rows, classes, positive, 0.5, outputs)
    write_table(table, path)
    return outputs, table


@pytest.mark.parametrize(
    "classes",
    [
        ["defect", "normal"],
        ["cold shut", "good, really", "\u7f3a\u9677"],
        ["0", "1"],
        ["01", "1"],
        ["NA", "nan"],
        ["gas: pores", "normal"],
    ],
    ids=" ".join,
)
def test_what_is_written_is_read(tmp_path, classes):
    labels = np.array([0, 1, len(classes) - 1, 0])
    outputs, table = write_predictions(
        tmp_path / "p.csv", classes, classes[0], [classes[i] for i in labels]
    )
    read_labels, read_outputs = read_predictions(tmp_path / "p.csv", classes)
    assert np.array_equal(read_labels, labels)
    assert list(read_outputs) == ["fused", "00", "baseline"]
    for name, output in outputs.items():
        assert np.allclose(read_outputs[name], output, rtol=1e-6, atol=0)
    assert read_table(tmp_path / "p.csv")["predicted"].tolist() == table["predicted"].tolist()


def test_two_classes_have_a_score_and_a_threshold():
    outputs = {"fused": np.array([[0.7, 0.3], [0.71, 0.29]])}
    rows = pd.DataFrame({"path": ["a.png", "b.png"]}, index=[5, 9])
    table = predictions_table(rows, ["normal", "tear"], "tear", 0.3, outputs)
    assert list(table) == ["path", "predicted", "score", "fused:normal", "fused:tear"]
    assert table["score"].tolist() == [0.3, 0.29]
    assert table["predicted"].tolist() == ["tear", "normal"]
    assert table["path"].tolist() == ["a.png", "b.png"]


def test_more_classes_have_no_score_and_the_likeliest_is_predicted():
    outputs = {"fused": np.array([[0.2, 0.5, 0.3]]), "00": np.array([[0.6, 0.3, 0.1]])}
    table = predictions_table(pd.DataFrame({"path": ["a.png"]}), ["x", "y", "z"], "defect", 0.5, outputs)
    assert table["predicted"].tolist() == ["y"]
    assert "score" not in table
    assert list(table)[2:] == ["fused:x", "fused:y", "fused:z", "00:x", "00:y", "00:z"]


def test_the_positive_class_counts_where_there_are_two():
    assert positive_index(["defect", "normal"], "defect") == 0
    assert positive_index(["a", "defect"], "defect") == 1
    assert positive_index(["a", "b", "defect"], "defect") is None


def test_metrics_of_a_file_are_those_of_its_outputs(tmp_path):
    classes = ["defect", "normal"]
    labels = np.array([0, 1, 1, 0, 1, 1, 1, 0])
    outputs, table = write_predictions(
        tmp_path / "p.csv", classes, classes[0], [classes[i] for i in labels]
    )
    metrics = compute_metrics(tmp_path / "p.csv", classes, "defect", EVALUATION, SEED)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["classes"] == classes
    assert metrics["counts"] == [3, 5]
    counted = pd.crosstab(table["label"], table["predicted"]).reindex(
        index=classes, columns=classes, fill_value=0
    )
    assert metrics["confusion_matrix"] == counted.to_numpy().tolist()
    recall = counted.loc["defect", "defect"] / 3
    assert metrics["per_class"]["defect"]["recall"] == pytest.approx(recall, abs=1e-6)
    assert [metrics["per_class"][c]["support"] for c in classes] == [3, 5]
    assert list(metrics["models"]) == list(outputs)
    for name, output in outputs.items():
        expected = bootstrap_metrics(labels, output, 0, 0.5, 20, 0.95, random_state=3)
        for metric in METRICS:
            assert metrics["models"][name][metric] == pytest.approx(expected[metric], abs=1e-6)


def test_undefined_metrics_are_null(tmp_path):
    classes = ["defect", "normal"]
    write_predictions(tmp_path / "p.csv", classes, "defect", ["normal"] * 4)
    metrics = compute_metrics(tmp_path / "p.csv", classes, "defect", EVALUATION, SEED)
    assert metrics["models"]["fused"]["auc"] == {"value": None, "low": None, "high": None}
    assert metrics["models"]["fused"]["accuracy"]["value"] is not None
    assert '"value": null' in json.dumps(metrics, allow_nan=False)


def test_heatmaps_are_of_the_positive_class_of_two_and_of_the_predicted_one_of_more():
    table = pd.DataFrame({"predicted": ["b", "a", "b"]})
    assert shown_classes(table, ["a", "b"], "a").tolist() == [0, 0, 0]
    assert shown_classes(table, ["a", "b"], "b").tolist() == [1, 1, 1]
    assert shown_classes(table, ["a", "b", "c"], "defect").tolist() == [1, 0, 1]


def test_the_surest_errors_come_first():
    rows = [("1", "a", "b", 0.4), ("2", "a", "b", 0.1), ("3", "a", "a", 0.9), ("4", "b", "b", 0.2)]
    table = pd.DataFrame(rows, columns=["path", "label", "predicted", "fused:a"])
    table["fused:b"] = 1 - table["fused:a"]
    assert {name: part["path"].tolist() for name, part in worst_errors(table, ["a", "b"]).items()} == {
        "a": ["2", "1"]
    }
