"""Scores that differ in their last digits only."""

import numpy as np
import pytest

from mindspore_dpus.metrics import roc_auc
from mindspore_dpus.metrics.rounding import merge_near_ties

# What a network gave six images after its first epoch.
NOISE = np.array([2.3498656e-1, 2.3498662e-1, 2.3498653e-1, 2.3498660e-1, 2.3498654e-1, 2.3498661e-1])


def probabilities(scores):
    scores = np.asarray(scores, np.float32)
    return np.stack([1 - scores, scores], axis=1)


def test_rounding_orders_nothing():
    labels = np.array([0, 1, 0, 1, 0, 1])
    found = probabilities(NOISE)
    assert roc_auc(labels, found) == 1.0
    assert roc_auc(labels, merge_near_ties(found)) == 0.5
    assert merge_near_ties(NOISE).tolist() == [NOISE[0]] * 6


# The third: what one class's probability hardly tells apart, the other's does.
@pytest.mark.parametrize("scores", [[0.2, 0.2001], [1e-8, 3e-8], [1 - 3e-7, 1 - 1e-7], [0.0, 1e-30]])
def test_what_differs_by_more_stays(scores):
    found = probabilities(scores)
    assert merge_near_ties(found) is found


def test_no_sample_and_one():
    empty = np.zeros((0, 2))
    assert merge_near_ties(empty) is empty
    assert merge_near_ties(np.array([[0.4, 0.6]])).tolist() == [[0.4, 0.6]]
