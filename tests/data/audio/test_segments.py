"""Waveforms on one scale; segments that cover a clip evenly."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.segments import segment_starts, standardise
from mindspore_dpus.data.audio.settings import AudioSettings


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_zero_and_variance_one(dtype):
    waveforms = (5 + 0.01 * np.random.default_rng(0).normal(size=(2, 3, 4000))).astype(dtype)
    made = standardise(waveforms)
    assert made.dtype == dtype
    assert made.shape == waveforms.shape
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(made.mean(-1, dtype=float), 0, atol=tolerance)
    np.testing.assert_allclose(made.var(-1, dtype=float), 1, atol=tolerance)
    np.testing.assert_array_equal(standardise(waveforms[1, 2]), made[1, 2])


def test_gain_and_offset_do_not_matter():
    waveform = np.random.default_rng(0).normal(size=500)
    np.testing.assert_allclose(standardise(waveform), standardise(3 * waveform - 7), atol=1e-12)


def test_by_hand():
    np.testing.assert_allclose(standardise(np.array([1.0, 3.0, 1.0, 3.0])), [-1, 1, -1, 1])


def test_silence_is_refused():
    waveforms = np.random.default_rng(0).normal(size=(3, 100))
    waveforms[1] = 0.25
    with pytest.raises(UserError, match="waveform 1 is silent"):
        standardise(waveforms)
    with pytest.raises(UserError, match="the waveform is silent"):
        standardise(waveforms[1])


def test_the_papers_segments_of_ten_seconds():
    starts = segment_starts(160000, 32000, 10)
    assert (starts[0], starts[-1] + 32000) == (0, 160000)
    # Nine steps share 8 s.
    np.testing.assert_allclose(np.diff(starts), 128000 / 9, atol=1)


@pytest.mark.parametrize(
    ("n", "length", "number", "expected"),
    [
        (10, 4, 3, [0, 3, 6]),
        (10, 5, 2, [0, 5]),
        (10, 5, 4, [0, 2, 3, 5]),
        (10, 10, 1, [0]),
        (10, 10, 3, [0, 0, 0]),
        (7, 2, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_starts(n, length, number, expected):
    assert segment_starts(n, length, number).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 10, 2), "a clip of 9 samples is shorter than a segment of 10"),
        ((21, 10, 2), "leave out parts of a clip of 21; take 3 segments or more"),
        ((11, 10, 1), "take 2 segments or more"),
        ((10, 10, 0), "must be at least 1"),
        ((10, 0, 1), "must be at least 1"),
    ],
)
def test_segments_that_cannot_be(arguments, message):
    with pytest.raises(UserError, match=message):
        segment_starts(*arguments)


def front(**changes):
    keys = {"rate": 8000, "high_hz": 3800, "segment_seconds": 0.5, "segments": 4, "mel_bands": 16}
    return FrontEnd(AudioSettings(**keys | changes))


def test_a_clips_segments_are_the_log_mels_of_its_standardised_parts():
    made, waveform = front(), np.random.default_rng(0).normal(3, 2, 9000).astype(np.float32)
    log_mel = LogMel(rate=8000, n_mels=16, high_hz=3800)
    whole = standardise(waveform)
    expected = [log_mel(whole[start : start + 4000]) for start in (0, 1667, 3333, 5000)]
    np.testing.assert_array_equal(made(waveform), expected)
    assert made(waveform).shape == (4, *made.shape)


def test_some_segments_are_the_same_as_among_all():
    made, waveform = front(), np.random.default_rng(0).normal(size=9000).astype(np.float32)
    every = made(waveform)
    for places in ([2], [3, 0], [1, 1]):
        np.testing.assert_array_equal(made.chosen(waveform, np.array(places)), every[places])
    with pytest.raises(UserError, match="the clip is 0.1 s long; at least 0.5 s"):
        made.chosen(waveform[:800], np.array([0]))
