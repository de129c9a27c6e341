"""The tool as a user runs it, with sizes as small as they come."""

import importlib.util
import json

import pytest

from tests.tools.test_tools import assert_one_line, tool


def test_a_table_on_the_terminal_and_the_same_as_json(tmp_path):
    path = tmp_path / "new" / "benchmark.json"
    small = ("--image-size", 32, "--repeats", 1)
    result = tool("benchmark", "--only", "extract", *small, "--device.target", "CPU", "--output", path)
    assert result.returncode == 0, result.stderr
    head, line, *notes = result.stdout.splitlines()
    shown = ["unit", "ours", "torch", "ours/torch", "ours CPU s", "torch CPU s", "torch/ours"]
    assert head.split() == " ".join([*shown, "ours MB", "torch MB"]).split()
    assert all(note.startswith("note: load") for note in notes)
    content = json.loads(path.read_text())
    assert content["settings"]["only"] == ["extract"]
    assert content["environment"]["cores"] >= 1
    (measured,) = content["lines"]
    assert line.startswith("features, resnet18  images/s")
    assert measured["ours"]["value"] == pytest.approx(128 / measured["ours"]["seconds"])
    assert measured["ours"]["peak_memory_mb"] > 100
    if importlib.util.find_spec("torch") is None:
        assert measured["torch"] is None
        assert measured["ratio"] is None
    else:
        assert measured["ratio"] == measured["ours"]["rate"] / measured["torch"]["rate"]


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--only", "step,speed"], ["--only", "'speed'", "extract"]),
        (["--only", "extract", "--lines", "all"], ["--lines", "'all'", "features, resnet18"]),
        (["--repeats", "0"], ["--repeats", "'0'", "1 to 1000"]),
        (["--image-size", "big"], ["--image-size", "'big'"]),
        (["--samples", "2000000"], ["--samples", "1280 to 1000000"]),
        (["--output", "."], ["--output", "folder"]),
    ],
)
def test_bad_input_is_one_line(options, fragments):
    assert_one_line(tool("benchmark", *options), *fragments)
