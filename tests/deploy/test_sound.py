"""Recordings, and sound as it comes, become a table: rows that are there whatever ends the program."""

import io
import json
import os
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import soundfile

from mindspore_dpus.core.errors import Terminated, UserError
from mindspore_dpus.data.audio.front_end import FrontEnd
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.data.audio.stream import pcm_blocks
from mindspore_dpus.deploy.sound import predict_sound, predict_stream, sound_row
from mindspore_dpus.deploy.sound_scorer import SoundScore

RATE = 1000


@dataclass
class Loudness:
    """A scorer whose score is the mean amplitude; its process dies after so many calls."""

    calls: int = 99
    mark: str = "loud"
    front: FrontEnd = field(
        default_factory=lambda: FrontEnd(
            AudioSettings(rate=RATE, segment_seconds=0.1, window_seconds=0.05, high_hz=400, mel_bands=4)
        )
    )
    seen: list[float] = field(default_factory=list)

    def find(self, machine, section):
        if machine != "fan":
            raise UserError(f"training never saw the machine {machine!r}")

    def score(self, waveform, machine, section):
        self.find(machine, section)
        if len(self.seen) == self.calls:
            raise KeyboardInterrupt
        self.seen.append(float(np.abs(waveform).mean()))
        return SoundScore(self.seen[-1], 0.45, 0.5, np.array([self.seen[-1]]), np.array([0.0]))


@pytest.fixture
def clips(tmp_path):
    """Six recordings, each louder than the one before; the third is no sound."""
    files = [tmp_path / "in" / f"{i}.wav" for i in range(6)]
    files[0].parent.mkdir()
    for i, file in enumerate(files):
        soundfile.write(file, np.full(RATE, i / 10) * np.where(np.arange(RATE) % 2, 1, -1), RATE)
    files[2].write_bytes(b"no sound")
    return files


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_interrupted_start_is_gone_on_with(clips, tmp_path, ending):
    output = tmp_path / f"out.{ending}"
    with pytest.raises(KeyboardInterrupt):
        predict_sound(Loudness(calls=3), clips, output, "fan", "00")
    (part,) = tmp_path.glob("out.*.part")
    assert len(part.read_text().splitlines()) == 4 + (ending == "csv")
    again = Loudness()
    summary = predict_sound(again, clips, output, "fan", "00")
    assert len(again.seen) == 2
    counted = summary.rows, summary.kept, summary.anomalous, summary.unscored, summary.look
    assert counted == (6, 4, 1, 1, 2)
    assert "6 recordings, 4 of them by an earlier start, 1 anomalous" in summary.lines(output)[0]
    at_once = tmp_path / f"at_once.{ending}"
    predict_sound(Loudness(), clips, at_once, "fan", "00")
    assert output.read_bytes() == at_once.read_bytes()
    assert not part.exists()


@pytest.mark.parametrize("change", [{"mark": "other"}, {"section": "01"}, {"touched": True}])
def test_rows_of_other_makings_are_not_gone_on_with(clips, tmp_path, change):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_sound(Loudness(calls=3), clips, output, "fan", "00")
    if "touched" in change:
        os.utime(clips[0], (2e9, 2e9))
    scorer = Loudness(mark=change.get("mark", "loud"))
    assert predict_sound(scorer, clips, output, "fan", change.get("section", "00")).kept == 0


def test_a_name_that_is_not_utf_8_has_its_row(clips, tmp_path):
    name = tmp_path / "in" / os.fsdecode(b"caf\xe9\n.wav")
    folder = tmp_path / os.fsdecode(b"\xb7\xe7") / "test"
    folder.mkdir(parents=True)
    odd = folder / "section_00_test_0000.wav"
    for file in (name, odd):
        file.hardlink_to(clips[1])
    missing = tmp_path / os.fsdecode(b"\xff.wav")
    for ending in ("csv", "jsonl"):
        predict_sound(Loudness(), [name, odd, missing], tmp_path / f"out.{ending}", section="00")
    assert predict_sound(Loudness(), [name, missing], tmp_path / "a.csv", "fan", "00").unscored == 1
    row, lost = pd.read_csv(tmp_path / "a.csv", keep_default_na=False).itertuples()
    assert row.path.endswith(r"/caf\udce9\n.wav")
    assert float(row.score) == pytest.approx(0.1, abs=1e-4)
    assert lost.error.endswith(r"\udcff.wav does not exist")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[1]["machine"] == r"\udcb7\udce7"
    assert "never saw the machine" in rows[1]["error"]


