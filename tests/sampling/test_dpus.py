"""The sampler against imbalanced-learn's own checks, exact proportions, and known groups."""

import tracemalloc

import numpy as np
import pytest
from imblearn.ensemble import BalancedBaggingClassifier
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import estimator_checks_generator
from scipy import sparse
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from mindspore_dpus.features import streamed
from mindspore_dpus.features.whitening import EXACT_UP_TO
from mindspore_dpus.sampling import DistributionPreservingUnderSampler, clusters
from mindspore_dpus.sampling.dpus import draw_size

quiet = pytest.mark.filterwarnings("ignore:PCA gives", "ignore:only .* distinct")


@pytest.fixture
def blobs():
    """200 majority samples in four true groups (100, 60, 30, 10), 30 minority ones; (X, y, truth)."""
    X, truth = make_blobs(
        [100, 60, 30, 10, 30], n_features=6, cluster_std=0.3, random_state=0, center_box=(-20, 20)
    )
    return X, np.where(truth == 4, "defect", "normal"), truth


def checks(n_clusters, exact_up_to=EXACT_UP_TO):
    sampler = DistributionPreservingUnderSampler(
        n_clusters=n_clusters, exact_up_to=exact_up_to, random_state=0
    )
    return [
        pytest.param(estimator, check, id=f"{check.func.__name__}-{n_clusters}-{exact_up_to}")
        for estimator, check in estimator_checks_generator(sampler)
    ]


@quiet
@pytest.mark.parametrize(("estimator", "check"), [*checks(5), *checks("auto"), *checks(5, 10)])
def test_imbalanced_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setattr(clusters, "MAX_AUTO", 3)  # A choice of two; each costs ten runs of k-means.
    check(estimator)


def test_every_subset_holds_the_share_of_every_group_and_all_minority_samples(blobs):
    X, y, truth = blobs
    sampler = DistributionPreservingUnderSampler(
        n_clusters=4, proportion=0.2, n_subsets=3, n_components=None, random_state=0
    )
    X_res, y_res = sampler.fit_resample(X, y)
    assert adjusted_rand_score(truth[truth < 4], sampler.labels_[truth < 4]) == 1.0
    assert set(sampler.labels_[truth == 4]) == {-1}
    assert len(sampler.subsets_) == 3
    for subset in sampler.subsets_:
        assert np.bincount(truth[subset]).tolist() == [20, 12, 6, 2, 30]
        assert np.all(np.diff(subset) > 0)
    assert np.array_equal(sampler.sample_indices_, sampler.subsets_[0])
    assert np.array_equal(X_res, X[sampler.subsets_[0]])
    assert np.array_equal(y_res, y[sampler.subsets_[0]])
    assert sampler.sampling_strategy_ == {"normal": 40}


@quiet
def test_auto_is_ten_per_cent_above_the_minority(blobs):
    X, y, _ = blobs
    sampler = DistributionPreservingUnderSampler(proportion="auto", random_state=0)
    sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {"normal": 33}


@pytest.mark.parametrize(
    ("label", "proportion", "expected"),
    [("a", None, 20), ("a", "auto", 22), ("c", "auto", 21), ("a", 0.5, 50), ("a", 1, 100)],
)
def test_the_size_of_a_draw(label, proportion, expected):
    assert draw_size({"a": 100, "b": 20, "c": 21}, label, proportion) == expected


def test_a_draw_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"proportion=0\.001 of the 100 samples of class 'a' is none"):
        draw_size({"a": 100, "b": 20}, "a", 0.001)


@quiet
def test_auto_takes_no_more_than_there_are():
    X = np.random.default_rng(0).normal(size=(21, 3))
    y = np.array([0] * 11 + [1] * 10)
    sampler = DistributionPreservingUnderSampler(proportion="auto", n_clusters=2, random_state=0)
    sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {0: 11}


@quiet
@pytest.mark.parametrize("draw", ["independent", "covering"])
@pytest.mark.parametrize("n_clusters", [5, "auto"])
def test_equal_seeds_give_equal_subsets(blobs, draw, n_clusters):
    X, y, _ = blobs

    def subsets(seed):
        sampler = DistributionPreservingUnderSampler(
            n_clusters=n_clusters, proportion=0.2, draw=draw, random_state=seed
        )
        sampler.fit_resample(X, y)
        return sampler.subsets_

    for first, second in zip(subsets(7), subsets(7), strict=True):
        assert np.array_equal(first, second)
    assert any(not np.array_equal(a, b) for a, b in zip(subsets(7), subsets(8), strict=True))


