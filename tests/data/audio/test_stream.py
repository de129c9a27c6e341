"""A stream in blocks of any size gives the windows, and so the spectrograms, of the whole waveform."""

import io
import os

import numpy as np
import pytest
import soundfile

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.audio.logmel import LogMel
from mindspore_dpus.data.audio.segments import standardise
from mindspore_dpus.data.audio.stream import FORMATS, WindowStream, pcm_blocks, windows


def noise(n, seed=0):
    return np.random.default_rng(seed).normal(size=n).astype(np.float32)


def streamed(samples, length, hop, sizes):
    stream, found, place = WindowStream(length, hop), [], 0
    for size in sizes:
        found += stream.push(samples[place : place + size])
        place += size
    found += stream.push(samples[place:])
    assert stream.n_samples == len(samples)
    return found


@pytest.mark.parametrize("hop", [1, 3, 7, 10, 13, 25])
@pytest.mark.parametrize("sizes", [[1] * 101, [101], [0, 7, 50, 0, 2], [10] * 10, [9, 11] * 5])
def test_windows_are_those_of_the_whole(hop, sizes):
    samples = noise(101)
    found = streamed(samples, 10, hop, sizes)
    assert [start for start, _ in found] == list(range(0, 101 - 10 + 1, hop))
    for start, window in found:
        np.testing.assert_array_equal(window, samples[start : start + 10])
    np.testing.assert_array_equal(np.stack([window for _, window in found]), windows(samples, 10, hop))


def test_random_blocks():
    rng = np.random.default_rng(0)
    samples = noise(5000)
    for _ in range(20):
        length, hop = rng.integers(1, 400, 2)
        found = streamed(samples, length, hop, rng.integers(0, 300, 40))
        expected = windows(samples, length, hop)
        assert len(found) == len(expected) == 1 + (5000 - length) // hop
        np.testing.assert_array_equal(np.stack([window for _, window in found]), expected)


def test_a_window_comes_with_its_last_sample():
    stream = WindowStream(4, 2)
    counts = [len(stream.push(noise(1))) for _ in range(9)]
    assert counts == [0, 0, 0, 1, 0, 1, 0, 1, 0]


def test_windows_are_copies():
    stream = WindowStream(4, 4)
    ((_, first),) = stream.push(np.arange(4, dtype=np.float32))
    stream.push(np.full(4, 9, np.float32))
    assert first.tolist() == [0, 1, 2, 3]


def test_spectrograms_are_those_of_the_batch():
    samples, logmel = noise(40000), LogMel(rate=16000)
    batch = logmel(standardise(windows(samples, 8000, 4000)))
    found = streamed(samples, 8000, 4000, [1234] * 30)
    assert len(found) == len(batch) == 9
    for (_, window), expected in zip(found, batch, strict=True):
        np.testing.assert_array_equal(logmel(standardise(window)), expected)


def test_too_short_a_waveform_has_no_window():
    assert windows(noise(9), 10, 1).shape == (0, 10)
    assert WindowStream(10, 1).push(noise(9)) == []


def test_what_is_refused():
    for arguments in ((0, 1), (1, 0)):
        with pytest.raises(UserError, match="must be at least 1"):
            WindowStream(*arguments)
    with pytest.raises(TypeError, match="int16"):
        WindowStream(4, 1).push(np.zeros(3, np.int16))
    with pytest.raises(ValueError, match=r"shape \(3, 2\)"):
        WindowStream(4, 1).push(np.zeros((3, 2), np.float32))


@pytest.mark.parametrize(
    ("name", "subtype"), [("s16le", "PCM_16"), ("s32le", "PCM_32"), ("f32le", "FLOAT")]
)
def test_raw_samples_are_scaled_as_in_files(name, subtype):
    values = np.clip(0.3 * noise(1000), -1, 1)
    raw, wav = io.BytesIO(), io.BytesIO()
    soundfile.write(raw, values, 16000, format="RAW", subtype=subtype, endian="LITTLE")
    soundfile.write(wav, values, 16000, format="WAV", subtype=subtype)
    raw.seek(0)
    wav.seek(0)
    blocks = list(pcm_blocks(raw, sample_format=name, block=300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), soundfile.read(wav, dtype="float32")[0])


def test_every_format_was_tested():
    assert set(FORMATS) == {"s16le", "s32le", "f32le"}


def test_a_pipe_that_gives_little_at_a_time():
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as source, open(theirs, "wb", buffering=0) as sink:
        sink.write(b"\1\0\2")
        blocks = pcm_blocks(source, sample_format="s16le", block=2)
        sink.write(b"\0")
        assert (next(blocks) * 2**15).tolist() == [1, 2]
        sink.write(b"\3\0")
        sink.close()
        assert (next(blocks) * 2**15).tolist() == [3]
        assert list(blocks) == []


def test_streams_that_are_no_good():
    with pytest.raises(UserError, match="ends within a sample, after 2 whole ones"):
        list(pcm_blocks(io.BytesIO(b"\0" * 5), sample_format="s16le", block=2))
    with pytest.raises(UserError, match="'s24le' is unknown; there are s16le, s32le, f32le"):
        list(pcm_blocks(io.BytesIO(), sample_format="s24le", block=2))
    with pytest.raises(UserError, match="not numbers"):
        list(pcm_blocks(io.BytesIO(b"\xff" * 8), sample_format="f32le", block=2))
