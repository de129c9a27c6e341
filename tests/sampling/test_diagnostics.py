"""Measures of deviation: exact by hand, against scipy, and better for DPUS than for chance."""

import numpy as np
import pytest
from scipy.stats import chisquare, energy_distance
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

from mindspore_dpus.sampling import diagnostics
from mindspore_dpus.sampling.diagnostics import (
    FeatureDistances,
    chi_squared,
    cluster_agreement,
    cluster_quality,
    diagnose,
    embed,
    share_deviation,
)
from mindspore_dpus.sampling.draws import draw_clusters

LABELS = np.repeat([0, 1, 2], [50, 30, 20])


@pytest.mark.parametrize(
    ("counts", "deviation", "chi"),
    [([5, 3, 2], 0.0, 0.0), ([10, 0, 0], 0.5, 10.0), ([4, 4, 2], 0.1, 1 / 5 + 1 / 3)],
)
def test_deviations_by_hand(counts, deviation, chi):
    subset = np.concatenate([np.flatnonzero(group == LABELS)[:n] for group, n in enumerate(counts)])
    assert share_deviation(LABELS, subset) == pytest.approx(deviation)
    assert chi_squared(LABELS, subset) == pytest.approx(chi)


def test_chi_squared_equals_scipy():
    subset = np.random.default_rng(0).choice(100, 30, replace=False)
    expected = chisquare(np.bincount(LABELS[subset], minlength=3), [15, 9, 6]).statistic
    assert chi_squared(LABELS, subset) == pytest.approx(expected)


def test_energy_equals_scipy_in_one_dimension():
    features = np.random.default_rng(0).normal(size=(60, 1))
    subset = np.arange(0, 60, 4)
    energy, _ = FeatureDistances(features)(subset)
    # scipy returns the root.
    assert energy == pytest.approx(energy_distance(features[subset, 0], features[:, 0]) ** 2)


def test_mmd_equals_scikit_learns_kernel():
    features = np.random.default_rng(0).normal(size=(60, 3))
    subset = np.arange(0, 60, 4)
    distances = FeatureDistances(features)
    gamma = 0.5 / np.median(euclidean_distances(features)) ** 2
    part = features[subset]
    expected = (
        rbf_kernel(part, part, gamma).mean()
        + rbf_kernel(features, features, gamma).mean()
        - 2 * rbf_kernel(part, features, gamma).mean()
    )
    assert distances(subset)[1] == pytest.approx(expected)


def test_the_whole_is_at_no_distance_from_itself():
    features = np.random.default_rng(0).normal(size=(40, 3))
    assert FeatureDistances(features)(np.arange(40)) == pytest.approx((0, 0), abs=1e-12)


def test_a_large_class_is_represented_by_a_sample(monkeypatch):
    monkeypatch.setattr(diagnostics, "MAX_REFERENCE", 50)
    features = np.random.default_rng(0).normal(size=(80, 2))
    assert len(FeatureDistances(features).reference) == 50


def test_a_large_subset_is_represented_by_a_sample(monkeypatch):
    features = np.random.default_rng(0).normal(size=(300, 2))
    distances = FeatureDistances(features)
    subset = np.arange(0, 300, 3)
    whole = distances(subset)
    monkeypatch.setattr(diagnostics, "MAX_SUBSET", 100)
    assert distances(subset) == whole
    monkeypatch.setattr(diagnostics, "MAX_SUBSET", 30)
    assert distances(subset) == distances(subset[diagnostics.sample_rows(30, 100, 0)]) != whole


def test_drawn_subsets_are_nearer_than_random_ones():
    features, truth = make_blobs(
        [300, 120, 60, 20], n_features=8, centers=None, random_state=0, center_box=(-8, 8)
    )
    draws = draw_clusters(truth, 50, 5, "independent", np.random.default_rng(0))
    subsets = {str(i): draw for i, draw in enumerate(draws)}
    table = diagnose(features, truth, subsets, truth=truth, n_random=20)
    assert table["kind"].value_counts().to_dict() == {"random": 20, "drawn": 5}
    mean = table.groupby("kind").mean(numeric_only=True)
    for name in ("share_deviation", "chi_squared", "energy", "mmd", "true_share_deviation"):
        assert mean.loc["drawn", name] < 0.6 * mean.loc["random", name]
    assert table["true_share_deviation"].equals(table["share_deviation"])
    assert table["silhouette"].tolist() == [cluster_quality(features, truth)] * 25
    assert table["agreement"].tolist() == [1.0] * 25


