"""What a finished run is there for: the same scores by the run, its export and a stream."""

import io
import itertools
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from mindspore_dpus import systems
from mindspore_dpus.cli import evaluate, export, predict
from mindspore_dpus.cli.systems import machine_sound_predict
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.audio.stream import microphone_blocks, windows
from mindspore_dpus.deploy import sound_watch
from mindspore_dpus.deploy.onnx_sound import OnnxSoundPredictor
from mindspore_dpus.deploy.sound import sound_row, stream_rows
from mindspore_dpus.systems.machine_sound import evaluation
from tests.support import logged
from tests.systems.machine_sound.conftest import tiny

pytest.importorskip("onnxruntime", reason="exports need it")


@pytest.fixture(scope="module")
def scorer(finished):
    return evaluation.load_scorer(finished.path)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    assert evaluation.export(finished.path, folder)[1] <= 1e-4
    return OnnxSoundPredictor(folder)


def test_run_and_export_give_the_scores_of_the_test(finished, scorer, exported):
    table = read_table(finished / "scores.csv").astype({"score": float, "decision": int})
    for row in table.iloc[::5].itertuples():
        path = finished / "data" / row.path
        for one in (scorer, exported):
            found = sound_row(one, path, None, None)
            assert found["error"] == ""
            assert found["score"] == pytest.approx(row.score, abs=1e-4)
            assert (found["machine"], found["section"]) == (row.machine, row.section)
            assert found["decision"] == row.decision


def test_a_stream_has_the_scores_of_its_windows(finished, scorer):
    names = sorted((finished / "data").glob("dev_data/fan/test/section_00*.wav"))[:3]
    sound = np.concatenate([soundfile.read(name, dtype="float32")[0] for name in names])
    rows = list(
        stream_rows(
            *(scorer, iter(np.array_split(sound, 13)), "fan", "00"),
            window_seconds=1.0,
            hop_seconds=0.5,
        )
    )
    batch = [scorer.score(w, "fan", "00").score for w in windows(sound, 8000, 4000)]
    assert [row["score"] for row in rows] == batch
    assert len(batch) == 5


def test_files_that_cannot_be_scored_have_rows(finished, scorer, tmp_path):
    good = next((finished / "data").glob("dev_data/fan/test/section_00*.wav"))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:3000])
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).normal(size=800) / 9, 8000)
    for name, words in (
        ("empty", "empty"),
        ("cut", "cut"),
        ("silent", "silent"),
        ("short", "0.1 s"),
        ("missing", "does not exist"),
    ):
        row = sound_row(scorer, tmp_path / f"{name}.wav", "fan", "00")
        assert words in row["error"]
        assert row["score"] == ""
    assert "never saw section '07'" in sound_row(scorer, good, "fan", "07")["error"]
    assert "never saw the machine 'ship'" in sound_row(scorer, good, "ship", "00")["error"]
    assert "manifest" in sound_row(scorer, tmp_path / "x.wav", None, None)["error"]


