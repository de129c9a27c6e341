"""From segments to clips, and normals scored by detectors that have not seen them."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import create_detector
from mindspore_dpus.detectors.aggregators import AGGREGATORS, aggregate
from mindspore_dpus.detectors.held_out import held_out_scores


@pytest.mark.parametrize(
    ("name", "even", "odd"),
    [
        ("mean", 4.0, 13 / 3),
        ("max", 9.0, 9.0),
        ("median", 3.0, 3.0),
        # Above 3 of 1, 2, 4, 9; of 1, 3, 9 the middle one counts.
        ("mean_above_median", 6.5, 6.0),
    ],
)
def test_aggregators(name, even, odd):
    assert AGGREGATORS[name](np.array([[9.0, 1, 2, 4]])).tolist() == [even]
    assert AGGREGATORS[name](np.array([3.0, 9, 1])) == pytest.approx(odd)
    assert AGGREGATORS[name](np.full((2, 5), 7.0)).tolist() == [7, 7]
    assert AGGREGATORS[name](np.array([5.0])) == 5


@pytest.mark.parametrize("name", AGGREGATORS)
def test_clips_of_unequal_length_in_any_order(name):
    rng = np.random.default_rng(0)
    clips = rng.permutation(np.repeat(["c", "a", "b"], [1, 4, 7]))
    scores = rng.normal(size=12)
    names, values = aggregate(name, scores, clips)
    assert names.tolist() == list(dict.fromkeys(clips))
    expected = pd.Series(scores).groupby(clips).agg(lambda part: AGGREGATORS[name](part.to_numpy()))
    assert np.allclose(values, expected[names])


def test_unknown_aggregators_are_refused_and_nothing_gives_nothing():
    with pytest.raises(UserError, match="'sum' is unknown"):
        aggregate("sum", np.ones(2), np.array(["a", "b"]))
    assert len(aggregate("mean", np.empty(0), np.empty(0, str))[1]) == 0


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
