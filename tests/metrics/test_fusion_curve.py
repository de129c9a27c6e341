"""AUC against the number of fused members, against all combinations by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.metrics.fusion_curve import fusion_curve, read_fusion_curve


def made(n_members=5, n=30, n_classes=2):
    rng = np.random.default_rng(n_classes)
    labels = np.arange(n) % n_classes
    outputs = rng.dirichlet(np.ones(n_classes), (n_members, n)) + 0.2 * np.eye(n_classes)[labels]
    return labels, outputs / outputs.sum(axis=2, keepdims=True)


def test_every_size_is_the_mean_over_all_teams():
    labels, outputs = made()
    curve = fusion_curve(labels, outputs)
    assert curve["members"].tolist() == [1, 2, 3, 4, 5]
    assert curve["teams"].tolist() == [5, 10, 10, 5, 1]
    for size, mean, sd in curve[["members", "auc_mean", "auc_sd"]].to_numpy():
        areas = [
            roc_auc_score(labels, sum(outputs[i][:, 1] for i in team))
            for team in itertools.combinations(range(5), int(size))
        ]
        assert mean == pytest.approx(np.mean(areas), abs=1e-12)
        assert math.isnan(sd) if size == 5 else sd == pytest.approx(np.std(areas, ddof=1), abs=1e-12)


def test_more_than_two_classes():
    labels, outputs = made(3, n_classes=3)
    whole = roc_auc_score(labels, outputs.mean(axis=0), multi_class="ovr")
    assert fusion_curve(labels, outputs)["auc_mean"].tolist()[-1] == pytest.approx(whole, abs=1e-12)


def test_of_many_teams_some_are_drawn_and_the_same_ones_again():
    labels, outputs = made(10)
    curve = fusion_curve(labels, outputs, max_teams=20)
    assert curve["teams"].tolist() == [10, *[20] * 7, 10, 1]
    pd.testing.assert_frame_equal(curve, fusion_curve(labels, outputs, max_teams=20))
    exact = fusion_curve(labels, outputs, max_teams=1000)
    assert exact["teams"].tolist()[4] == 252
    assert (curve["auc_mean"] - exact["auc_mean"]).abs().max() < 0.05
    assert (curve["auc_mean"] != exact["auc_mean"])[2]


def test_the_baseline_and_the_fused_output_are_no_members(tmp_path):
    labels, outputs = made(4)
    names = ["fused", "00", "01", "baseline"]
    columns = {f"{n}:{c}": outputs[i][:, j] for i, n in enumerate(names) for j, c in enumerate("ab")}
    table = pd.DataFrame({"path": "x", "label": np.array(["a", "b"])[labels], **columns})
    write_table(table, tmp_path / "p.csv")
    read = read_fusion_curve(tmp_path / "p.csv", ["a", "b"])
    pd.testing.assert_frame_equal(read, fusion_curve(labels, outputs[1:3]))
