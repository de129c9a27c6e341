"""What draws from K groups preserve, on classes whose groups are known."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mindspore_dpus.sampling.cluster_range import cluster_range
from mindspore_dpus.sampling.strategies.dpus import dpus


@pytest.fixture(scope="module")
def blobs():
    """Four far blobs of 40, 30, 20 and 10 samples are class 0; ten samples are class 1."""
    rng = np.random.default_rng(0)
    origin = np.repeat([0, 1, 2, 3, 4], [40, 30, 20, 10, 10])
    features = 50 * np.eye(5)[origin] + rng.normal(size=(110, 5))
    return features, (origin == 4).astype(int), np.array(list("abcde"))[origin]


def test_as_many_groups_as_origins_keep_every_share(blobs):
    features, labels, origin = blobs
    table = cluster_range(features, labels, [4, 2], 0.1, origin, n_draws=30)
    assert table["label"].tolist() == [0, 0, 0]
    assert table["n_clusters"].tolist() == [1, 2, 4]
    assert table["largest_cluster"].tolist()[::2] == [1, 0.4]
    # A tenth of 40, 30, 20 and 10 is a whole number.
    assert table["share_deviation"][2] == 0
    assert table["share_deviation"][0] > 0.1
    ratios = table[["energy_ratio", "mmd_ratio", "share_deviation_ratio"]]
    assert (ratios.iloc[0] == 1).all()
    assert (ratios.iloc[2] < 0.2).all()
    assert ratios["energy_ratio"].is_monotonic_decreasing


def test_the_measures_are_means_over_the_draws_that_a_run_would_train_on(blobs):
    features, labels, _ = blobs
    table = cluster_range(features, labels, [3], 0.2, n_draws=4, random_state=7)
    draws, groups = dpus(features, labels, 3, 4, 0.2, "independent", 7)
    whole = features[labels == 0]
    energies = []
    for draw in draws:
        part = features[draw[labels[draw] == 0]]
        within = cdist(part, part).mean() + cdist(whole, whole).mean()
        energies.append(2 * cdist(part, whole).mean() - within)
    assert table["energy"][1] == pytest.approx(np.mean(energies))
    assert table["largest_cluster"][1] == np.bincount(groups[labels == 0]).max() / 100
    assert "share_deviation" not in table


def test_every_class_that_is_drawn_has_its_rows(blobs):
    features, labels, origin = blobs
    labels = np.where(origin == "a", 2, labels)
    table = cluster_range(features, labels, [2], "auto", origin)
    assert table[["label", "n_clusters"]].to_numpy().tolist() == [[0, 1], [0, 2], [2, 1], [2, 2]]
    # Class 2 is of one origin: there is no share to miss, by no draw.
    assert table["share_deviation"].tolist()[2:] == [0, 0]
    assert table["share_deviation_ratio"].isna().tolist() == [False, False, True, True]


def test_more_groups_than_distinct_samples_are_shown_once():
    features = np.repeat(np.eye(3), [6, 6, 2], axis=0)
    labels = np.repeat([0, 1], [12, 2])
    with pytest.warns(UserWarning, match="only 2 distinct samples"):
        table = cluster_range(features, labels, [2, 5, 9], 0.5)
    assert table["n_clusters"].tolist() == [1, 2]