def test_the_number_of_groups_is_chosen_class_by_class():
    centres = 20.0 * np.eye(6)
    X, truth = make_blobs([30, 30, 30, 20, 20, 10], centers=centres, random_state=0)
    y = np.array(["large", "large", "large", "middle", "middle", "small"])[truth]
    sampler = DistributionPreservingUnderSampler(
        n_clusters="auto", n_components=None, n_subsets=2, random_state=0
    )
    sampler.fit_resample(X, y)
    assert sampler.n_clusters_ == {"large": 3, "middle": 2}
    for label in ("large", "middle"):
        assert adjusted_rand_score(truth[y == label], sampler.labels_[y == label]) == 1.0
    sampler.set_params(n_clusters=4).fit_resample(X, y)
    assert sampler.n_clusters_ == {"large": 4, "middle": 4}


@quiet
@pytest.mark.parametrize(("n_clusters", "expected"), [(5, 2), (1, 1), ("auto", 1)])
def test_the_fitted_number_of_groups_is_that_of_the_groups_there_are(n_clusters, expected):
    X = np.repeat(np.eye(3), 10, axis=0)
    y = np.array([0] * 20 + [1] * 10)
    sampler = DistributionPreservingUnderSampler(n_clusters=n_clusters, n_components=None)
    sampler.fit_resample(X, y)
    assert sampler.n_clusters_ == {0: expected}


@quiet
@pytest.mark.parametrize("n_components", [None, 4])
@pytest.mark.parametrize("y", [np.array([0, 1]), np.array([0, 1, 1])])
def test_auto_with_one_sample_or_two_identical_ones(y, n_components):
    X = np.array([[5.0, 2.0], [1.0, 3.0], [1.0, 3.0]])[: len(y)]
    sampler = DistributionPreservingUnderSampler(n_clusters="auto", n_components=n_components)
    X_res, y_res = sampler.fit_resample(X, y)
    assert sampler.n_clusters_ == {1: 1}
    assert sampler.labels_.tolist() == [-1] + [0] * (len(y) - 1)
    assert X_res.tolist() == [[5, 2], [1, 3]]
    assert y_res.tolist() == [0, 1]


@quiet
def test_every_class_above_the_smallest_is_drawn_in_groups():
    X, truth = make_blobs([60, 40, 30, 10], n_features=4, random_state=0)
    y = np.array([0, 0, 1, 2])[truth]
    sampler = DistributionPreservingUnderSampler(
        n_clusters=2, n_components=None, n_subsets=2, random_state=0
    )
    sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {0: 10, 1: 10}
    for subset in sampler.subsets_:
        assert np.bincount(truth[subset]).tolist() == [6, 4, 10, 10]
    assert set(sampler.labels_[y == 2]) == {-1}


def test_pca_is_reduced_with_a_warning(blobs):
    X, y, _ = blobs
    sampler = DistributionPreservingUnderSampler(n_components=100, random_state=0)
    with pytest.warns(UserWarning, match="PCA gives 6 instead of 100 components"):
        sampler.fit_resample(X, y)


@pytest.mark.filterwarnings("error")
def test_a_default_that_is_too_large_is_no_news(blobs):
    X, y, _ = blobs
    for _ in range(2):
        DistributionPreservingUnderSampler(random_state=0).fit_resample(X, y)


@quiet
def test_fewer_distinct_samples_than_groups():
    X = np.repeat(np.eye(3), 10, axis=0)
    y = np.array([0] * 20 + [1] * 10)
    sampler = DistributionPreservingUnderSampler(n_components=None, random_state=0)
    with pytest.warns(UserWarning, match="only 2 distinct samples: 2 instead of 5 clusters"):
        sampler.fit_resample(X, y)
    assert [np.bincount(X[s].argmax(1)).tolist() for s in sampler.subsets_] == [[5, 5, 10]] * 5


@quiet
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"proportion": 0.5, "sampling_strategy": {"normal": 20}}, "give the size of a draw once"),
        ({"proportion": 0.001}, "is none"),
        ({"sampling_strategy": {"normal": 0}}, "draws no sample of class 'normal'"),
        ({"proportion": 1.5}, "'proportion' parameter"),
        ({"draw": "sometimes"}, "'draw' parameter"),
        ({"n_clusters": 0}, "'n_clusters' parameter"),
        ({"n_clusters": "some"}, "'n_clusters' parameter"),
        ({"exact_up_to": 0}, "'exact_up_to' parameter"),
    ],
)
def test_bad_parameters_are_named(blobs, params, message):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        DistributionPreservingUnderSampler(**params).fit_resample(X, y)


