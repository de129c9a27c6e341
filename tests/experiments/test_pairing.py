"""Two methods side by side, where images have groups."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.evaluation.by_group import within_groups_auc
from mindspore_dpus.evaluation.plots import FUSED
from mindspore_dpus.experiments.differences import Pair, paired_difference, replicated_auc
from mindspore_dpus.experiments.finished import Fused
from mindspore_dpus.experiments.pairing import compare, compared, compared_by_group


def fused(scores, labels, groups):
    probabilities = np.stack([1 - np.array(scores), scores], axis=1)
    paths = np.array([f"{i}.png" for i in range(len(scores))])
    return Fused(paths, np.array(groups), np.array(labels), {FUSED: probabilities})


# Two castings of three images each; scores of the second are shifted by 0.5.
LABELS = [0, 0, 1, 0, 1, 1]
GROUPS = ["a", "a", "a", "b", "b", "b"]
SHIFTED = [0.1, 0.2, 0.3, 0.6, 0.7, 0.8]
MIXED = [0.1, 0.3, 0.2, 0.1, 0.6, 0.7]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_replicates_within_groups_have_the_auc_of_the_images_that_they_hold(n_classes):
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.arange(40) % n_classes)
    groups = rng.choice(["a", "b", "c", "alone", ""], 40)
    scores = rng.integers(1, 5, (40, n_classes)).astype(float)
    scores /= scores.sum(1, keepdims=True)
    counts = rng.integers(0, 4, (20, 40))
    expected = [
        within_groups_auc(*(np.repeat(values, row, axis=0) for values in (labels, scores, groups)))
        for row in counts
    ]
    assert replicated_auc(labels, scores, counts, groups) == pytest.approx(expected)


def test_scores_that_shift_between_groups_count_within_them_only():
    found = compare([(fused(SHIFTED, LABELS, GROUPS), fused(MIXED, LABELS, GROUPS))])
    # By hand: each has 8 of all 9 pairs in order; of the 4 within groups, 4 and 3.
    assert found["difference"] == 0
    assert found["within_difference"] == pytest.approx(4 / 4 - 3 / 4)
    # A draw of a's two normals holds the one below the defect not at all, once or twice.
    assert (found["within_difference_low"], found["within_difference_high"]) == (0, 0.5)
    assert found["group_difference_low"] <= 0 <= found["group_difference_high"]


def test_within_groups_each_class_of_each_group_is_drawn_apart():
    # Each is the only one of its class in its group, so all draws are the same.
    one, other = (
        fused([*scores, 0.2, 0.8], [0, 1, 1, 0], list("aabb")) for scores in ([0.1, 0.9], [0.9, 0.1])
    )
    pair = Pair(one.labels, one.probabilities, other.probabilities, one.paths, one.groups)
    assert paired_difference([pair], n_bootstrap=50) == (0.5, 0.5, 0.5)


def test_where_some_images_have_no_group_there_is_no_interval_over_groups():
    groups = ["a", "a", "a", "b", "b", ""]
    found = compare([(fused(SHIFTED, LABELS, groups), fused(MIXED, LABELS, groups))])
    assert "group_difference_low" not in found
    assert found["within_difference"] == pytest.approx(3 / 3 - 2 / 3)


def test_where_no_group_has_two_classes_there_is_no_difference_within():
    groups = ["n" if label == 0 else "d" for label in LABELS]
    found = compare([(fused(SHIFTED, LABELS, groups), fused(MIXED, LABELS, groups))])
    assert np.isnan(found["within_difference"])
    assert "within groups" not in compared_by_group(pd.DataFrame([found]))


def test_without_groups_there_is_one_difference():
    found = compare([(fused(SHIFTED, LABELS, [""] * 6), fused(MIXED, LABELS, [""] * 6))])
    assert set(found) == {"pairs", "difference", "difference_low", "difference_high"}
    assert compared_by_group(pd.DataFrame([found])) == {}
    assert compare([]) == {"pairs": 0}


def test_the_differences_in_words():
    pairs = [(fused(SHIFTED, LABELS, GROUPS), fused(MIXED, LABELS, GROUPS))]
    row = compare(pairs)
    assert compared(row).startswith("+0.0000 [")
    assert compared(row).endswith("images only")
    table = pd.DataFrame([row, {"pairs": 0}])
    columns = compared_by_group(table)
    assert list(columns) == ["over groups", "within groups"]
    assert columns["within groups"] == ["+0.2500 [+0.0000, +0.5000], images only", ""]
    assert columns["over groups"][0].startswith("[")
    assert columns["over groups"][1] == ""
