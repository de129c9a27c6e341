"""From scores of segments to those of clips."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.aggregators import AGGREGATORS, aggregate


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
