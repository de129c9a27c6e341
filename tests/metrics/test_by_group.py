"""Results of each group: counted by hand, AUC within groups against an independent one."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.metrics.by_group import has_groups, within_groups_auc, write_group_table
from mindspore_dpus.metrics.classification import roc_auc

CLASSES = ["defect", "normal"]


def two(scores):
    """Outputs whose class 1 has these scores."""
    scores = np.asarray(scores, float)
    return np.stack([1 - scores, scores], axis=1)


def by_pairs(labels, probabilities, groups):
    """``within_groups_auc`` a pair at a time."""
    n_classes = probabilities.shape[1]
    areas = []
    for c in [1] if n_classes == 2 else range(n_classes):
        scores = probabilities[:, c]
        pairs = [
            (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
            for i, j in itertools.product(range(len(labels)), repeat=2)
            if labels[i] == c and labels[j] != c and groups[i] == groups[j] != ""
        ]
        areas.append(np.mean(pairs))
    return np.mean(areas)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_auc_within_groups_counts_pairs_of_a_group(n_classes):
    rng = np.random.default_rng(n_classes)
    labels = rng.integers(n_classes, size=60)
    # Few different scores, so that some are equal.
    probabilities = np.round(rng.dirichlet(np.ones(n_classes), 60), 1)
    groups = rng.choice(["a", "b", "cc", ""], size=60)
    if n_classes == 2:
        probabilities[:, 0] = 1 - probabilities[:, 1]
    wanted = by_pairs(labels, probabilities, groups)
    assert within_groups_auc(labels, probabilities, groups) == pytest.approx(wanted, abs=1e-12)


def test_in_one_group_it_is_the_auc():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(2, size=40), two(rng.random(40))
    same = np.full(40, "a")
    wanted = roc_auc(labels, probabilities)
    assert within_groups_auc(labels, probabilities, same) == pytest.approx(wanted, abs=1e-12)


def test_a_shift_between_groups_does_not_count():
    labels, groups = np.array([0, 1, 0, 1]), np.array(["a", "a", "b", "b"])
    scores = two([0.1, 0.2, 0.8, 0.9])
    assert roc_auc(labels, scores) == 0.75
    assert within_groups_auc(labels, scores, groups) == 1.0


def test_without_two_classes_in_a_group_it_is_undefined():
    groups = np.array(["a", "b"])
    assert math.isnan(within_groups_auc(np.array([0, 1]), two([0.1, 0.9]), groups))


def written(tmp_path, rows, classes=CLASSES):
    """The table of some images: (path, group, label, predicted, score of the first class)."""
    table = pd.DataFrame(rows, columns=["path", "group", "label", "predicted", "score"])
    samples = table[["path", "label", "group"]].assign(split="test")
    outputs = {f"fused:{classes[0]}": table["score"], f"fused:{classes[1]}": 1 - table["score"]}
    write_table(table[["path", "label", "predicted"]].assign(**outputs), tmp_path / "p.csv")
    # In another order, and with more images.
    samples = pd.concat([samples.iloc[::-1], samples.assign(path="other" + samples["path"], group="o")])
    write_group_table(samples, tmp_path / "p.csv", classes, tmp_path / "by_group.csv")
    return tmp_path / "by_group.csv"


ROWS = [
    ("1.png", "007", "defect", "normal", 0.4),
    ("2.png", "007", "defect", "defect", 0.9),
    ("3.png", "007", "normal", "defect", 0.6),
    ("4.png", "7", "normal", "normal", 0.2),
    ("5.png", "7", "normal", "defect", 0.7),
]


def test_every_group_has_its_images_errors_and_auc(tmp_path):
    table = read_table(written(tmp_path, ROWS))
    assert table.columns.tolist() == [
        "group",
        "images",
        "n:defect",
        "wrong:defect",
        "n:normal",
        "wrong:normal",
        "auc",
    ]
    assert table.to_numpy().tolist() == [["007", 3, 2, 1, 1, 1, "0.5"], ["7", 2, 0, 0, 2, 1, ""]]


def test_an_image_without_a_group_stands_alone(tmp_path):
    rows = [*ROWS, ("6.png", "", "defect", "normal", 0.1), ("7.png", "", "normal", "normal", 0.2)]
    assert read_table(written(tmp_path, rows))["group"].tolist() == ["007", "7"]
    labels, groups = np.array([0, 1, 0, 1]), np.array(["a", "a", "", ""])
    assert within_groups_auc(labels, two([0.1, 0.2, 0.4, 0.3]), groups) == 1.0
    assert math.isnan(within_groups_auc(labels[2:], two([0.4, 0.3]), groups[2:]))


@pytest.mark.parametrize("groups", [[""] * 5, ["a", "b", "c", "d", ""]], ids=["none", "single images"])
def test_without_groups_there_is_no_table(tmp_path, groups):
    assert written(tmp_path, ROWS).exists()
    rows = [(path, group, *rest) for (path, _, *rest), group in zip(ROWS, groups, strict=True)]
    assert not has_groups(pd.DataFrame({"group": groups}))
    assert not written(tmp_path, rows).exists()