@pytest.mark.parametrize("name", ["more", "section_00_test_0000.wav"])
def test_a_link_that_leads_nowhere_has_its_row(tmp_path, name):
    (tmp_path / name).symlink_to("/not/mounted")
    row = sound_row(Loudness(), tmp_path / name, None, None)
    assert row["error"] == f"{tmp_path / name} is a link to /not/mounted, which does not exist"


def test_an_output_that_is_a_folder_is_refused_before_anything_is_scored(clips, tmp_path):
    scorer = Loudness()
    with pytest.raises(UserError, match="is a folder; name a file"):
        predict_sound(scorer, clips, tmp_path / "in", "fan", "00")
    with pytest.raises(UserError, match="is a folder; name a file"):
        _stream(scorer, [np.zeros(RATE, np.float32)], tmp_path / "in")
    assert scorer.seen == []


def _stream(scorer, blocks, output, machine="fan", lines=None):
    report = print if lines is None else lines.append
    keys = {"window_seconds": 1.0, "hop_seconds": 1.0, "report": report}
    return predict_stream(scorer, iter(blocks), output, machine, "00", **keys)


def _ended_by(error, seconds):
    for i in range(seconds):
        yield np.full(RATE, i / 10, np.float32)
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated])
def test_ctrl_c_ends_a_stream_and_its_table_is_there(tmp_path, error):
    output, lines = tmp_path / "out.csv", []
    summary = _stream(Loudness(), _ended_by(error(), 6), output, lines=lines)
    assert pd.read_csv(output)["path"].tolist() == [f"{i} s" for i in range(6)]
    assert (summary.rows, summary.anomalous) == (6, 1)
    assert lines[5] == "5 s 0.500"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_what_a_stream_was_scored_to_is_there_when_it_breaks_off(tmp_path):
    output = tmp_path / "out.csv"
    source = io.BytesIO(b"\0" * (2 * 2 * RATE + 1))
    with pytest.raises(UserError, match="ends within a sample, after 2000"):
        _stream(Loudness(), pcm_blocks(source, sample_format="s16le", block=RATE), output)
    assert len(pd.read_csv(output)) == 2
    # An older table is not replaced by an empty one.
    with pytest.raises(UserError, match="broken"):
        _stream(Loudness(), _ended_by(UserError("broken"), 0), output)
    with pytest.raises(UserError, match="never saw"):
        _stream(Loudness(), [], output, machine="ship")
    assert len(pd.read_csv(output)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def _stopped(seconds):
    yield np.zeros(round(seconds * RATE), np.float32)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("blocks", "seconds"),
    [([], 0), ([np.zeros(RATE // 2, np.float32)], 0.5), (_stopped(0.25), 0.25)],
)
def test_a_stream_that_fills_no_window_is_told(tmp_path, blocks, seconds):
    output = tmp_path / "out.csv"
    output.write_text("older")
    words = (
        rf"ended after {seconds} s of sound, before a window of 1 s was full: nothing was scored\. Look"
    )
    with pytest.raises(UserError, match=words):
        _stream(Loudness(), blocks, output)
    assert output.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_a_stream_ends_with_a_summary_of_its_windows(tmp_path):
    summary = _stream(
        Loudness(), [np.full(RATE, i / 2, np.float32) for i in range(3)], tmp_path / "o.csv"
    )
    line = f"{tmp_path / 'o.csv'}: 3 windows, 2 anomalous, 0 without a score"
    assert summary.lines(tmp_path / "o.csv", "windows") == [line]