def test_odd_formats_are_scored_by_an_export(finished, exported, tmp_path):
    pytest.importorskip("soxr", reason="it resamples")
    good = sorted((finished / "data").glob("dev_data/fan/test/section_00*.wav"))[0]
    samples, rate = soundfile.read(good)
    files = {"plain": (samples, rate, "PCM_16"), "stereo": (np.stack([samples] * 2, 1), rate, "PCM_16")}
    files["deep"] = (samples, rate, "PCM_24")
    files["fast"] = (np.repeat(samples, 2), 2 * rate, "PCM_16")
    files["clipped"] = (np.clip(20 * samples, -1, 1), rate, "PCM_16")
    rows = {}
    for name, (values, its_rate, subtype) in files.items():
        soundfile.write(tmp_path / f"{name}.wav", values, its_rate, subtype=subtype)
        rows[name] = sound_row(exported, tmp_path / f"{name}.wav", "fan", "00")
    assert all(row["error"] == "" for row in rows.values())
    assert rows["stereo"]["score"] == rows["plain"]["score"]
    assert rows["deep"]["score"] == pytest.approx(rows["plain"]["score"], abs=1e-3)
    assert all(np.isfinite(row["score"]) for row in rows.values())
    assert [rows[name]["note"] for name in ("plain", "stereo", "deep", "fast")] == [""] * 4
    assert re.fullmatch(r"\d+\.\d% of its samples are clipped", rows["clipped"]["note"])
    soundfile.write(tmp_path / "slow.wav", samples[::2], rate // 2)
    note = sound_row(exported, tmp_path / "slow.wav", "fan", "00")["note"]
    assert note.startswith(f"{rate // 2} samples a second, fewer than the {rate} that are looked at")


def test_commands(finished, tmp_path, monkeypatch, capsys):
    model, output = tmp_path / "model", tmp_path / "scores.csv"
    export.main([f"--run={finished.path}", f"--output={model}"])
    clips = str(finished / "data" / "dev_data" / "fan" / "test")
    assert predict.main([f"--model={model}", clips, f"--output={output}"]) in (0, 1)
    table = read_table(output)
    assert len(table) == 20
    assert (table["error"] == "").all()
    assert "20 recordings" in capsys.readouterr().out
    raw = (np.random.default_rng(0).normal(size=12000) * 3000).astype("<i2").tobytes()
    monkeypatch.setattr(sys, "stdin", type("Pipe", (), {"buffer": io.BytesIO(raw)}))
    keys = ["--machine=fan", "--section=00", "--window=1", "--hop=0.25", f"--output={output}"]
    predict.main([f"--model={model}", "--stream=s16le", *keys])
    assert len(read_table(output)) == 3
    assert re.search(r": 3 windows, \d anomalous, 0 without a score\n$", capsys.readouterr().out)
    # The recorder failed to start: the table of before stays.
    monkeypatch.setattr(sys, "stdin", type("Pipe", (), {"buffer": io.BytesIO(b"")}))
    assert predict.main([f"--model={model}", "--stream=s16le", *keys]) == 2
    assert capsys.readouterr().err.startswith(
        "error: the stream ended after 0 s of sound, before a window"
    )
    assert len(read_table(output)) == 3
    evaluate.main([f"--run={finished.path}", f"--output={tmp_path / 'evaluated'}"])
    first, again = (
        read_table(folder / "scores.csv").astype({"score": float}).set_index("path")["score"]
        for folder in (finished, tmp_path / "evaluated")
    )
    assert np.abs(first - again.reindex(first.index)).max() < 1e-4
    assert len(list((tmp_path / "evaluated" / "challenge").glob("*.csv"))) == 8


def test_an_export_that_was_changed_is_refused(finished, tmp_path):
    folder, _ = evaluation.export(finished.path, tmp_path / "model")
    with open(folder / "scaling.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="scaling.npz is not the file"):
        OnnxSoundPredictor(folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="holds other files"):
        evaluation.export(finished.path, tmp_path / "mine")


def test_detailed_features_and_all_systems_go_through_every_product(finished, tmp_path):
    changes = {"extractors__networks": "[]", "extractors__options": "{}", "ensemble__size": "null"}
    changes |= {"simple__sets": "[simple,detailed]", "detectors__names": "[knn,mahalanobis]"}
    changes |= {
        "simulate__enabled": False,
        "data__root": finished / "data",
        "evaluation__n_bootstrap": 0,
    }
    run = systems.train(tiny(tmp_path / "run", **changes))
    chosen = read_json(run / "selection.json")["generalised"]["both"]["members"]["fan"]
    # Two sets, three models (KNN of two sizes, and Mahalanobis), four aggregators: none is left out.
    assert len(chosen) == len(set(chosen)) == 2 * 3 * 4
    columns = read_table(run / "system_scores.csv")
    mean = columns[list(chosen)].astype(float).mean(axis=1).to_numpy()
    table = read_table(run / "scores.csv").astype({"score": float})
    assert np.abs(table["score"] - mean).max() < 1e-9
    folder, difference = evaluation.export(run.path, tmp_path / "model")
    assert difference < 1e-9
    model = OnnxSoundPredictor(folder)
    for row in table.iloc[::7].itertuples():
        found = sound_row(model, finished / "data" / row.path, None, None)
        assert found["score"] == pytest.approx(row.score, abs=1e-6)


@pytest.fixture
def inbox(finished, tmp_path):
    folder = tmp_path / "inbox" / "fan" / "test"
    folder.mkdir(parents=True)
    good = sorted((finished / "data").glob("dev_data/fan/test/section_00*.wav"))[0]
    shutil.copy(good, folder)
    (folder / "section_00_source_test_normal_0007.wav").write_bytes(good.read_bytes()[:3000])
    (folder / "notes.pdf").write_text("")
    return folder


def test_recordings_are_named_as_images_are(inbox, tmp_path):
    (good,) = inbox.glob("*0000*.wav")
    (tmp_path / "linked").symlink_to(inbox)
    (tmp_path / "lost.wav").symlink_to("/not/mounted.wav")
    (tmp_path / "list.csv").write_text(f"path\nlinked\\{good.name}\n")
    cut = inbox / "section_00_source_test_normal_0007.wav"
    linked = [tmp_path / "linked" / file.name for file in sorted((good, cut))]
    lines = []
    with logged(lines.append):
        assert machine_sound_predict._files([str(tmp_path / "linked")]) == linked
        assert machine_sound_predict._files([f"{tmp_path}/l*"]) == [*linked, tmp_path / "lost.wav"]
    assert lines == [
        f"{tmp_path}/linked: passed over: 1 .pdf",
        f"{tmp_path}/l*: passed over: 1 .pdf",
    ]
    assert machine_sound_predict._files([str(tmp_path / "list.csv")]) == [
        tmp_path / "linked" / good.name
    ]


def looks(monkeypatch, number):
    """Let a watcher look so many times, and end it as Ctrl-C does."""
    turns = iter(range(number))

    def sleep(seconds):
        if next(turns, None) is None:
            raise KeyboardInterrupt

    # Moments in which a file stands still, one a look.
    clock = SimpleNamespace(sleep=sleep, monotonic=itertools.count().__next__)
    monkeypatch.setattr(sound_watch, "time", clock)


def test_a_watched_folder_is_scored_once(finished, exported, inbox, tmp_path, monkeypatch):
    output, lines = tmp_path / "rows.csv", []
    watch = sound_watch.watch_sound
    looks(monkeypatch, 20)
    assert watch(exported, inbox, output, settle=1.0, report=lines.append)[0] == 2
    rows = read_table(output)
    assert sorted(rows["error"] != "") == [False, True]
    good = rows[rows["error"] == ""].iloc[0]
    direct = sound_row(exported, next(inbox.glob("*0000*.wav")), None, None)
    assert float(good["score"]) == direct["score"]
    assert any("is cut" in line for line in lines)
    assert any("passed over: 1 .pdf" in line for line in lines)
    looks(monkeypatch, 20)
    assert watch(exported, inbox, output, settle=1.0, report=lines.append) == (0, 0)
    assert len(read_table(output)) == 2
    monkeypatch.setattr(exported, "mark", "another")
    with pytest.raises(UserError, match="another model"):
        watch(exported, inbox, output)
    with pytest.raises(UserError, match="is not a folder"):
        watch(exported, inbox / "notes.pdf", output)


def test_whatever_is_raised_by_a_recording_the_watch_goes_on(exported, inbox, tmp_path, monkeypatch):
    def fail(path):
        raise RuntimeError("one\ntwo")

    monkeypatch.setattr(exported.front, "look", fail)
    looks(monkeypatch, 20)
    output = tmp_path / "rows.csv"
    watched = sound_watch.watch_sound(exported, inbox, output, settle=1.0, report=lambda line: None)
    assert watched == (2, 2)
    assert read_table(output)["error"].tolist() == ["one two", "one two"]


class Microphone:
    """What sounddevice is asked for, with sound of our own."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, sound, lost=False):
        self.sound, self.lost = sound, lost

    def InputStream(self, samplerate, channels, dtype):
        assert (samplerate, channels, dtype) == (8000, 1, "float32")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def read(self, number):
        if len(self.sound) < number:
            raise KeyboardInterrupt
        part, self.sound = self.sound[:number], self.sound[number:]
        return part[:, None], self.lost


def test_a_microphone_is_a_stream(finished, exported, tmp_path, monkeypatch, capsys):
    sound = (np.random.default_rng(0).normal(size=12000) * 0.1).astype(np.float32)
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(sound))
    model, output = exported.folder, tmp_path / "scores.csv"
    keys = ["--machine=fan", "--section=00", "--window=1", "--hop=0.25", f"--output={output}"]
    predict.main([f"--model={model}", "--stream=microphone", *keys])
    found = read_table(output)["score"].astype(float).tolist()
    expected = [exported.score(w, "fan", "00").score for w in windows(sound, 8000, 2000)]
    assert found == expected
    assert len(found) == 3
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(sound, lost=True))
    assert predict.main([f"--model={model}", "--stream=microphone", *keys]) == 2
    assert "samples of the microphone were lost" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match="pip install sounddevice"):
        next(microphone_blocks(rate=8000, block=1))
