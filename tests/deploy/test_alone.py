"""Prediction from an export needs what requirements/deploy.txt names (sound: deploy_sound.txt), and nothing
else."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mindspore_dpus.core.files import file_hash, write_json
from mindspore_dpus.core.settings import plain
from mindspore_dpus.data.arrays import save_arrays
from mindspore_dpus.data.audio.settings import AudioSettings
from mindspore_dpus.deploy.onnx_sound import FORMAT, OnnxSoundPredictor
from mindspore_dpus.deploy.sound import sound_row
from mindspore_dpus.detectors import DETECTORS, create_detector
from mindspore_dpus.detectors.archive import save_detectors
from mindspore_dpus.detectors.systems import BOTH, Model, System
from mindspore_dpus.features.simple_sound import Projection, SoundFeatures
from tests.deploy.conftest import expected_scores, write_grey

REPOSITORY = Path(__file__).parents[2]
# Every import of another package, and of what only Unix has, fails as if it were not installed.
ALONE = """
import importlib.abc, runpy, sys
allowed = {"numpy", "cv2", "onnxruntime", "tifffile", "PIL", "mindspore_dpus"}
allowed |= set(sys.stdlib_module_names) | set(sys.argv.pop(1).split(","))
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top.startswith("_sysconfigdata"):  # Of the standard library, and named after the machine.
            return None
        if top in {"fcntl", "resource", "pwd", "grp"} or (path is None and top not in allowed):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules.pop(name, None)
