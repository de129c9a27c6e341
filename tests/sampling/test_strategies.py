"""Every strategy as index arrays: sizes, classes, and imbalanced-learn's own samplers."""

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from mindspore_dpus.core.choices import load
from mindspore_dpus.sampling.dpus import DistributionPreservingUnderSampler
from mindspore_dpus.sampling.settings import STRATEGIES, SamplingSettings
from mindspore_dpus.sampling.strategies import draw_subsets, drawn_classes
from mindspore_dpus.sampling.strategies.dpus import dpus
from mindspore_dpus.sampling.strategies.none import none
from mindspore_dpus.sampling.strategies.random_over import random_over
from mindspore_dpus.sampling.strategies.random_under import random_under

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 20]))


def class_counts(subset):
    return np.bincount(LABELS[subset], minlength=3).tolist()


def test_none_gives_every_member_everything():
    assert [subset.tolist() for subset in none(LABELS, 3)] == [list(range(110))] * 3


@pytest.mark.parametrize(
    ("proportion", "expected"),
    [(None, [20, 20, 20]), ("auto", [22, 22, 20]), (0.5, [30, 15, 20])],
)
def test_random_under_draws_the_sizes_of_dpus(proportion, expected):
    subsets = random_under(LABELS, 4, proportion, random_state=0)
    assert len(subsets) == 4
    for subset in subsets:
        assert class_counts(subset) == expected
        assert np.all(np.diff(subset) > 0)
    assert len({tuple(subset) for subset in subsets}) == 4
    grouped, _ = dpus(
        np.random.default_rng(0).normal(size=(110, 2)), LABELS, 3, 1, proportion, "independent", 0
    )
    assert class_counts(grouped[0]) == expected


@pytest.mark.parametrize("labels", [[1] * 10 + [0] * 10, ["b"] * 10 + ["a"] * 10])
def test_of_equal_classes_random_under_draws_the_one_that_dpus_draws(labels):
    labels = np.array(labels)
    subset = random_under(labels, 1, 0.5, 0)[0]
    drawn = dpus(np.arange(20.0)[:, None], labels, 2, 1, 0.5, "independent", 0)[0][0]
    assert len(subset) == 15
    assert sorted(labels[subset]) == sorted(labels[drawn])


@pytest.mark.parametrize("labels", [[1] * 5 + [0] * 5 + [2] * 9, [2] * 9 + [0] * 5 + [1] * 5])
def test_of_three_classes_the_first_of_two_smallest_stays_whole(labels):
    labels = np.array(labels)
    assert drawn_classes(labels) == [1, 2]
    subset = random_under(labels, 1, None, 0)[0]
    (grouped,), groups = dpus(np.arange(19.0)[:, None], labels, 2, 1, None, "independent", 0)
    assert np.bincount(labels[subset]).tolist() == np.bincount(labels[grouped]).tolist() == [5, 5, 5]
    assert np.array_equal(groups >= 0, labels > 0)


def seed_of(random_state, i):
    return int(np.random.SeedSequence([random_state, i]).generate_state(1)[0])


@pytest.mark.parametrize(
    ("proportion", "sizes"), [(None, "auto"), ("auto", {0: 22, 1: 22}), (0.5, {0: 30, 1: 15})]
)
def test_random_under_is_imbalanced_learns(proportion, sizes):
    subsets = random_under(LABELS, 3, proportion, random_state=5)
    assert len(subsets) == 3
    for i, subset in enumerate(subsets):
        sampler = RandomUnderSampler(sampling_strategy=sizes, random_state=seed_of(5, i))
        sampler.fit_resample(np.zeros((110, 1)), LABELS)
        assert np.array_equal(subset, np.sort(sampler.sample_indices_))


@pytest.mark.parametrize(
    "draw",
    [
        lambda n, seed: random_under(LABELS, n, "auto", seed),
        lambda n, seed: random_over(LABELS, n, seed),
    ],
    ids=["random_under", "random_over"],
)
def test_neighbouring_seeds_share_no_subset(draw):
    subsets = [tuple(subset) for seed in range(4) for subset in draw(4, seed)]
    assert len(set(subsets)) == 16


def test_more_subsets_leave_the_first_ones_as_they_were():
    few, many = (random_under(LABELS, n, "auto", 0) for n in (2, 5))
    assert [s.tolist() for s in few] == [s.tolist() for s in many[:2]]


def test_random_under_draws_every_sample_as_often_as_any():
    subsets = random_under(LABELS, 400, None, random_state=0)
    uses = np.bincount(np.concatenate(subsets), minlength=110)
    of_class = [uses[np.equal(LABELS, c)] for c in range(3)]
    assert np.all(of_class[2] == 400)
    for label, size in ((0, 60), (1, 30)):
        share = 20 / size
        bound = 4.5 * np.sqrt(400 * share * (1 - share))
        assert np.all(np.abs(of_class[label] - 400 * share) < bound)


