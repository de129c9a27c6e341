"""Arrays in one piece of memory."""

import numpy as np

from mindspore_dpus.models.kernels.lifetimes import LINE, Lifetime, places


def test_those_that_live_together_lie_apart_and_others_share():
    starts, size = places(
        [Lifetime(16, 0, 1), Lifetime(32, 1, 2), Lifetime(16, 2, 3), Lifetime(5, 4, 9)]
    )
    # The largest is laid first; the first and the third lie behind it, the last wherever it likes.
    assert starts == [32, 0, 32, 0]
    assert size == 48


def test_a_gap_is_filled_where_it_is_large_enough():
    lives = [Lifetime(48, 0, 9), Lifetime(32, 0, 2), Lifetime(32, 3, 9), Lifetime(16, 0, 9)]
    starts, size = places(lives)
    assert starts == [0, 48, 48, 80]
    # Between the first and the fourth, nothing lies during event 5.
    assert places([*lives[:2], *lives[3:], Lifetime(16, 3, 5)]) == ([0, 48, 80, 48], 96)
    assert size == 96


def test_nothing_takes_nothing():
    assert places([]) == ([], 0)
    assert places([Lifetime(0, 0, 5), Lifetime(7, 0, 5)]) == ([0, 0], 16)


def test_none_overlap_and_the_whole_is_no_larger_than_their_sum():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lives = []
        for size in rng.integers(1, 200, 30):
            first = int(rng.integers(0, 40))
            lives.append(Lifetime(int(size), first, first + int(rng.integers(0, 15))))
        starts, whole = places(lives)
        assert all(start % LINE == 0 for start in starts)
        used = np.zeros((60, whole), int)
        for one, start in zip(lives, starts, strict=True):
            used[one.first : one.last + 1, start : start + one.size] += 1
        assert used.max() == 1
        most = max(
            sum(-(-one.size // LINE) * LINE for one in lives if one.first <= event <= one.last)
            for event in range(60)
        )
        assert most <= whole <= 1.6 * most
