"""Statistics of bands; scaling and PCA beside scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.features.simple_sound import STATISTICS, Projection, SoundFeatures, statistics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 12)) * np.arange(1, 13) - 50
Y = RNG.normal(size=(9, 12)) - 50


def test_statistics_of_every_band():
    log_mels = np.array([[[1, 3, 5], [2, 2, 5]]], np.float32)
    found = statistics(log_mels, ("mean", "deviation", "change"))
    assert found.tolist() == [
        [3, 3, pytest.approx(np.sqrt(8 / 3)), pytest.approx(np.sqrt(2)), 0, pytest.approx(1.5)]
    ]
    assert statistics(np.zeros((4, 10, 224, 126), np.float32), ("mean", "change")).shape == (4, 10, 448)


def test_sums_are_of_64_bits():
    log_mels = (RNG.normal(size=(1, 100_000)) - 1e4).astype(np.float32)
    exact = log_mels.astype(np.float64)
    expected = [exact.mean(), exact.std(), np.diff(exact).std()]
    assert np.abs(statistics(log_mels, tuple(STATISTICS)) - expected).max() < 1e-8


def test_a_set_has_the_statistics_of_all_of_its_windows():
    audio = AudioSettings(rate=8000, high_hz=3800, segment_seconds=0.5, segments=3, mel_bands=16)
    waveform = RNG.normal(size=8000).astype(np.float32)
    found = SoundFeatures("detailed", audio)(waveform)
    names = ("mean", "deviation", "change")
    fine = dataclasses.replace(audio, window_seconds=0.032, hop_seconds=0.008, mel_bands=40)
    parts = [statistics(FrontEnd(one)(waveform), names) for one in (audio, fine)]
    assert found.shape == (3, 3 * 16 + 3 * 40)
    assert np.array_equal(found, np.concatenate(parts, axis=1))
    simple = SoundFeatures("simple", audio)(waveform)
    assert np.array_equal(simple, found[:, : 2 * 16])
    given = SoundFeatures("detailed", audio)(waveform, FrontEnd(audio)(waveform))
    assert np.array_equal(given, found)


def test_the_level_is_of_the_whole_clip_and_around_its_mean():
    audio = AudioSettings(rate=8000, high_hz=3800, segment_seconds=0.5, segments=3, mel_bands=16)
    waveform = RNG.normal(size=8000).astype(np.float32)
    found = SoundFeatures("level", audio)(0.1 * waveform + 0.25)
    assert found.shape == (3, 1)
    assert np.ptp(found) == 0
    assert found[0, 0] == pytest.approx(20 * np.log10(0.1 * waveform.std()), abs=1e-4)
    with pytest.raises(UserError, match="silent"):
        SoundFeatures("level", audio)(np.full(8000, 0.5, np.float32))
    with pytest.raises(UserError, match="0.25 s long"):
        SoundFeatures("level", audio)(waveform[:2000])


def test_sets_that_do_not_go_are_refused():
    with pytest.raises(UserError, match="'fancy' are unknown; there are simple, detailed, level"):
        SoundFeatures("fancy", AudioSettings())
    with pytest.raises(UserError, match="features detailed: mel band"):
        SoundFeatures("detailed", AudioSettings(rate=1000, high_hz=500, mel_bands=8))


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
