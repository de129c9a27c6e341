"""Proportions, exact on a thousand random cases."""

import math

import numpy as np
import pytest

from mindspore_dpus.sampling.draws import draw_clusters, systematic_shares

CASES = 1000


def random_case(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, rng.integers(1, 9))
    total = int(rng.integers(1, sizes.sum() + 1))
    return rng, sizes, total


def test_exact_shares_are_not_rounded():
    shares = systematic_shares(np.array([100, 60, 30, 10]), 20, 3, np.random.default_rng(0))
    assert shares.tolist() == [[10, 6, 3, 1]] * 3


def test_large_numbers_do_not_overflow():
    sizes = np.array([999_999_937, 1_000_000_063])
    shares = systematic_shares(sizes, 500_000_000, 1, np.random.default_rng(0))
    assert shares.sum() == 500_000_000
    assert abs(shares[0, 0] - 249_999_984.25) < 1


@pytest.mark.parametrize("draw", ["independent", "covering"])
def test_every_sample_is_equally_likely(draw):
    # Exact shares are 0.2, 0.4, 0.6, 2.8 and 8: with one rounding for all, two groups are never seen.
    labels = np.repeat(np.arange(5), [1, 2, 3, 14, 40])
    rng, n = np.random.default_rng(0), 6000
    draws = [draw_clusters(labels, 12, 1, draw, rng)[0] for _ in range(n)]
    uses = np.bincount(np.concatenate(draws), minlength=60)
    # Five standard deviations of a binomial.
    assert np.abs(uses / n - 0.2).max() < 5 * math.sqrt(0.2 * 0.8 / n)


@pytest.mark.parametrize("draw", ["independent", "covering"])
def test_shares_are_exact_within_one_sample(draw):
    for seed in range(CASES):
        rng, sizes, total = random_case(seed)
        labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        for drawn in draw_clusters(labels, total, 4, draw, rng):
            assert len(drawn) == len(set(drawn.tolist())) == total
            shares = np.bincount(labels[drawn], minlength=len(sizes))
            assert np.all(np.abs(shares - sizes * total / sizes.sum()) < 1)


def test_covering_draws_use_every_sample_within_a_cycle():
    for seed in range(CASES):
        rng, sizes, total = random_case(seed)
        labels = np.repeat(np.arange(len(sizes)), sizes)
        cycle = math.ceil(len(labels) / total)
        draws = draw_clusters(labels, total, cycle, "covering", rng)
        uses = np.bincount(np.concatenate(draws), minlength=len(labels))
        assert uses.min() >= 1


def test_covering_repeats_no_sample_before_its_group_is_used_up():
    labels = np.repeat([0, 1], [40, 10])
    draws = draw_clusters(labels, 10, 5, "covering", np.random.default_rng(0))
    assert sorted(np.concatenate(draws).tolist()) == list(range(50))


def test_systematic_shares_add_up_to_the_exact_share_over_a_cycle():
    for seed in range(CASES):
        rng, sizes, total = random_case(seed)
        cycle = math.ceil(sizes.sum() / total)
        shares = systematic_shares(sizes, total, 2 * cycle, rng)
        exact = cycle * total * sizes / sizes.sum()
        for half in (shares[:cycle], shares[cycle:]):
            assert np.all(np.abs(half.sum(0) - exact) < 1)


def test_each_cycle_of_covering_draws_rounds_by_itself():
    # The one sample of group 0 is due in 0.3 of 20 draws, which is once or twice in a cycle of four.
    # With one rounding for all cycles, it would be in 5 of them or in 10.
    sizes = np.array([1, 9])
    totals = {
        int(systematic_shares(sizes, 3, 20, np.random.default_rng(seed))[:, 0].sum())
        for seed in range(50)
    }
    assert {5, 6, 7} <= totals <= {5, 6, 7, 8, 9}


def test_independent_draws_differ():
    labels = np.zeros(100, dtype=int)
    first, second = draw_clusters(labels, 50, 2, "independent", np.random.default_rng(0))
    assert not np.array_equal(first, second)