def test_random_over_is_imbalanced_learns():
    subsets = random_over(LABELS, 3, random_state=5)
    for i, subset in enumerate(subsets):
        sampler = RandomOverSampler(random_state=seed_of(5, i))
        sampler.fit_resample(np.zeros((110, 1)), LABELS)
        assert np.array_equal(subset, np.sort(sampler.sample_indices_))
        assert class_counts(subset) == [60, 60, 60]
        assert set(subset) == set(range(110))
    assert not np.array_equal(subsets[0], subsets[1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: random_under(LABELS, 2, "auto", seed),
        lambda seed: random_over(LABELS, 2, seed),
        lambda seed: dpus(np.arange(110.0)[:, None], LABELS, 3, 2, "auto", "covering", seed)[0],
    ],
    ids=["random_under", "random_over", "dpus"],
)
def test_equal_seeds_give_equal_subsets(draw):
    assert [s.tolist() for s in draw(3)] == [s.tolist() for s in draw(3)]
    assert [s.tolist() for s in draw(3)] != [s.tolist() for s in draw(4)]


@pytest.fixture
def blobs():
    """100 normals in three true groups (50, 30, 20) and 20 defects: features, labels, truth."""
    features, truth = make_blobs(
        [50, 30, 20, 20], 4, cluster_std=0.1, random_state=0, center_box=(-20, 20)
    )
    return features, (truth == 3).astype(int), truth


@pytest.mark.parametrize("draw", ["independent", "covering"])
def test_dpus_takes_the_same_share_of_every_group(blobs, draw):
    features, labels, truth = blobs
    subsets, groups = dpus(features, labels, 3, 5, 0.2, draw, random_state=0)
    assert adjusted_rand_score(truth[labels == 0], groups[labels == 0]) == 1.0
    assert set(groups[labels == 1]) == {-1}
    assert [np.bincount(truth[s]).tolist() for s in subsets] == [[10, 6, 4, 20]] * 5
    if draw == "covering":
        assert len(set(np.concatenate(subsets))) == 120


def test_dpus_chooses_the_number_of_groups(blobs):
    features, labels, truth = blobs
    _, groups = dpus(features, labels, "auto", 1, 0.2, "independent", random_state=0)
    assert adjusted_rand_score(truth[labels == 0], groups[labels == 0]) == 1.0


def test_dpus_does_not_look_at_features_of_the_smallest_class(blobs):
    features, labels, _ = blobs
    subsets, groups = dpus(features, labels, 3, 2, "auto", "independent", 0)
    features[labels == 1] = 1e6
    others, other_groups = dpus(features, labels, 3, 2, "auto", "independent", 0)
    assert np.array_equal(groups, other_groups)
    assert all(np.array_equal(a, b) for a, b in zip(subsets, others, strict=True))


def test_dpus_is_the_sampler_on_whitened_features(blobs):
    features, labels, _ = blobs
    sampler = DistributionPreservingUnderSampler(
        n_clusters=3, n_subsets=2, proportion=0.3, n_components=None, random_state=7
    )
    sampler.fit_resample(features, labels)
    subsets, groups = dpus(features, labels, 3, 2, 0.3, "independent", 7)
    assert np.array_equal(groups, sampler.labels_)
    assert [s.tolist() for s in subsets] == [s.tolist() for s in sampler.subsets_]


FOUR = np.repeat(["glass", "paper", "metal", "trash"], [60, 40, 23, 20])


def test_of_four_classes_each_larger_one_is_drawn_by_its_groups_and_the_smallest_is_whole():
    # Two groups a class, three to one; the target is 22, 10 % above the smallest class.
    places = np.concatenate([np.arange(n) % 4 == 0 for n in (60, 40, 23, 20)])
    features = np.eye(2)[places.astype(int)] + 1e-3 * np.random.default_rng(0).normal(size=(143, 2))
    subsets, groups = dpus(features, FOUR, 2, 6, "auto", "independent", 0)
    assert (groups[FOUR == "trash"] == -1).all()
    for label, size, small in (("glass", 22, 5.5), ("paper", 22, 5.5), ("metal", 22, 22 * 6 / 23)):
        of_class = np.equal(FOUR, label)
        # The groups are the true ones.
        assert len(set(zip(groups[of_class], places[of_class], strict=True))) == 2
        for subset in subsets:
            chosen = subset[FOUR[subset] == label]
            assert len(chosen) == len(set(chosen)) == size
            assert abs(places[chosen].sum() - small) < 1
    for subset in subsets:
        assert subset[FOUR[subset] == "trash"].tolist() == list(range(123, 143))


def test_a_class_between_the_smallest_and_the_target_is_whole_too():
    labels = np.repeat([0, 1, 2], [60, 21, 20])
    features = np.random.default_rng(0).normal(size=(101, 2))
    subsets, _ = dpus(features, labels, 2, 3, "auto", "independent", 0)
    assert all(np.bincount(labels[s]).tolist() == [22, 21, 20] for s in subsets)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_row_names_a_function_that_draws_as_it_says(name):
    row = STRATEGIES[name]
    assert callable(load(row.draw))
    features = np.random.default_rng(0).normal(size=(110, 2))
    drawn = draw_subsets(LABELS, features, SamplingSettings(strategy=name, n_subsets=2), 0)
    assert len(drawn.subsets) == 2
    assert (drawn.clusters is not None) == row.needs_features
    assert all(len(subset) < len(LABELS) for subset in drawn.subsets) == row.under_samples
    whole = list(range(len(LABELS)))
    assert all(subset.tolist() == whole for subset in drawn.subsets) == (not row.reshuffles)


def test_a_strategy_without_the_features_that_it_needs_is_an_error():
    with pytest.raises(ValueError, match="strategy dpus needs features"):
        draw_subsets(LABELS, None, SamplingSettings(), 0)
