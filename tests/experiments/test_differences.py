"""Differences of AUC and their intervals."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mindspore_dpus.evaluation.metrics import roc_auc
from mindspore_dpus.experiments.differences import paired_difference, replicated_auc


@pytest.mark.parametrize("n_classes", [2, 3])
def test_replicates_have_the_auc_of_the_images_that_they_hold(n_classes):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(30) % n_classes)
    # Few different scores: many ties.
    scores = rng.integers(1, 4, (30, n_classes)).astype(float)
    scores /= scores.sum(1, keepdims=True)
    counts = rng.integers(0, 4, (20, 30))
    expected = [roc_auc(np.repeat(labels, row), np.repeat(scores, row, axis=0)) for row in counts]
    assert replicated_auc(labels, scores, counts) == pytest.approx(expected)


def test_paired_difference_of_equal_methods_is_nothing():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    scores = rng.random((40, 2))
    method = (labels, scores / scores.sum(1, keepdims=True))
    assert paired_difference([(method, method)] * 3, 50) == (0, 0, 0)


def test_paired_difference_of_a_better_method_is_its_gain():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    pairs, expected = [], []
    for _ in range(4):
        good = np.clip(0.5 + 0.3 * (labels - 0.5) + rng.normal(0, 0.1, 100), 0, 1)
        poor = rng.random(100)
        pairs.append([(labels, np.stack([1 - s, s], 1)) for s in (good, poor)])
        expected.append(roc_auc_score(labels, good) - roc_auc_score(labels, poor))
    mean, low, high = paired_difference(pairs, 200)
    assert mean == pytest.approx(np.mean(expected))
    assert 0 < low < mean < high
