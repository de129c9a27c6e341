"""Prediction from an exported graph needs what requirements/deploy.txt names, and nothing else."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import expected_scores, write_grey

REPOSITORY = Path(__file__).parents[2]
# Every import of another package, and of what only Unix has, fails as if it were not installed.
ALONE = """
import importlib.abc, runpy, sys
allowed = {"numpy", "cv2", "onnxruntime", "tifffile", "PIL", "mindspore_dpus"}
allowed |= set(sys.stdlib_module_names)
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"fcntl", "resource", "pwd", "grp"} or (path is None and top not in allowed):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules.pop(name, None)
script, *sys.argv = sys.argv[1], *sys.argv[1:]
sys.path[0] = "."
runpy.run_path(script, run_name="__main__")
"""


def alone(*args):
    return subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, args)],
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
