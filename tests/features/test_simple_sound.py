"""Means and deviations of bands; scaling and PCA beside scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.features.simple_sound import Projection, mean_and_deviation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 12)) * np.arange(1, 13) - 50
Y = RNG.normal(size=(9, 12)) - 50


def test_mean_and_deviation_of_every_band():
    log_mels = np.array([[[1, 3, 5], [2, 2, 2]]], np.float32)
    assert mean_and_deviation(log_mels).tolist() == [[3, 2, pytest.approx(np.sqrt(8 / 3)), 0]]
    assert mean_and_deviation(np.zeros((4, 10, 224, 126), np.float32)).shape == (4, 10, 448)


def test_sums_are_of_64_bits():
    log_mels = (RNG.normal(size=(1, 100_000)) - 1e4).astype(np.float32)
    expected = [log_mels.astype(np.float64).mean(), log_mels.astype(np.float64).std()]
    assert np.abs(mean_and_deviation(log_mels) - expected).max() < 1e-8


@pytest.mark.parametrize("scaled", [False, True])
def test_the_projection_equals_scikit_learn(scaled):
    scaler = StandardScaler(with_std=scaled).fit(X)
    pca = PCA(5).fit(scaler.transform(X))
    ours = Projection(5, scaled).fit(X).transform(Y)
    assert np.abs(np.abs(ours) - np.abs(pca.transform(scaler.transform(Y)))).max() < 1e-10
    without = Projection(None, scaled).fit(X).transform(Y)
    assert np.abs(without - scaler.transform(Y)).max() < 1e-12


def test_a_band_that_never_changes_is_not_blown_up():
    steady = X.copy()
    steady[:, 3] = -100.3
    moved = Projection(None, True).fit(steady).transform(Y)[:, 3]
    assert np.allclose(moved, Y[:, 3] + 100.3)


@pytest.mark.parametrize(
    ("n_components", "scaled"), [(5, True), (5, False), (None, True), (None, False)]
)
def test_loaded_projections_are_the_same_bit_for_bit(tmp_path, n_components, scaled):
    projection = Projection(n_components, scaled).fit(X)
    np.savez(tmp_path / "p.npz", **projection.to_arrays())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        loaded = Projection.from_arrays(arrays)
        incomplete = {"mean": arrays["mean"], "scale": arrays["scale"]}
    assert np.array_equal(loaded.transform(Y), projection.transform(Y))
    assert (loaded.n_components, loaded.scaled) == (n_components, scaled)
    with pytest.raises(UserError, match="'components' is missing"):
        Projection.from_arrays(incomplete)


def test_too_many_components_and_other_vectors_are_refused():
    for n, rows in ((13, 40), (12, 12)):
        with pytest.raises(UserError, match=f"{n} principal components need .* {rows} vectors of 12"):
            Projection(n, True).fit(X[:rows])
    with pytest.raises(UserError, match="0 principal"):
        Projection(0, True)
    with pytest.raises(UserError, match="vectors of 11 numbers, .* of 12"):
        Projection(None, True).fit(X).transform(Y[:, :11])
