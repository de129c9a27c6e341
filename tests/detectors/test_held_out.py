"""Normals are scored by detectors that have not seen them."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import create_detector
from mindspore_dpus.detectors.held_out import held_out_scores


def test_held_out_normals_are_scored_by_other_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 5)
    X = rng.normal(size=(30, 3))
    seen = []

    def fit(rows):
        seen.append(rows)
        return create_detector("knn", 1).fit(X[rows])

    scores = held_out_scores(fit, X, groups, 3)
    assert len(seen) == 3
    for rows in seen:
        others = np.setdiff1d(np.arange(30), rows)
        assert len(others) == 10
        assert not set(groups[rows]) & set(groups[others])
        assert np.array_equal(scores[others], create_detector("knn", 1).fit(X[rows]).score(X[others]))
    # Its own distance would be 0.
    assert scores.min() > 0
    assert not np.array_equal(scores, held_out_scores(fit, X, groups, 3, random_state=1))


def test_folds_need_groups():
    fit = create_detector("knn", 1).fit
    with pytest.raises(UserError, match="4 folds .* there are 2"):
        held_out_scores(fit, np.ones((4, 2)), np.array([0, 0, 1, 1]), 4)
    with pytest.raises(ValueError, match="n_folds=1"):
        held_out_scores(fit, np.ones((4, 2)), np.arange(4), 1)
