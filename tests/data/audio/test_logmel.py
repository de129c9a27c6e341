"""Log-mel spectrograms beside librosa's, and equal whatever they are computed together with."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.logmel import LogMel, hz_to_mel, mel_filters, mel_to_hz

RATE = 16000
REASON = "librosa is the reference, and only of the tests"


def noise(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.fixture
def librosa():
    return pytest.importorskip("librosa", reason=REASON)


def reference(librosa, waveform, top_db=None, htk=False, floor=1e-10, **more):
    options = {"n_fft": 2048, "hop_length": 256, "n_mels": 224, "fmin": 50, "fmax": 7800}
    power = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, pad_mode="reflect", htk=htk, **(options | more)
    )
    return librosa.power_to_db(power, amin=floor, top_db=top_db)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("seconds", [2.0, 0.777])
def test_as_librosa_in_64_bits(librosa, scale, seconds):
    waveform = noise(int(seconds * RATE))
    made = LogMel(rate=RATE, scale=scale)(waveform)
    assert made.dtype == np.float64
    # librosa's filters are of 32 bits, unless it is told otherwise.
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-10)):
        expected = reference(librosa, waveform, htk=scale == "htk", dtype=dtype)
        np.testing.assert_allclose(made, expected, rtol=0, atol=tolerance)


def test_as_librosa_where_the_power_has_a_floor(librosa):
    # A tone between silence: most bands would be at the logarithm of nothing.
    waveform = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    waveform[: RATE // 2] = 0
    for options in ({"top_db": 80.0}, {"top_db": None}, {"top_db": None, "floor": 1e-4}):
        made = LogMel(rate=RATE, **options)(waveform)
        np.testing.assert_allclose(
            made, reference(librosa, waveform, dtype=np.float64, **options), rtol=0, atol=1e-6
        )


def test_as_librosa_in_other_sizes(librosa):
    waveform = noise(8000)
    made = LogMel(
        rate=RATE, window_seconds=0.064, hop_seconds=0.032, n_mels=128, low_hz=0, high_hz=8000
    )(waveform)
    options = {"n_fft": 1024, "hop_length": 512, "n_mels": 128, "fmin": 0, "fmax": 8000}
    expected = reference(librosa, waveform, dtype=np.float64, **options)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_filters_as_librosas(librosa, scale):
    options = {"rate": RATE, "n_fft": 2048, "n_mels": 224, "low_hz": 50.0, "high_hz": 7800.0}
    expected = librosa.filters.mel(
        sr=RATE,
        n_fft=2048,
        n_mels=224,
        fmin=50,
        fmax=7800,
        htk=scale == "htk",
        dtype=np.float64,
    )
    np.testing.assert_allclose(mel_filters(**options, scale=scale), expected, rtol=0, atol=1e-14)


def test_32_bits_are_close_to_64():
    waveform = noise(2 * RATE)
    logmel = LogMel(rate=RATE)
    single = logmel(waveform.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, logmel(waveform), rtol=0, atol=5e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_clip_is_the_same_in_every_company(dtype):
    waveforms = noise(2, 3, 9001, dtype=dtype)
    logmel = LogMel(rate=RATE)
    made = logmel(waveforms)
    assert made.shape == (2, 3, 224, 1 + 9001 // 256)
    assert logmel.n_frames(9001) == made.shape[-1]
    np.testing.assert_array_equal(made[1, 2], logmel(waveforms[1, 2]))
    np.testing.assert_array_equal(made, LogMel(rate=RATE, workers=2)(waveforms))
    # Frames whose window does not touch the end: those of a longer clip.
    longer = logmel(np.concatenate([waveforms[0, 0], noise(5000, dtype=dtype, seed=1)]))
    inside = 1 + (9001 - 1024) // 256
    np.testing.assert_array_equal(made[0, 0, :, :inside], longer[:, :inside])


def test_the_papers_size():
    assert LogMel(rate=RATE)(noise(2 * RATE)).shape == (224, 126)


@pytest.mark.parametrize("hz", [100.0, 1000.0, 6000.0])
def test_a_tone_is_in_its_band(hz):
    made = LogMel(rate=RATE, n_mels=64)(np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE))
    corners = mel_to_hz(np.linspace(*hz_to_mel(np.array([50.0, 7800.0]), "slaney"), 66), "slaney")
    loudest = made.mean(axis=1).argmax()
    assert corners[loudest] < hz < corners[loudest + 2]


def test_silence_is_at_the_floor():
    np.testing.assert_array_equal(LogMel(rate=RATE)(np.zeros(RATE)), -100.0)


def test_scales_turn_back():
    hz = np.array([0.0, 50.0, 999.0, 1000.0, 1001.0, 7800.0])
    for scale in ("slaney", "htk"):
        np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-9)
    assert hz_to_mel(np.array([1000.0]), "slaney")[0] == pytest.approx(15)
    # The HTK scale was made so that 1000 Hz are about 1000 mel.
    assert hz_to_mel(np.array([1000.0]), "htk")[0] == pytest.approx(1000, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 8000}, "mel bands from 50 to 7800 Hz: at 8000 samples per second.* 0 and 4000"),
        ({"low_hz": 8000.0}, "mel bands from 8000 to 7800"),
        ({"low_hz": -1.0}, "mel bands from -1"),
        ({"n_mels": 2000}, "lies between two lines of an FFT of 2048"),
        ({"scale": "bark"}, "mel scale 'bark' is unknown; there are slaney and htk"),
        ({"window_seconds": 2047 / RATE}, "the window needs an even number"),
        ({"hop_seconds": 0.0}, "the hop one or more"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        LogMel(**({"rate": RATE} | options))


def test_waveforms_that_cannot_be():
    logmel = LogMel(rate=RATE)
    with pytest.raises(UserError, match="1024 samples is too short .* 1025 are needed"):
        logmel(noise(1024))
    assert np.isfinite(logmel(noise(1025))).all()
    with pytest.raises(TypeError, match="int16"):
        logmel(np.zeros(5000, np.int16))