def test_random_draws_hold_no_sample_twice():
    # So a draw of all samples is the class itself.
    features, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    table = diagnose(features, labels, {"00": np.arange(30)}, n_random=3)
    for name in ("share_deviation", "chi_squared", "energy", "mmd"):
        assert table[name].tolist() == pytest.approx([0] * 4, abs=1e-12)


def test_agreement_is_measured_where_the_truth_is_known():
    features = np.arange(6.0)[:, None]
    labels, truth = np.array([0, 0, 0, 1, 1, 1]), np.array(["a", "a", "b", "b", "c", "c"])
    subsets = {"00": np.array([0, 3])}
    table = diagnose(features, labels, subsets, truth=truth, n_random=2)
    # Pairs: 15; together in both 2, in labels 6, in truth 3, so 1.2 by chance: (2 - 1.2) / (4.5 - 1.2).
    assert table["agreement"].tolist() == pytest.approx([0.8 / 3.3] * 3)
    assert "agreement" not in diagnose(features, labels, subsets, n_random=2)


def test_agreement_is_one_whatever_the_groups_are_called():
    assert cluster_agreement(np.array([2, 2, 0, 0]), np.array(["a", "a", "b", "b"])) == 1.0


def test_group_quality_is_scikit_learns_silhouette():
    features, truth = make_blobs([60, 40], n_features=8, random_state=0, center_box=(-30, 30))
    shuffled = np.random.default_rng(0).permutation(truth)
    for labels in (truth, shuffled):
        assert cluster_quality(features, labels) == pytest.approx(silhouette_score(features, labels))
    assert cluster_quality(features, truth) > 0.8 > 0.1 > cluster_quality(features, shuffled)


def test_group_quality_by_hand():
    # Nearest own sample at 1, other group at 9, 10 or 11 away: (b - a) / b with b the mean of two.
    features = np.array([[0.0], [1.0], [10.0], [11.0]])
    expected = ((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2
    assert cluster_quality(features, np.array([0, 0, 1, 1])) == pytest.approx(expected)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]])
def test_one_group_or_only_groups_of_one_have_no_quality(labels):
    features = np.arange(len(labels), dtype=float)[:, None]
    assert np.isnan(cluster_quality(features, np.array(labels)))


def test_the_quality_of_a_large_class_is_that_of_a_sample(monkeypatch):
    monkeypatch.setattr(diagnostics, "MAX_SILHOUETTE", 100)
    features, truth = make_blobs([300, 300], n_features=8, random_state=0, center_box=(-30, 30))
    sampled = [cluster_quality(features, truth, seed) for seed in (0, 0, 1)]
    assert sampled[0] == sampled[1] != sampled[2]
    assert sampled == pytest.approx([silhouette_score(features, truth)] * 3, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_samples_for_a_picture_lie_at_zero(n):
    rows, places = embed(np.random.default_rng(0).normal(size=(n, 5)))
    assert rows.tolist() == list(range(n))
    assert np.array_equal(places, np.zeros((n, 2)))


def test_four_samples_are_placed():
    _, places = embed(np.random.default_rng(0).normal(size=(4, 5)))
    assert places.shape == (4, 2)
    assert len(np.unique(places, axis=0)) == 4


def test_embedding_keeps_clusters_apart(monkeypatch):
    monkeypatch.setattr(diagnostics, "MAX_EMBEDDED", 60)
    features, truth = make_blobs([60, 60], n_features=8, random_state=0, center_box=(-30, 30))
    rows, places = embed(features)
    assert places.shape == (60, 2)
    assert len(set(rows.tolist())) == 60
    centres = [places[truth[rows] == group].mean(0) for group in (0, 1)]
    spread = max(places[truth[rows] == group].std() for group in (0, 1))
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
