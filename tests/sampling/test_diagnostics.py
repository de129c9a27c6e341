"""Measures of deviation: exact by hand, against scipy, and better for DPUS than for chance."""

import numpy as np
import pytest
from scipy.stats import chisquare, energy_distance
from sklearn.datasets import make_blobs
from sklearn.metrics.pairwise import rbf_kernel

from mindspore_dpus.sampling import diagnostics
from mindspore_dpus.sampling.diagnostics import (
    FeatureDistances,
    chi_squared,
    diagnose,
    embed,
    group_agreement,
    share_deviation,
)
from mindspore_dpus.sampling.draws import draw_groups

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
    gamma = 0.5 / distances.width**2
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


def test_drawn_subsets_are_nearer_than_random_ones():
    features, truth = make_blobs(
        [300, 120, 60, 20], n_features=8, centers=None, random_state=0, center_box=(-8, 8)
    )
    draws = draw_groups(truth, 50, 5, "independent", np.random.default_rng(0))
    subsets = {str(i): draw for i, draw in enumerate(draws)}
    table = diagnose(features, truth, subsets, truth=truth, n_random=20)
    assert table["kind"].value_counts().to_dict() == {"random": 20, "drawn": 5}
    mean = table.groupby("kind").mean(numeric_only=True)
    for name in ("share_deviation", "chi_squared", "energy", "mmd", "true_share_deviation"):
        assert mean.loc["drawn", name] < 0.6 * mean.loc["random", name]
    assert table["true_share_deviation"].equals(table["share_deviation"])


def test_agreement_is_one_whatever_the_groups_are_called():
    assert group_agreement(np.array([2, 2, 0, 0]), np.array(["a", "a", "b", "b"])) == 1.0


def test_embedding_keeps_clusters_apart(monkeypatch):
    monkeypatch.setattr(diagnostics, "MAX_EMBEDDED", 60)
    features, truth = make_blobs([60, 60], n_features=8, random_state=0, center_box=(-30, 30))
    rows, places = embed(features)
    assert places.shape == (60, 2)
    assert len(set(rows.tolist())) == 60
    centres = [places[truth[rows] == group].mean(0) for group in (0, 1)]
    spread = max(places[truth[rows] == group].std() for group in (0, 1))
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
