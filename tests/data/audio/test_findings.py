"""Every kind of finding in a set of clips, planted by hand, found by name; nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from mindspore_dpus.data.audio.clipping import share_clipped
from mindspore_dpus.data.audio.clips import COLUMNS as CLIP_COLUMNS
from mindspore_dpus.data.audio.findings import SEVERITY, audit_clips
from mindspore_dpus.data.audio.measures import (
    NOTHING,
    measure_clip,
    measure_clips,
    share_silent,
)
from mindspore_dpus.data.findings import COLUMNS

RATE = 16000


def noise(seed, seconds=0.5, rate=RATE):
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * rate))


class Data:
    """A data set in the making: clips written, rows of a sample table kept."""

    def __init__(self, root):
        self.root, self.rows = root, []

    def add(self, name, samples, split="train", label="normal", group="", machine="fan", **options):
        section = "" if machine == "outlier" else options.pop("section", "00")
        rate = options.pop("rate", RATE)
        if isinstance(samples, bytes):
            (self.root / name).write_bytes(samples)
        else:
            soundfile.write(self.root / name, samples, rate, **options)
        self.rows.append((name, machine, section, "source", split, label, "", group))

    def audit(self, **options):
        samples = pd.DataFrame(self.rows, columns=CLIP_COLUMNS)
        measures = measure_clips(samples["path"], self.root, channel="mean")
        found = audit_clips(samples, measures, **({"rate": RATE, "segment_seconds": 0.3} | options))
        assert list(found) == COLUMNS
        return found

    def found(self, **options):
        """Kind -> (path, other) of its findings, without the class counts."""
        table = self.audit(**options)
        table = table[table["kind"] != "class_count"]
        parts = table.groupby("kind", sort=False)
        return {kind: list(zip(part["path"], part["other"], strict=True)) for kind, part in parts}


@pytest.fixture
def data(tmp_path):
    """Six normal training clips; three normal and three anomalous test clips."""
    made = Data(tmp_path)
    for i in range(12):
        split, label = ("test", "anomaly" if i > 8 else "normal") if i > 5 else ("train", "normal")
        made.add(f"{i}.wav", noise(i), split, label)
    return made


def test_nothing_is_found_where_nothing_is(data):
    assert data.found() == {}
    counts = data.audit()
    assert counts["detail"].tolist() == [
        "train: 6 fan 00 source normal",
        "test: 3 fan 00 source anomaly",
        "test: 3 fan 00 source normal",
    ]
    assert set(counts["severity"]) == {"note"}


def test_unreadable(data):
    data.add("x.wav", b"")
    data.add("y.wav", b"no sound", split="unused")
    found = data.audit()
    assert data.found() == {"unreadable": [("x.wav", ""), ("y.wav", "")]}
    assert found["severity"].tolist()[:2] == ["error", "error"]
    assert found["detail"][0].endswith("x.wav is empty (0 bytes)")


def test_copies_whatever_the_file(data):
    data.add("x.flac", soundfile.read(data.root / "0.wav")[0], "test")
    data.add("y.wav", soundfile.read(data.root / "1.wav")[0], subtype="PCM_24")
    assert data.found() == {
        "exact_duplicates_across_splits": [("x.flac", "0.wav")],
        "exact_duplicates": [("y.wav", "1.wav")],
        "depth_outlier": [("y.wav", "")],
    }


def test_copies_with_another_meaning(data):
    data.add("x.wav", soundfile.read(data.root / "6.wav")[0], "test", "anomaly")
    data.add("y.wav", soundfile.read(data.root / "0.wav")[0], section="01")
    found = data.audit()
    conflicts = found[found["kind"] == "conflicting_labels"]
    assert conflicts["detail"].tolist() == [
        "equal samples, but fan 01 normal and fan 00 normal",
        "equal samples, but fan 00 anomaly and fan 00 normal",
    ]


def test_a_group_in_two_splits(data):
    data.add("x.wav", noise(20), "train", group="day1")
    data.add("y.wav", noise(21), "train", group="day2")
    data.add("z.wav", noise(22), "test", group="day1")
    assert data.found() == {"groups_across_splits": [("z.wav", "x.wav")]}
    assert data.audit()["detail"][0] == "group day1: 1 clips in train and 1 clips in test"


def test_cut_off(data):
    # A slow wave stays at the limit for many samples.
    wave = np.clip(np.sin(2 * np.pi * 50 * np.arange(8000) / RATE), -0.5, 0.5)
    data.add("y.wav", wave)
    assert data.found() == {"clipped": [("y.wav", "")]}
    # Above 30 degrees of every half wave: two thirds.
    assert data.audit()["detail"][0] == "66.88% of the samples are cut off at -0.5 or 0.5"
    assert "clipped" not in data.found(clipped_share=0.7)


def test_silence(data):
    quiet = noise(20)
    quiet[:5000] = 0
    data.add("x.wav", quiet)
    data.add("y.wav", np.full(8000, 0.25))
    data.add("z.wav", np.full(8000, 0.25))
    found = data.audit()
    assert data.found() == {
        "constant_clip": [("y.wav", ""), ("z.wav", "")],
        "silent": [("x.wav", "")],
    }
    assert found["detail"][0] == "every sample is 0.25"
    assert "silent" not in data.found(silent_share=0.7)


def test_rates_and_lengths(data):
    data.add("x.wav", noise(20, rate=8000), rate=8000)
    data.add("y.wav", noise(21, rate=44100), rate=44100)
    data.add("z.wav", noise(22, seconds=0.2))
    data.add("w.wav", noise(23, seconds=1.0))
    # Outliers may have any length.
    data.add("o.wav", noise(24, seconds=1.0), machine="outlier", label="rain")
    found = data.audit()
    assert data.found() == {
        "too_short": [("z.wav", "")],
        "sample_rate": [("x.wav", ""), ("y.wav", "")],
        "length_outlier": [("z.wav", ""), ("w.wav", "")],
    }
    rates = found[found["kind"] == "sample_rate"]["detail"].tolist()
    assert rates[0].endswith(
        "8000 samples per second where 16000 are needed: it is resampled, and has nothing above 4000 Hz"
    )
    assert rates[1].endswith("it is resampled")


def test_formats(data):
    data.add("x.wav", np.stack([noise(20)] * 2, 1))
    data.add("y.wav", noise(21), subtype="PCM_24")
    soundfile.write(data.root / "f.flac", noise(22), RATE)
    data.add("z.wav", (data.root / "f.flac").read_bytes())
    data.add("w.wave", noise(23), format="WAV")
    assert data.found() == {
        "channels_outlier": [("x.wav", "")],
        "depth_outlier": [("y.wav", "")],
        "wrong_ending": [("z.wav", "")],
    }


def test_a_section_without_training(data):
    data.add("x.wav", noise(20), "test", section="03")
    data.add("y.wav", noise(21), "train", "anomaly", section="04")
    data.add("z.wav", noise(22), "", section="05")
    data.add("o.wav", noise(23), machine="outlier", label="rain")
    assert data.found() == {"untrained_section": [("x.wav", ""), ("y.wav", "")]}


def test_unused_clips_need_only_be_readable(data):
    data.add("x.wav", soundfile.read(data.root / "0.wav")[0], "unused")
    data.add("y.wav", np.zeros(100), "unused")
    assert data.found() == {}


def test_errors_that_are_allowed_are_warnings(data):
    data.add("x.wav", soundfile.read(data.root / "0.wav")[0], "test")
    assert data.audit()["severity"][0] == "error"
    kind = "exact_duplicates_across_splits"
    assert data.audit(allow=(kind,))["severity"][0] == "warning"
    # A note stays one.
    assert set(data.audit(allow=("class_count",))["severity"][1:]) == {"note"}
    with pytest.raises(ValueError, match="allow names 'noise'"):
        data.audit(allow=("noise",))


def test_the_gravest_come_first(data):
    data.add("x.wav", noise(20, rate=8000), rate=8000)
    data.add("y.wav", b"")
    rank = [list(SEVERITY).index(kind) for kind in data.audit()["kind"]]
    assert rank == sorted(rank)


def test_measures(tmp_path):
    soundfile.write(tmp_path / "x.wav", [[0.5, 0.5], [-0.25, -0.25]] * 100, 8000, subtype="PCM_24")
    row = measure_clip(tmp_path / "x.wav", channel="mean")
    assert list(row) == list(NOTHING)
    content = row.pop("content")
    assert len(content) == 32
    assert row == {
        "error": "",
        "kind": "WAV",
        "rate": 8000,
        "seconds": 0.025,
        "channels": 2,
        "subtype": "PCM_24",
        "low": -0.25,
        "high": 0.5,
        "share_clipped": 0.0,
        "share_silent": 0.0,
    }
    soundfile.write(tmp_path / "y.wav", [0.5, -0.25] * 100, 16000)
    assert measure_clip(tmp_path / "y.wav", channel="mean")["content"] != content


def test_shares():
    wave = np.array([0, 1, 1, 1, 0, -1, -1, 0, 1, 1, 0, -1, -1, -1, -1, 0.5], np.float32)
    # The run of three above and that of four below; runs of two are peaks.
    assert share_clipped(wave) == 7 / 16
    assert share_clipped(np.zeros(9, np.float32)) == 0
    levels = np.repeat([1.0, 1e-4, 0.0, 1.0], 10) * np.tile([1.0, -1.0], 20)
    assert share_silent(levels, 10) == 0.5
    assert share_silent(levels, 100) == 0
    # An offset is no sound.
    assert share_silent(levels + 3, 10) == 0.5
    assert share_silent(np.full(20, 0.3), 10) == 1
