"""Differences of AUC and their intervals."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mindspore_dpus.experiments.differences import Pair, paired_difference, replicated_auc
from mindspore_dpus.metrics.classification import roc_auc


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


def two(scores):
    return np.stack([1 - scores, scores], axis=1)


def made_pairs(n_seeds, n=100, shift=0.3):
    """A good and a random method on the same images with every seed."""
    rng = np.random.default_rng(0)
    labels, units = np.repeat([0, 1], n // 2), np.arange(n).astype(str)
    pairs = []
    for _ in range(n_seeds):
        good = np.clip(0.5 + shift * (labels - 0.5) + rng.normal(0, 0.1, n), 0, 1)
        pairs.append(Pair(labels, two(good), two(rng.random(n)), units))
    return pairs


def test_paired_difference_of_equal_methods_is_nothing():
    pairs = [dataclasses.replace(pair, other=pair.one) for pair in made_pairs(3, 40)]
    assert paired_difference(pairs, n_bootstrap=50) == (0, 0, 0)
    assert paired_difference(pairs, stratified=False, n_bootstrap=50) == (0, 0, 0)


def test_paired_difference_of_a_better_method_is_its_gain():
    pairs = made_pairs(4)
    expected = [
        roc_auc_score(p.labels, p.one[:, 1]) - roc_auc_score(p.labels, p.other[:, 1]) for p in pairs
    ]
    mean, low, high = paired_difference(pairs, n_bootstrap=200)
    assert mean == pytest.approx(np.mean(expected))
    assert 0 < low < mean < high


def test_the_other_can_be_the_mean_of_several_networks():
    pairs = made_pairs(3, 40)
    both = [dataclasses.replace(p, other=np.stack([p.one, p.other])) for p in pairs]
    found, expected = paired_difference(both), paired_difference(pairs)
    # Beside itself, a method is ahead by half of what it is ahead of the other.
    assert found == pytest.approx([value / 2 for value in expected])


def test_images_of_one_class_have_no_difference():
    (pair,) = made_pairs(1, 40)
    pair = dataclasses.replace(pair, labels=np.zeros(40, int))
    assert np.isnan(paired_difference([pair])).all()


def width(interval):
    _, low, high = interval
    return high - low


def test_more_seeds_on_the_same_images_do_not_make_images_less_uncertain():
    (pair,) = made_pairs(1)
    alone = width(paired_difference([pair], n_bootstrap=2000))
    assert width(paired_difference([pair] * 16, n_bootstrap=2000)) == pytest.approx(alone, rel=0.1)
    # Other images with every seed do.
    others = [dataclasses.replace(pair, units=np.char.add(f"{i}/", pair.units)) for i in range(16)]
    assert width(paired_difference(others, n_bootstrap=2000)) < alone / 2


def test_the_interval_is_that_of_a_bootstrap_over_images_class_by_class():
    (pair,) = made_pairs(1, shift=0.05)
    rng = np.random.default_rng(1)
    replicates = []
    for _ in range(2000):
        rows = np.concatenate([rng.integers(0, 50, 50), rng.integers(50, 100, 50)])
        # Each class in its half. The area is the share of pairs of both classes that are in order.
        areas = [
            np.greater.outer(scores[rows[50:], 1], scores[rows[:50], 1]).mean()
            for scores in (pair.one, pair.other)
        ]
        if not replicates:
            labels = pair.labels[rows]
            assert areas[0] == pytest.approx(roc_auc_score(labels, pair.one[rows, 1]))
        replicates.append(areas[0] - areas[1])
    low, high = np.quantile(replicates, [0.025, 0.975])
    _, ours_low, ours_high = paired_difference([pair], n_bootstrap=2000)
    assert (ours_low, ours_high) == pytest.approx((low, high), abs=0.02)


def test_the_interval_spans_the_seeds_and_is_as_wide_as_so_few_ask_for():
    # Whatever images are drawn, one seed finds +0.5 and the other -0.5.
    labels, units = np.repeat([0, 1], 4), np.arange(8).astype(str)
    level, perfect = two(np.full(8, 0.5)), two(np.where(labels == 1, 0.9, 0.2))
    first, second = Pair(labels, perfect, level, units), Pair(labels, level, perfect, units)
    assert paired_difference([first], n_bootstrap=50) == (0.5, 0.5, 0.5)
    # Both are drawn, or one of them twice: -0.5, 0 or 0.5, stretched by the root of 2 / (2 - 1).
    expected = (0, -0.5 * np.sqrt(2), 0.5 * np.sqrt(2))
    assert paired_difference([first, second], n_bootstrap=200) == pytest.approx(expected)


def test_the_variance_over_seeds_is_that_of_a_mean():
    """Of n differences with the standard deviation s: s / sqrt(n), not what is drawn from n has."""
    labels, units = np.repeat([0, 1], 20), np.arange(40).astype(str)
    level = two(np.full(40, 0.5))
    # All images of a class have one score, so that no draw of images changes an AUC: 0, 0.5 or 1.
    pairs = [
        Pair(labels, two(np.where(labels == 1, score, 0.5)), level, units)
        for score in (0.9, 0.9, 0.5, 0.1, 0.9)
    ]
    found = [roc_auc(p.labels, p.one) - 0.5 for p in pairs]
    _, low, high = paired_difference(pairs, n_bootstrap=4000)
    assert (high - low) / 3.92 == pytest.approx(np.std(found, ddof=1) / np.sqrt(5), rel=0.15)


def test_images_of_a_group_are_drawn_together():
    # In one group the one method is right and the other wrong; in the other group, the other way round.
    labels = np.array([0, 1, 0, 1])
    scores = np.array([0.1, 0.2, 0.2, 0.1])
    pair = Pair(labels, two(scores), two(1 - scores), np.array(["a", "a", "b", "b"]))
    # A replicate has both groups, or one of them twice: -1, 0 or 1, as images alone would not be.
    assert paired_difference([pair], stratified=False, n_bootstrap=200) == (0, -1, 1)


def test_a_replicate_without_a_class_has_no_say():
    pair = Pair(
        np.array([0, 1]), two(np.array([0.1, 0.9])), two(np.array([0.9, 0.1])), np.array(["a", "b"])
    )
    assert paired_difference([pair], stratified=False, n_bootstrap=50) == (1, 1, 1)


def test_seeds_with_other_images_are_found_again():
    first, second = made_pairs(2, 40)
    some = np.random.default_rng(0).permutation(40)[:30]
    part = Pair(second.labels[some], second.one[some], second.other[some], second.units[some])
    mean, low, high = paired_difference([first, part], n_bootstrap=300)
    assert low < mean < high
    assert mean == pytest.approx(
        np.mean([paired_difference([pair], n_bootstrap=1)[0] for pair in (first, part)])
    )


def covered(n_seeds: int, spread: float, repeats: int, n_groups: int = 0) -> tuple[float, float]:
    """Intervals for two methods that are equally good, on 100 images of either class.

    Args:
        n_seeds: networks of each method.
        spread: standard deviation between a method's networks, in standard deviations of what makes
            one image differ from another. 0.25 gives true AUCs a standard deviation of 0.04, 0.6 one
            of 0.10.
        repeats: so many pairs of methods, each with images of its own.
        n_groups: groups of equal size, whose scores are shifted, and AUC within them; 0: of all images.

    Returns:
        How often the interval holds the true difference; and its mean width, over that of a normal
        interval for differences that vary as those found do.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    units = np.arange(200).astype(str)
    group = np.arange(200) % max(n_groups, 1)
    names = group.astype(str) if n_groups else None
    found = []
    for _ in range(repeats):
        hard = rng.normal(size=200) + rng.normal(size=200)[group] * (n_groups > 0)
        pairs = []
        for _ in range(n_seeds):
            logits = hard + rng.normal(size=(2, 200)) + rng.normal(1.2, spread, (2, 1)) * labels
            scores = 1 / (1 + np.exp(-logits))
            one, other = np.stack([1 - scores, scores], axis=2)
            pairs.append(Pair(labels, one, other, units, names))
        found.append(paired_difference(pairs, n_bootstrap=200))
    mean, low, high = np.array(found).T
    return np.mean((low <= 0) & (high >= 0)), np.mean(high - low) / (2 * 1.96 * mean.std(ddof=1))


@pytest.mark.parametrize(("n_seeds", "n_groups"), [(3, 0), (10, 0), (1, 40), (3, 8)])
def test_the_interval_holds_the_true_difference_about_as_often_as_it_says(n_seeds, n_groups):
    # 95 % are meant. Without what seeds add, it were two thirds.
    share, width = covered(n_seeds, 0.25 if n_seeds > 1 else 0.0, repeats=100, n_groups=n_groups)
    assert share >= 0.93
    assert width < 1.5
