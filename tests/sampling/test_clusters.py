"""Groups of one class: known ones are found, and K is that of an independent silhouette loop."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_score

from mindspore_dpus.sampling import clusters, diagnostics
from mindspore_dpus.sampling.clusters import cluster_samples


def auto(features, seed=0, n_init=3):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return cluster_samples(np.asarray(features, dtype=float), "auto", n_init, seed)


def n_groups(labels):
    return len(set(labels.tolist()))


def looped(features, seed, n_init):
    """Mean silhouette and groups for every K, by scikit-learn alone."""
    found = {}
    for k in range(2, 11):
        labels = KMeans(k, n_init=n_init, random_state=seed).fit_predict(features)
        found[k] = silhouette_score(features, labels), labels
    return found


@pytest.mark.parametrize("k", [2, 3, 7, 10])
def test_auto_finds_well_separated_blobs(k):
    centres = 20.0 * np.eye(k)
    features, truth = make_blobs([20] * k, centers=centres, cluster_std=0.5, random_state=0)
    labels = auto(features)
    assert n_groups(labels) == k
    assert adjusted_rand_score(truth, labels) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_auto_is_the_best_of_an_independent_loop(seed):
    features, _ = make_blobs(120, 3, centers=5, cluster_std=2.5, random_state=seed)
    found = looped(features, seed, n_init=2)
    labels = auto(features, seed, n_init=2)
    best, expected = max(found.values(), key=lambda pair: pair[0])
    assert silhouette_score(features, labels) == best
    assert np.array_equal(labels, expected)


def test_the_loop_has_its_best_at_several_k():
    # Else the test above would hold for a fixed K.
    best = set()
    for seed in range(4):
        features, _ = make_blobs(120, 3, centers=5, cluster_std=2.5, random_state=seed)
        found = looped(features, seed, n_init=2)
        best.add(max(found, key=lambda k: found[k][0]))
    assert len(best) > 1


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ([[1.0]], [0]),
        ([[1.0], [1.0]], [0, 0]),
        ([[1.0], [2.0]], [0, 0]),
        ([[1.0], [2.0]] * 5, [0] * 10),
        # Three groups of one have no silhouette.
        ([[0.0], [1.0], [9.0]], [0, 0, 1]),
        ([[0.0], [1.0], [9.0]] * 2, [0, 1, 2] * 2),
    ],
)
def test_auto_with_few_distinct_samples(features, expected):
    labels = auto(features)
    assert adjusted_rand_score(expected, labels) == 1.0
    assert n_groups(labels) == n_groups(np.array(expected))
    assert labels.dtype.kind == "i"


def test_auto_makes_ten_groups_at_most():
    assert n_groups(auto(np.repeat(100.0 * np.eye(12), 3, axis=0))) == 10


@pytest.mark.parametrize(("quality", "expected"), [(0.25, 2), (float("nan"), 1)])
def test_of_equal_silhouettes_the_smallest_k_and_of_undefined_ones_one_group(
    monkeypatch, quality, expected
):
    monkeypatch.setattr(clusters, "cluster_quality", lambda features, labels, seed: quality)
    features = np.random.default_rng(0).normal(size=(30, 2))
    assert n_groups(auto(features)) == expected


def test_the_silhouette_of_a_large_class_is_taken_on_a_sample(monkeypatch):
    sizes = []

    def spy(features, labels):
        sizes.append(len(features))
        return silhouette_score(features, labels)

    monkeypatch.setattr(diagnostics, "MAX_SILHOUETTE", 50)
    monkeypatch.setattr(diagnostics, "silhouette_score", spy)
    features, truth = make_blobs([40] * 3, centers=20.0 * np.eye(3), random_state=0)
    assert adjusted_rand_score(truth, auto(features)) == 1.0
    assert sizes == [50] * 9


def test_equal_seeds_give_equal_groups():
    features = np.random.default_rng(0).normal(size=(200, 8))
    runs = [auto(features, seed, n_init=1) for seed in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("k", [1, 4])
def test_a_given_k_is_k_means(k):
    features = np.random.default_rng(0).normal(size=(60, 3))
    expected = KMeans(k, init="k-means++", n_init=2, random_state=5).fit_predict(features)
    assert np.array_equal(cluster_samples(features, k, 2, 5), expected)


@pytest.fixture
def small_batches(monkeypatch):
    """A sample and several mini-batches in a class of thousands."""
    monkeypatch.setattr(clusters, "SAMPLE", 800)
    monkeypatch.setattr(clusters, "BATCH", 256)


@pytest.fixture(scope="module")
def clustered():
    """6000 vectors in five clusters of very different size; (features, truth)."""
    sizes = [3000, 1600, 900, 400, 100]
    return make_blobs(sizes, centers=8.0 * np.eye(5, 20), cluster_std=1.0, random_state=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("small_batches")
def test_mini_batches_find_the_groups_of_exact_k_means(clustered, seed):
    features, truth = clustered
    exact = cluster_samples(features, 5, 10, seed)
    streamed = cluster_samples(features, 5, 10, seed, exact_up_to=1000)
    assert adjusted_rand_score(exact, streamed) >= 0.9
    assert adjusted_rand_score(truth, streamed) >= 0.9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("small_batches")
def test_without_clusters_mini_batches_cost_hardly_more(seed):
    # Groups of noise are chance, so only the quantity that k-means makes small can be compared.
    features = np.random.default_rng(seed).normal(size=(6000, 20))

    def inertia(labels):
        centres = np.stack([features[labels == g].mean(axis=0) for g in range(5)])
        return ((features - centres[labels]) ** 2).sum()

    exact = inertia(cluster_samples(features, 5, 3, seed))
    assert inertia(cluster_samples(features, 5, 3, seed, exact_up_to=1000)) < 1.02 * exact


@pytest.mark.usefixtures("small_batches")
def test_a_rare_group_keeps_its_centre():
    # 60 of 6000: two or three in a mini-batch of 256.
    features, truth = make_blobs(
        [3940, 2000, 60], centers=20.0 * np.eye(3, 20), cluster_std=1.0, random_state=0
    )
    for seed in range(6):
        labels = cluster_samples(features, 3, 10, seed, exact_up_to=1000)
        assert adjusted_rand_score(truth, labels) == 1.0


@pytest.mark.usefixtures("small_batches")
def test_equal_seeds_give_equal_groups_of_a_large_class():
    features = np.random.default_rng(0).normal(size=(3000, 8))
    runs = [cluster_samples(features, 5, 1, seed, exact_up_to=1000) for seed in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_up_to_the_limit_k_means_is_exact(clustered):
    features, _ = clustered
    expected = KMeans(3, n_init=1, random_state=0).fit_predict(features)
    assert np.array_equal(cluster_samples(features, 3, 1, 0, exact_up_to=6000), expected)


@pytest.mark.usefixtures("small_batches")
def test_k_of_a_large_class_is_chosen_on_a_sample(clustered, monkeypatch):
    features, truth = clustered
    sizes = []

    def spy(features, labels, seed):
        sizes.append(len(features))
        return diagnostics.cluster_quality(features, labels, seed)

    monkeypatch.setattr(clusters, "cluster_quality", spy)
    labels = cluster_samples(features, "auto", 3, 0, exact_up_to=1000)
    assert sizes == [800] * 9
    assert len(labels) == 6000
    assert adjusted_rand_score(truth, labels) >= 0.9


@pytest.mark.parametrize(("limit", "expected"), [(2, 2), (3, 3), (9, 3)])
def test_distinct_samples_are_counted_across_batches(monkeypatch, limit, expected):
    monkeypatch.setattr(clusters, "BATCH", 4)
    features = np.repeat(np.eye(3), 7, axis=0)
    assert clusters._count_distinct(features, limit) == expected


def test_few_distinct_samples_of_a_large_class():
    features = np.repeat(np.eye(3), 50, axis=0)
    with pytest.warns(UserWarning, match="only 3 distinct samples: 3 instead of 5 clusters"):
        labels = cluster_samples(features, 5, 3, 0, exact_up_to=10)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 50), labels) == 1.0
