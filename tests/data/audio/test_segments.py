"""Waveforms on one scale; segments that cover a clip evenly."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.segments import cut_segments, segment_starts, standardise


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


def test_cutting_keeps_every_sample_in_its_place():
    waveforms = np.arange(2 * 3 * 10.0).reshape(2, 3, 10)
    made = cut_segments(waveforms, seconds=0.4, number=3, rate=10)
    assert made.shape == (2, 3, 3, 4)
    for segment, start in enumerate([0, 3, 6]):
        np.testing.assert_array_equal(made[:, :, segment], waveforms[..., start : start + 4])
    made[:] = -1
    assert waveforms.min() == 0
