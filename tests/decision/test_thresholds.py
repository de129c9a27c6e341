"""Thresholds against brute force over every score, limits against the binomial they invert."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from sklearn.metrics import f1_score

from mindspore_dpus.decision.thresholds import (
    defects_needed,
    expected_cost,
    lower_limit,
    operating_points,
    precision,
    proportion,
    rank_for_assured_recall,
    rank_for_recall,
    threshold_for_cost,
    threshold_for_f1,
    threshold_for_rank,
)


def random_case(seed, ties):
    """Labels and scores that know something about them; with ties, few distinct scores."""
    rng = np.random.default_rng(seed)
    is_defect = np.repeat([False, True], [23, 17])
    scores = rng.normal(size=40) + is_defect
    return is_defect, np.round(scores, 0 if ties else 9)


def every_threshold(is_defect, scores):
    """(threshold, recall, false-call rate) of every score, lowest first, where a defect is found."""
    for threshold in np.unique(scores):
        called = scores >= threshold
        if called[is_defect].any():
            yield threshold, called[is_defect].mean(), called[~is_defect].mean()


CASES = pytest.mark.parametrize(("seed", "ties"), [(s, t) for s in range(8) for t in (False, True)])


@CASES
def test_operating_points_are_counts_at_the_distinct_scores_of_defects(seed, ties):
    is_defect, scores = random_case(seed, ties)
    points = operating_points(is_defect, scores)
    assert points.thresholds.tolist() == sorted(set(scores[is_defect]), reverse=True)
    for threshold, found, false_calls in zip(*points[:3], strict=True):
        assert found == (scores[is_defect] >= threshold).sum()
        assert false_calls == (scores[~is_defect] >= threshold).sum()
    assert (points.n_defects, points.n_normals) == (17, 23)


@CASES
@pytest.mark.parametrize("recall", [0.01, 0.5, 0.9, 0.95, 0.999])
def test_a_recall_costs_as_few_false_calls_as_it_can(seed, ties, recall):
    is_defect, scores = random_case(seed, ties)
    points = operating_points(is_defect, scores)
    threshold = threshold_for_rank(points, rank_for_recall(17, recall))
    reached = [(t, f) for t, r, f in every_threshold(is_defect, scores) if r >= recall]
    assert (scores[~is_defect] >= threshold).mean() == min(f for _, f in reached)
    assert (scores[is_defect] >= threshold).mean() >= recall
    # The next higher score of a defect finds too few.
    higher = points.thresholds[points.thresholds > threshold]
    assert not len(higher) or (scores[is_defect] >= higher.min()).mean() < recall


@CASES
def test_the_best_f1_is_that_of_scikit_learn(seed, ties):
    is_defect, scores = random_case(seed, ties)
    threshold = threshold_for_f1(operating_points(is_defect, scores), prior=17 / 40)
    best = {t: f1_score(is_defect, scores >= t) for t in np.unique(scores)}
    assert f1_score(is_defect, scores >= threshold) == pytest.approx(max(best.values()), abs=1e-12)
    assert threshold == min(t for t, v in best.items() if v > max(best.values()) - 1e-12)


@CASES
@pytest.mark.parametrize("prior", [0.001, 0.3, 0.9])
def test_f1_and_cost_at_another_prior_are_the_best_of_all(seed, ties, prior):
    is_defect, scores = random_case(seed, ties)
    points = operating_points(is_defect, scores)
    rows = list(every_threshold(is_defect, scores))
    f1 = {t: 2 / (1 / r + 1 / precision(r, f, prior)) for t, r, f in rows}
    assert f1[threshold_for_f1(points, prior)] == pytest.approx(max(f1.values()))
    cost = {t: prior * 20 * (1 - r) + (1 - prior) * 3 * f for t, r, f in rows}
    assert cost[threshold_for_cost(points, prior, 20, 3)] == pytest.approx(min(cost.values()))
    assert expected_cost(points, prior, 20, 3).min() == pytest.approx(min(cost.values()))


def test_of_equally_dear_thresholds_the_lower_one_is_taken():
    # Going down from 0.9 to 0.5 finds one of two defects more, for half of the normals.
    points = operating_points(np.array([1, 1, 0, 0], bool), np.array([0.9, 0.5, 0.7, 0.1]))
    assert threshold_for_cost(points, 0.5, 1.0, 1.0) == 0.5
    assert threshold_for_cost(points, 0.5, 0.9, 1.0) == 0.9


def test_precision_is_that_of_a_hundred_thousand_images():
    # 100 defects, 95 found; 99900 normals, 999 called.
    assert precision(0.95, 0.01, 0.001) == pytest.approx(95 / (95 + 999))
    assert precision(0.0, 0.0, 0.3) == 0.0


@pytest.mark.parametrize(("count", "total"), [(0, 7), (3, 7), (7, 7), (95, 100), (1, 1)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_intervals_are_scipys(count, total, confidence):
    part = proportion(count, total, confidence)
    expected = binomtest(count, total).proportion_ci(confidence, method="exact")
    assert (part.low, part.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert part.value == count / total
    one_sided = binomtest(count, total, alternative="greater").proportion_ci(confidence, method="exact")
    assert lower_limit(count, total, confidence) == pytest.approx(one_sided.low, abs=1e-12)


def test_the_limit_is_where_so_many_become_unlikely():
    limit = lower_limit(95, 100, 0.95)
    assert binom.sf(94, 100, limit) == pytest.approx(0.05)


def test_none_of_none_says_nothing():
    part = proportion(0, 0, 0.95)
    assert (part.value, part.low, part.high) == (None, 0, 1)


def test_a_hundred_of_a_hundred_support_one_sided_more_than_two_sided():
    assert lower_limit(100, 100, 0.95) == pytest.approx(0.05 ** (1 / 100))
    assert proportion(100, 100, 0.95).low == pytest.approx(0.025 ** (1 / 100))
    assert round(lower_limit(100, 100, 0.95), 4) == 0.9705


def test_a_rank_reaches_its_share_and_no_rank_below_does():
    for n in range(1, 120):
        for percent in (1, 7, 29, 50, 57, 90, 95, 99, 100):
            rank = rank_for_recall(n, percent / 100)
            # In whole numbers: no rounding.
            assert 100 * rank >= percent * n > 100 * (rank - 1)


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_assured_rank_is_the_first_that_supports_the_recall(recall, confidence):
    needed = defects_needed(recall, confidence)
    assert rank_for_assured_recall(needed - 1, recall, confidence) is None
    assert rank_for_assured_recall(needed, recall, confidence) == needed
    for n in (needed + 1, 3 * needed):
        rank = rank_for_assured_recall(n, recall, confidence)
        assert lower_limit(rank, n, confidence) >= recall > lower_limit(rank - 1, n, confidence)


def test_the_classical_59_and_29():
    assert (defects_needed(0.95, 0.95), defects_needed(0.9, 0.95)) == (59, 29)


@pytest.mark.parametrize("levels", [None, 12])
def test_the_limit_holds_although_the_threshold_was_read_off_the_same_defects(levels):
    """True recall at the chosen threshold, over many validations; with levels, scores are tied."""
    rng, misses, runs = np.random.default_rng(0), 0, 4000
    limit = lower_limit(rank_for_recall(40, 0.9), 40, 0.9)
    for _ in range(runs):
        scores = rng.random(40)
        if levels:
            scores = np.floor(scores * levels) / levels
        points = operating_points(np.ones(40, bool), scores)
        # Uniform scores: the share at or above a threshold is what is above it.
        misses += 1 - threshold_for_rank(points, rank_for_recall(40, 0.9)) < limit
    # 10 % allowed: exactly used without ties, hardly with them.
    assert misses / runs < 0.115
    if levels is None:
        assert misses / runs > 0.085


def test_a_limit_for_the_best_f1_must_hold_at_every_rank():
    """The labels choose the threshold: one limit at 90 % would fail too often, n at once do not."""
    rng, n, runs = np.random.default_rng(1), 30, 1500
    naive = assured = 0
    for _ in range(runs):
        is_defect = np.repeat([True, False], n)
        scores = rng.random(2 * n)
        points = operating_points(is_defect, scores)
        threshold = threshold_for_f1(points, 0.02)
        found, truth = int((scores[:n] >= threshold).sum()), 1 - threshold
        naive += truth < lower_limit(found, n, 0.9)
        assured += truth < lower_limit(found, n, 1 - 0.1 / n)
    assert naive / runs > 0.13
    assert assured / runs < 0.1
