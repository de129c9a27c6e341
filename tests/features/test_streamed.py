"""Principal components in blocks: scikit-learn's, from any kind of rows, and no copy of them all."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from mindspore_dpus.features import streamed
from mindspore_dpus.features.streamed import blocks, dense_rows, moments, principal_components
from mindspore_dpus.features.whitening import whiten


@pytest.fixture
def small_blocks(monkeypatch):
    """Several blocks, the last one of another size."""
    monkeypatch.setattr(streamed, "BLOCK", 64)


@pytest.fixture
def features():
    """500 correlated vectors, far from zero, in an order: the first blocks are not like the last."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(500, 12)) @ rng.normal(size=(12, 12)) * np.logspace(0, 2, 12)
    return mixed + 1000 + np.arange(500)[:, None]


ROWS = [None, np.arange(100, 400), np.arange(0, 500, 2), np.arange(200)]


@pytest.mark.parametrize("rows", ROWS, ids=["all", "neighbours", "others", "first"])
@pytest.mark.parametrize("kind", [np.array, np.float32, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.usefixtures("small_blocks")
def test_moments_are_numpys(features, rows, kind):
    given = features.astype(kind) if kind is np.float32 else kind(features)
    chosen = dense_rows(given, rows).astype(np.float64)
    mean, covariance = moments(given, rows)
    np.testing.assert_allclose(mean, chosen.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(chosen.T), rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("small_blocks")
def test_a_large_offset_loses_no_digits(features):
    # The sum of squares minus the squared mean would have none left.
    np.testing.assert_allclose(
        moments(features + 1e7, None)[1], moments(features, None)[1], rtol=1e-7, atol=1e-6
    )


@pytest.mark.parametrize("n_components", [1, 5, 12])
@pytest.mark.usefixtures("small_blocks")
def test_components_are_scikit_learns_but_for_their_signs(features, n_components):
    mean, axes, deviations = principal_components(features, None, n_components)
    pca = PCA(n_components, svd_solver="full").fit(features)
    np.testing.assert_allclose(mean, pca.mean_, rtol=1e-12)
    np.testing.assert_allclose(deviations**2, pca.explained_variance_, rtol=1e-9)
    cosines = (axes * pca.components_.T).sum(axis=0)
    np.testing.assert_allclose(np.abs(cosines), 1, rtol=1e-9)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("rows", ROWS, ids=["all", "neighbours", "others", "first"])
def test_whitening_in_blocks_is_whitening(features, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = whiten(features, 6, rows=rows)
        blockwise = whiten(features, 6, rows=rows, exact_up_to=10)
    assert blockwise.dtype == np.float32
    assert blockwise.shape == exact.shape
    signs = np.sign((exact * blockwise).sum(axis=0))
    np.testing.assert_allclose(blockwise * signs, exact, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_up_to_the_limit_nothing_changes(features):
    assert np.array_equal(whiten(features, 6, exact_up_to=500), whiten(features, 6))
    assert whiten(features, 6, exact_up_to=499).dtype == np.float32


@pytest.mark.usefixtures("small_blocks")
def test_the_rank_is_the_exact_ones(features):
    padded = np.column_stack([features, features[:, :3], np.zeros(500), np.full(500, 0.1)])
    for exact_up_to, n_components in ((10, 17), (500, 16)):
        words = f"PCA gives 12 instead of {n_components} components"
        with pytest.warns(UserWarning, match=words):
            assert whiten(padded, n_components, exact_up_to=exact_up_to).shape == (500, 12)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e5])
@pytest.mark.usefixtures("small_blocks")
def test_equal_samples_become_zeros(value):
    with pytest.warns(UserWarning, match="PCA gives 0 instead of 2 components"):
        assert np.array_equal(whiten(np.full((500, 3), value), 2, exact_up_to=10), np.zeros((500, 1)))


def test_a_block_is_a_copy_and_neighbours_are_a_view():
    features = np.arange(12.0).reshape(6, 2)
    for _, block in blocks(features, np.array([1, 2, 3])):
        block += 100
    assert features.max() == 11
    assert np.shares_memory(dense_rows(features, np.array([1, 2, 3])), features)
    assert dense_rows(features, np.array([1, 3])).tolist() == [[2, 3], [6, 7]]
    assert dense_rows(features, np.empty(0, int)).shape == (0, 2)


@pytest.mark.parametrize("step", [1, 2], ids=["neighbours", "others"])
def test_a_memory_map_is_never_copied_whole(tmp_path, monkeypatch, step):
    monkeypatch.setattr(streamed, "BLOCK", 512)
    shape = (20_000, 128)
    file = np.lib.format.open_memmap(tmp_path / "features.npy", "w+", np.float32, shape)
    rng = np.random.default_rng(0)
    for first in range(0, shape[0], 4000):
        file[first : first + 4000] = rng.standard_normal((4000, 128), dtype=np.float32)
    file.flush()
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    rows = np.arange(0, shape[0], step)
    tracemalloc.start()
    try:
        whitened = whiten(features, 8, rows=rows, exact_up_to=1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whitened.shape == (len(rows), 8)
    # 10 MB of features; a block is half a megabyte, and a few of them are alive at once.
    assert peak < features.nbytes / 5