@quiet
def test_drops_into_a_pipeline_and_a_balanced_bagging_classifier(blobs):
    X, y, _ = blobs
    sampler = DistributionPreservingUnderSampler(n_clusters=4, random_state=0)
    pipeline = make_pipeline(sampler, LogisticRegression()).fit(X, y)
    assert pipeline.score(X, y) > 0.95
    bagging = BalancedBaggingClassifier(sampler=sampler, n_estimators=3, random_state=0).fit(X, y)
    assert bagging.score(X, y) > 0.95
    first, second = (p[0].sample_indices_ for p in bagging.estimators_[:2])
    assert not np.array_equal(first, second)


@pytest.fixture
def large(monkeypatch):
    """4000 majority vectors in four clusters, mixed with 200 minority ones; (X, y, truth)."""
    X, truth = make_blobs(
        [1600, 1200, 800, 400, 200], centers=10.0 * np.eye(5, 30), cluster_std=1.0, random_state=0
    )
    X = X.astype(np.float32)
    monkeypatch.setattr(streamed, "BLOCK", 256)
    monkeypatch.setattr(clusters, "SAMPLE", 1000)
    monkeypatch.setattr(clusters, "BATCH", 256)
    return X, np.where(truth == 4, "defect", "normal"), truth


def fitted(X, y, **params):
    sampler = DistributionPreservingUnderSampler(
        n_clusters=4, n_components=8, **{"exact_up_to": 1000, "random_state": 0} | params
    )
    return sampler, sampler.fit_resample(X, y)


@pytest.mark.parametrize("draw", ["independent", "covering"])
def test_a_large_class_is_drawn_within_one_sample_of_every_groups_share(large, draw):
    X, y, truth = large
    sampler, (X_res, y_res) = fitted(X, y, draw=draw, proportion=0.033, n_subsets=7)
    exact, _ = fitted(X, y, exact_up_to=4000)
    normal = y == "normal"
    assert adjusted_rand_score(exact.labels_[normal], sampler.labels_[normal]) >= 0.9
    assert adjusted_rand_score(truth[normal], sampler.labels_[normal]) >= 0.9
    sizes = np.bincount(sampler.labels_[normal])
    assert len(sampler.subsets_) == 7
    for subset in sampler.subsets_:
        drawn = np.bincount(sampler.labels_[subset][y[subset] == "normal"], minlength=4)
        assert drawn.sum() == 132
        assert np.abs(drawn - sizes * 132 / 4000).max() < 1
        assert (y[subset] == "defect").sum() == 200
    assert np.array_equal(X_res, X[sampler.subsets_[0]])
    assert np.array_equal(y_res, y[sampler.subsets_[0]])


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, np.float64])
def test_large_classes_are_the_same_in_any_kind_of_matrix(large, kind):
    X, y, _ = large
    expected, _ = fitted(X, y)
    sampler, _ = fitted(X.astype(np.float64) if kind is np.float64 else kind(X), y)
    assert np.array_equal(sampler.labels_, expected.labels_)
    assert all(map(np.array_equal, sampler.subsets_, expected.subsets_))


def test_equal_seeds_give_equal_subsets_of_a_large_class(large):
    X, y, _ = large
    first, second, other = (fitted(X, y, random_state=seed)[0].subsets_ for seed in (7, 7, 8))
    assert all(map(np.array_equal, first, second))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.parametrize("order", ["sorted", "mixed"])
def test_features_in_a_memory_map_stay_there(tmp_path, monkeypatch, order):
    monkeypatch.setattr(streamed, "BLOCK", 512)
    y = np.repeat([0, 1], [10_000, 200])
    rng = np.random.default_rng(0)
    if order == "mixed":
        rng.shuffle(y)
    np.save(tmp_path / "X.npy", rng.standard_normal((len(y), 128), dtype=np.float32))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        sampler, _ = fitted(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A copy of the class would be 5 MB.
    assert peak < X.nbytes / 2
    assert np.bincount(y[sampler.subsets_[0]]).tolist() == [200, 200]


def test_another_clusterer_takes_the_place_of_k_means():
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [rng.normal(size=(40, 2)), rng.normal(size=(10, 2)) + 50, rng.normal(size=(9, 2))]
    )
    y = np.array([0] * 50 + [1] * 9)
    clusterer = AgglomerativeClustering(n_clusters=2)
    sampler = DistributionPreservingUnderSampler(
        n_components=None, clusterer=clusterer, proportion=0.5, random_state=0
    )
    sampler.fit_resample(X, y)
    assert adjusted_rand_score(sampler.labels_[:50], [0] * 40 + [1] * 10) == 1.0
    assert sampler.n_clusters_ == {0: 2}
    for subset in sampler.subsets_:
        assert ((subset < 40).sum(), ((subset >= 40) & (subset < 50)).sum()) == (20, 5)
    assert not hasattr(clusterer, "labels_"), "the given one is cloned"
