"""Whitening against scikit-learn, against a plain SVD, and where the data has too few directions."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from mindspore_dpus.features.whitening import whiten


def features(n_samples=40, n_features=6, rank=None, dtype=np.float64):
    """Correlated features of very different size, away from zero."""
    rng = np.random.default_rng(0)
    rank = rank or n_features
    mixed = rng.normal(size=(n_samples, rank)) @ rng.normal(size=(rank, n_features))
    return (mixed * np.logspace(0, 2, n_features) + 5).astype(dtype)


def by_svd(X, n_components):
    """Whitened and normalised rows by definition; their signs are free."""
    u, s, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    n_components = min(n_components, int((s > s[0] * 1e-6).sum()))
    scores = u[:, :n_components]
    return scores / np.linalg.norm(scores, axis=1, keepdims=True)


def same_up_to_signs(A, B, atol=1e-6):
    return A.shape == B.shape and np.allclose(A @ A.T, B @ B.T, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("shape", "n_components"), [((60, 6), 6), ((40, 6), 3), ((200, 6), 6), ((9, 30), 2)]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_whitening_is_pca_then_variance_one_then_length_one(shape, n_components, dtype):
    X = features(*shape, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whitened = whiten(X, n_components, random_state=0)
    assert whitened.dtype == np.float64
    assert whitened.shape == (shape[0], n_components)
    assert np.allclose(np.linalg.norm(whitened, axis=1), 1, atol=1e-6)
    reference = make_pipeline(PCA(n_components, whiten=True, random_state=0), Normalizer())
    atol = 1e-10 if dtype == np.float64 else 1e-2
    assert same_up_to_signs(whitened, reference.fit_transform(X.astype(np.float64)), atol)
    assert same_up_to_signs(whitened, by_svd(X.astype(np.float64), n_components), atol)


def test_the_scale_of_a_feature_does_not_count():
    X = features(60)
    scaled = X * np.logspace(-2, 2, 6) + np.arange(6)
    assert same_up_to_signs(whiten(X, 6), whiten(scaled, 6))


def test_equal_seeds_give_equal_features():
    X = features(600, 550)  # so wide that scikit-learn draws random projections
    assert np.array_equal(whiten(X, 4, random_state=1), whiten(X, 4, random_state=1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("n_samples", "n_features", "rank"),
    [(30, 20, 2), (70, 6, 6), (60, 80, 5), (60, 40, 5), (600, 20, 5)],
)
def test_directions_without_variance_are_left_out_with_a_warning(n_samples, n_features, rank, dtype):
    X = features(n_samples, n_features, min(rank, n_features), dtype)
    with pytest.warns(
        UserWarning,
        match=f"PCA gives {rank} instead of 127 components: "
        f"{n_samples} samples of {n_features} features have no more",
    ):
        whitened = whiten(X, 127, random_state=0)
    assert same_up_to_signs(
        whitened, by_svd(X.astype(np.float64), rank), 1e-6 if dtype == np.float64 else 1e-2
    )


@pytest.mark.parametrize("n_samples", [70, 400])
def test_constant_and_repeated_features_add_nothing(n_samples):
    X = features(n_samples)
    padded = np.column_stack([X, np.full(n_samples, 0.1), X[:, 0], np.zeros(n_samples)])
    with pytest.warns(UserWarning, match="PCA gives 6 instead of 9 components"):
        whitened = whiten(padded, 9)
    assert same_up_to_signs(whitened, whiten(np.column_stack([X, X[:, 0]])[:, :6], 6), 1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])
@pytest.mark.parametrize("n_samples", [1, 7])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_equal_samples_become_zeros(n_samples, value):
    with pytest.warns(UserWarning, match="PCA gives 0 instead of 2 components"):
        whitened = whiten(np.full((n_samples, 3), value), 2)
    assert np.array_equal(whitened, np.zeros((n_samples, 1)))


@pytest.mark.parametrize(
    ("shape", "n_components", "expected"),
    [
        ((9, 30), 5, 2),  # never below 2
        ((29, 6), 3, 2),
        ((40, 60), 127, 4),
        ((59, 6), 6, 5),
        ((400, 450), 127, 40),
    ],
)
def test_every_component_needs_ten_samples(shape, n_components, expected):
    X = features(*shape)
    with pytest.warns(
        UserWarning,
        match=f"PCA gives {expected} instead of {n_components} components: "
        f"{shape[0]} samples carry no more",
    ):
        whitened = whiten(X, n_components, random_state=0)
    assert same_up_to_signs(whitened, by_svd(X, expected), 1e-2)


def test_the_papers_normals_carry_its_components():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whiten(features(2430, 130), 128, random_state=0).shape == (2430, 128)


def test_few_samples_of_many_features_keep_their_clusters():
    # At full rank (39 components), all 40 samples would be equally far from each other.
    X, truth = make_blobs([10] * 4, 60, cluster_std=2.0, random_state=0)
    with pytest.warns(UserWarning, match="PCA gives 4 instead of 127"):
        whitened = whiten(X, 127, random_state=0)
    groups = KMeans(4, n_init=10, random_state=0).fit_predict(whitened)
    assert adjusted_rand_score(truth, groups) == 1.0


def test_a_sample_at_the_mean_becomes_zero():
    X = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    lengths = np.linalg.norm(whiten(X, 2), axis=1)
    assert np.allclose(lengths, [1, 1, 1, 1, 0])


def test_who_chose_a_number_is_told_once_that_there_are_fewer_and_nobody_else():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n_samples in (60, 70, 80):
            whiten(features(n_samples), random_state=0)
        assert caught == []
        for n_samples in (60, 70, 80):
            whiten(features(n_samples), 30, random_state=0)
    assert [str(warning.message) for warning in caught] == [
        "PCA gives 6 instead of 30 components: 60 samples carry no more"
    ]
