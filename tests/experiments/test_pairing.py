"""Two methods side by side, where images have groups."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.experiments.differences import Pair, paired_difference, replicated_auc
from mindspore_dpus.experiments.finished import Fused
from mindspore_dpus.experiments.pairing import compare, compared, compared_by_group
from mindspore_dpus.metrics.by_group import within_groups_auc
from mindspore_dpus.report.plots import FUSED


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
    assert found["within_difference_low"] <= 0 < 0.25 < found["within_difference_high"]
    assert found["group_difference_low"] <= 0 <= found["group_difference_high"]


def test_images_of_small_groups_are_drawn_too():
    # Each is the only one of its class in its group, and yet another draw would have other ones.
    one, other = (
        fused([*scores, 0.2, 0.8], [0, 1, 1, 0], list("aabb")) for scores in ([0.1, 0.9], [0.9, 0.1])
    )
    pair = Pair(one.labels, one.probabilities, other.probabilities, one.paths, one.groups)
    # A draw holds pairs of a, of b, of both, or none.
    assert paired_difference([pair]) == (0.5, 0, 1)


def test_where_some_images_have_no_group_there_is_no_interval_over_groups():
    groups = ["a", "a", "a", "b", "b", ""]
    found = compare([(fused(SHIFTED, LABELS, groups), fused(MIXED, LABELS, groups))])
    assert "group_difference_low" not in found
    assert found["within_difference"] == pytest.approx(3 / 3 - 2 / 3)


def test_where_no_group_has_two_classes_there_is_no_difference_within():
    groups = ["n" if label == 0 else "d" for label in LABELS]
    found = compare([(fused(SHIFTED, LABELS, groups), fused(MIXED, LABELS, groups))])
    assert np.isnan(found["within_difference"])
    assert "difference within groups" not in compared_by_group(pd.DataFrame([found]))


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
    assert list(columns) == ["interval over groups", "difference within groups"]
    (text, nothing) = columns["difference within groups"]
    assert text.startswith("+0.2500 [")
    assert text.endswith("], images only")
    assert nothing == ""
    assert columns["interval over groups"][0].startswith("[")
    assert columns["interval over groups"][1] == ""
