"""Areas of many weightings at once, against scikit-learn's of one at a time."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mindspore_dpus.metrics.ranking import Ranking


@pytest.mark.parametrize("n_scores", [3, 10, 1000], ids=["many ties", "some ties", "few ties"])
@pytest.mark.parametrize("n_positive", [1, 2, 20, 39])
def test_areas_are_scikit_learns_of_repeated_samples(n_scores, n_positive):
    rng = np.random.default_rng(n_scores + n_positive)
    is_positive = rng.permutation(np.arange(40) < n_positive)
    scores = rng.integers(n_scores, size=40) / 7
    counts = rng.integers(4, size=(30, 40))
    counts[:, np.flatnonzero(is_positive)[0]] += 1
    counts[:, np.flatnonzero(~is_positive)[-1]] += 1
    ranking = Ranking(is_positive, scores)
    areas, precisions = ranking.roc_auc(counts), ranking.average_precision(counts)
    for b, row in enumerate(counts):
        truth, repeated = np.repeat(is_positive, row), np.repeat(scores, row)
        assert areas[b] == pytest.approx(roc_auc_score(truth, repeated), abs=1e-12)
        assert precisions[b] == pytest.approx(average_precision_score(truth, repeated), abs=1e-12)


def test_equal_rankings_have_equal_areas_to_the_last_bit():
    rng = np.random.default_rng(0)
    is_positive, scores = rng.permutation(np.arange(97) < 31), rng.normal(size=97)
    once = np.ones((1, 97), np.int64)
    shuffled = rng.permutation(97)
    one, other = Ranking(is_positive, scores), Ranking(is_positive[shuffled], 3 * scores[shuffled])
    assert one.roc_auc(once) == other.roc_auc(once)
    assert one.roc_auc(once) == one.roc_auc(2 * once)


def test_a_replicate_without_positives_or_negatives_has_no_area():
    ranking = Ranking(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
    counts = np.array([[0, 2, 0], [1, 0, 3], [1, 1, 1]])
    np.testing.assert_equal(ranking.roc_auc(counts), [np.nan, np.nan, 0.5])
    np.testing.assert_allclose(ranking.average_precision(counts), [np.nan, 1, 5 / 6], atol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_cannot_be_ranked_are_refused(bad):
    with pytest.raises(ValueError, match="a score is not finite"):
        Ranking(np.array([True, False]), np.array([0.5, bad]))


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_alone_is_refused(kind):
    with pytest.raises(ValueError, match="all samples are of one kind"):
        Ranking(np.full(3, kind), np.arange(3.0))