script, *sys.argv = sys.argv[1], *sys.argv[1:]
sys.path[0] = "."
runpy.run_path(script, run_name="__main__")
"""


# What sound may use besides: soundfile brings cffi and typing_extensions.
SOUND = (
    "scipy",
    "soundfile",
    "_soundfile",
    "_soundfile_data",
    "cffi",
    "_cffi_backend",
    "typing_extensions",
)


def alone(*args, more=()):
    return subprocess.run(
        [sys.executable, "-c", ALONE, ",".join(more), *map(str, args)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_tool_scores_a_folder_without_mindspore_and_the_rest(model, tmp_path):
    write_grey(tmp_path / "in" / "050.png", 50)
    write_grey(tmp_path / "in" / "200.tif", 200)
    output = tmp_path / "out.jsonl"
    done = alone("tools/predict.py", "--model", model, tmp_path / "in", "--output", output)
    assert (done.returncode, done.stderr) == (1, ""), done.stderr
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["predicted"] for row in rows] == ["normal", "defect"]
    assert [abs(r["score"] - expected_scores(g)[0]) < 1e-6 for r, g in zip(rows, (50, 200), strict=True)]
    assert re.search(r"2 images, 0 of them unreadable .*; \d+\.\d images/s\n", done.stdout)
    (tmp_path / "config.yaml").write_text("system: classification\n")
    done = alone("tools/predict.py", "--run", tmp_path, tmp_path / "in")
    assert done.returncode == 2
    assert re.fullmatch(r"error: --run needs \w+, which is not installed here: .*\n", done.stderr)
    (tmp_path / "in" / "200.tif").unlink()
    done = alone("tools/predict.py", "--model", model, tmp_path / "in", "--output", output)
    assert done.returncode == 0


def test_the_door_is_really_shut(tmp_path):
    names = ["mindspore", "pandas", "sklearn", "jsonargparse", "tqdm", "yaml", "fcntl"]
    script = tmp_path / "x.py"
    script.write_text(
        f"for name in {names}:\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    done = alone(script)
    assert done.stdout.splitlines() == [f"No module named {name!r}" for name in names], done.stderr


def test_sound_is_scored_without_scikit_learn(tmp_path):
    """Every kind of detector, fitted here and scored there, behind features of a front end of their own."""
    rng, audio = (
        np.random.default_rng(0),
        AudioSettings(rate=8000, high_hz=3800, mel_bands=8, segments=3),
    )
    rows = [(name, 2 if row.size else None) for name, row in DETECTORS.items()]
    features = SoundFeatures("simple", audio)
    normals = np.concatenate([features(rng.normal(size=8000 * 3).astype(np.float32)) for _ in range(20)])
    projection = Projection(6, scaled=True).fit(normals)
    place, systems, detectors, moments = "fan/00", [], {}, {}
    for name, size in rows:
        system = System(Model("simple", name, size, BOTH), "mean")
        detectors[f"{place}/{system.model.name}"] = create_detector(name, size, 0).fit(
            projection.transform(normals)
        )
        moments[system.name] = [0.5, 2.0]
        systems.append({**system.model._asdict(), "aggregator": system.aggregator})
    save_detectors(tmp_path / "detectors.npz", detectors)
    arrays = {f"{place}/simple/projection/{k}": v for k, v in projection.to_arrays().items()}
    save_arrays(tmp_path / "scaling.npz", arrays)
    section = {"threshold": 0.1, "has_target": False, "moments": moments}
    bundle = {
        "system": "machine_sound",
        "format": FORMAT,
        "audio": plain(audio),
        "scorer": {"kappa": 0.15, "sections": {"fan": {"00": section}}, "systems": {"fan": systems}},
        "sha256": {name: file_hash(tmp_path / name) for name in ("detectors.npz", "scaling.npz")},
    }
    write_json(tmp_path / "bundle.json", bundle)
    clip = tmp_path / "in" / "a.wav"
    clip.parent.mkdir()
    soundfile.write(clip, rng.normal(size=8000 * 3) * 0.1, 8000, subtype="FLOAT")
    expected = sound_row(OnnxSoundPredictor(tmp_path), clip, "fan", "00")
    output = tmp_path / "out.jsonl"
    whose = ("--machine", "fan", "--section", "00", "--output", output)
    done = alone("tools/predict.py", "--model", tmp_path, clip, *whose, more=SOUND)
    assert (done.returncode, done.stderr) == (expected["decision"], ""), done.stderr
    (row,) = map(json.loads, output.read_text().splitlines())
    assert (row["score"], row["error"]) == (expected["score"], "")


@pytest.fixture(scope="module")
def main():
    """The tool's entry point, in this process."""
    return runpy.run_path(str(REPOSITORY / "tools" / "predict.py"))["main"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["x.png"], "name a run with --run, an exported graph with --model"),
        (["--model", "no.onnx", "x.png"], "no.onnx does not exist"),
        (["--model", "no.onnx"], "name images to score, or a folder with --watch"),
        (["--model", "no.onnx", "x.png", "--watch", "."], "name images to score, or a folder"),
        (["--model", "no.onnx", "x.png", "--batch", "0"], "--batch is 0; it must be above 0"),
        (["--model", "no.onnx", "x.png", "--settle", "nan"], "--settle is nan; it must be above 0"),
        (["--model", "no.onnx", "x.png", "--device.target", "CPU"], "--device.target is for --run"),
        (["--model", "no.onnx", "nothing*.png"], "nothing*.png: no images there"),
        (["--run", "x", "x.png"], "x is no run folder"),
        (["--run", "{run}", "x.png", "--threads", "1"], "--threads is for --model"),
    ],
)
def test_a_wrong_call_is_one_line(main, monkeypatch, capsys, tmp_path, args, words):
    (tmp_path / "config.yaml").write_text("system: classification\n")
    given = [arg.format(run=tmp_path) for arg in args]
    monkeypatch.setattr(sys, "argv", ["predict.py", *given])
    assert main() == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert words in stderr
    assert stderr.count("\n") == 1


def test_a_watched_folder_must_be_there(main, model, monkeypatch, capsys, tmp_path):
    args = ["--model", str(model), "--watch", str(tmp_path / "no"), "--output", str(tmp_path / "o.csv")]
    monkeypatch.setattr(sys, "argv", ["predict.py", *args])
    assert main() == 2
    assert "is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()
