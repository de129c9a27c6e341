"""Clips decoded once: any length, rate and format; killed and resumed; and what cannot be read."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.arrays import save_array
from mindspore_dpus.data.audio import waveforms
from mindspore_dpus.data.audio.reading import read_clip
from mindspore_dpus.data.audio.waveforms import build_waveforms, open_waveforms, waveforms_path

RATE = 16000


@pytest.fixture
def root(tmp_path):
    """Five clips: two of one length, a shorter one, 8 kHz stereo, 24-bit FLAC."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape, rate, subtype in (
        ("a.wav", 900, RATE, "PCM_16"),
        ("b.wav", 900, RATE, "FLOAT"),
        ("c.wav", 500, RATE, "PCM_16"),
        ("d.wav", (400, 2), 8000, "PCM_16"),
        ("e.flac", 1000, RATE, "PCM_24"),
    ):
        soundfile.write(folder / name, 0.1 * rng.normal(size=shape), rate, subtype=subtype)
    return folder


NAMES = ["a.wav", "b.wav", "c.wav", "d.wav", "e.flac"]


def build(root, names=tuple(NAMES), channel="mean", **options):
    folder = root.parent / "cache"
    build_waveforms(
        list(names), root, folder, root.parent / "bad.csv", rate=RATE, channel=channel, **options
    )
    return open_waveforms(folder)


def test_every_clip_is_what_reading_gives(root, monkeypatch):
    pytest.importorskip("soxr", reason="a clip is resampled")
    # Two rows a file.
    monkeypatch.setattr(waveforms, "PART", 2 * 4 * 1000)
    made = build(root)
    assert len(made) == 5
    assert len(made.samples.parts) == 3
    assert made.lengths.tolist() == [900, 900, 500, 800, 1000]
    for number, name in enumerate(NAMES):
        expected = read_clip(root / name, channel="mean", rate=RATE).samples
        np.testing.assert_array_equal(made[number], expected)
    np.testing.assert_array_equal(made.samples[2][500:], 0)


@pytest.mark.parametrize(
    ("names", "channel", "dtype"),
    [
        (["a.wav", "c.wav"], "mean", np.int16),
        (["a.wav", "b.wav"], "mean", np.float32),  # One of floating point.
        (["a.wav", "e.flac"], "mean", np.float32),  # One of 24 bits.
        (["a.wav", "s.wav"], "mean", np.float32),  # A mean of two channels has half steps.
        (["a.wav", "s.wav"], 0, np.int16),
        (["a.wav", "d.wav"], "mean", np.float32),  # Resampled.
    ],
)
def test_16_bits_are_kept_where_that_loses_nothing(root, names, channel, dtype):
    pytest.importorskip("soxr", reason="a clip is resampled")
    rng = np.random.default_rng(1)
    soundfile.write(root / "s.wav", np.clip(rng.normal(size=(700, 2)), -1, 1), RATE)
    made = build(root, names, channel)
    assert made.samples.dtype == dtype
    for number, name in enumerate(names):
        expected = read_clip(root / name, channel=channel, rate=RATE).samples
        assert made[number].dtype == np.float32
        np.testing.assert_array_equal(made[number], expected)


def test_rows_of_one_length_are_stacked(root):
    made = build(root, ["a.wav", "c.wav", "b.wav"])
    rows = made.rows(np.array([2, 0]))
    np.testing.assert_array_equal(rows, np.stack([made[2], made[0]]))
    with pytest.raises(UserError, match="clips of 500 to 900 samples cannot be stacked"):
        made.rows(np.array([0, 1]))


def test_a_channel_is_chosen(root):
    soundfile.write(root / "s.wav", np.array([[0.5, -0.5]] * 300), RATE)
    assert (build(root, ["s.wav"], channel=1)[0] == -0.5).all()


def test_what_is_there_is_not_read_again(root):
    first = build(root, ["a.wav", "b.wav"])[1].copy()
    for file in root.iterdir():
        file.unlink()
    np.testing.assert_array_equal(build(root, ["a.wav", "b.wav"])[1], first)


def test_a_broken_off_build_goes_on(root, monkeypatch):
    monkeypatch.setattr(waveforms, "PART", 4 * 900)
    read, calls = waveforms.read_clip, []

    def counted(path, **options):
        calls.append(path.name)
        if path.name == "b.wav" and calls.count("b.wav") == 1:
            raise KeyboardInterrupt
        return read(path, **options)

    monkeypatch.setattr(waveforms, "read_clip", counted)
    with pytest.raises(KeyboardInterrupt):
        build(root, ["a.wav", "b.wav", "c.wav"])
    made = build(root, ["a.wav", "b.wav", "c.wav"])
    assert sorted(calls) == ["a.wav", "b.wav", "b.wav", "c.wav"]
    np.testing.assert_array_equal(made[1], read(root / "b.wav", channel="mean", rate=RATE).samples)


@pytest.mark.parametrize("in_header", [True, False])
def test_all_that_cannot_be_read_are_listed(root, in_header):
    if in_header:
        (root / "a.wav").write_bytes(b"")
        (root / "c.wav").write_text("no sound")
    else:
        for name in ("a.wav", "c.wav"):
            soundfile.write(root / name, [np.nan] * 10, RATE, subtype="FLOAT")
    listing = root.parent / "bad.csv"
    with pytest.raises(UserError, match=r"a.wav .* \(2 of 3 clips cannot be used; all are listed in"):
        build(root, ["a.wav", "b.wav", "c.wav"])
    assert pd.read_csv(listing)["path"].tolist() == ["a.wav", "c.wav"]
    assert not (root.parent / "cache").exists()
    build(root, ["b.wav"])
    assert not listing.exists()


def test_nothing_to_decode(root):
    with pytest.raises(UserError, match="there are no clips"):
        build(root, [])


def test_torn_arrays_are_noticed(root):
    build(root, ["a.wav", "b.wav"])
    cache = root.parent / "cache"
    save_array(cache / "lengths/00000.npy", np.array([[900, 1], [700, 0]]))
    assert open_waveforms(cache).lengths.tolist() == [900, 700]
    save_array(cache / "lengths/00000.npy", np.array([[800, 1], [700, 0]]))
    with pytest.raises(UserError, match="is damaged; delete it"):
        open_waveforms(cache)


def test_the_folder_depends_on_what_is_decoded_and_how(tmp_path):
    def path(content="x", rate=RATE, channel="mean"):
        return waveforms_path(tmp_path, content, rate=rate, channel=channel)

    others = {path(), path("y"), path(rate=8000), path(channel=0), path(channel=1)}
    assert len(others) == 5
    assert path() == path()
    assert path().parent == tmp_path
