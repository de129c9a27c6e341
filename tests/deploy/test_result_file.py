"""The table on disk: whole rows only, whatever happened to the process that wrote it."""

import json

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.deploy.result_file import ResultFile, format_of

COLUMNS = ["path", "error", "predicted", "score"]
ROWS = [
    {"path": 'a, "b".png', "error": "", "predicted": "defect", "score": np.float32(0.1)},
    {"path": "ü.png", "error": "is empty", "predicted": None, "score": None},
]
TEXTS = {
    "csv": 'path,error,predicted,score\n"a, ""b"".png",,defect,0.1\nü.png,is empty,,\n',
    "jsonl": '{"path": "a, \\"b\\".png", "error": "", "predicted": "defect", "score": 0.1}\n'
    '{"path": "ü.png", "error": "is empty", "predicted": null, "score": null}\n',
}
KINDS = pytest.mark.parametrize("kind", ["csv", "jsonl"])


@KINDS
def test_rows_are_there_when_append_returns(tmp_path, kind):
    path = tmp_path / "deep" / "table"
    with ResultFile(path, COLUMNS, kind) as results:
        results.append(ROWS[:1])
        results.append(ROWS[1:])
        assert path.read_text() == TEXTS[kind]


@KINDS
def test_every_torn_end_is_cut_and_whole_rows_are_found(tmp_path, kind):
    whole = TEXTS[kind].encode()
    path = tmp_path / "table"
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for length in {*range(0, len(whole), 11), *ends, *(end - 1 for end in ends), len(whole)}:
        path.write_bytes(whole[:length])
        with ResultFile(path, COLUMNS, kind) as results:
            n_lines = sum(end <= length for end in ends)
            n_rows = max(n_lines - (kind == "csv"), 0)
            assert [row["path"] for row in results.found] == [row["path"] for row in ROWS[:n_rows]]
            results.append(ROWS[n_rows:])
        assert path.read_bytes() == whole, length


@KINDS
def test_rows_can_be_cut(tmp_path, kind):
    path = tmp_path / "table"
    path.write_text(TEXTS[kind])
    with ResultFile(path, COLUMNS, kind) as results:
        results.cut(1)
        results.append(ROWS[1:])
    assert path.read_text() == TEXTS[kind]


def test_a_second_process_is_kept_out(tmp_path):
    pytest.importorskip("fcntl")
    with (
        ResultFile(tmp_path / "t.csv", COLUMNS, "csv"),
        pytest.raises(UserError, match=r"t\.csv is being written by another process"),
    ):
        ResultFile(tmp_path / "t.csv", COLUMNS, "csv")


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("csv", "path,error,predicted,score,more\n", 1),
        ("csv", "path,error,predicted,score\na.png,,defect,0.1\nb.png\n", 3),
        ("csv", "a shopping list\n", 1),
        ("jsonl", "[1, 2]\n", 1),
        ("jsonl", json.dumps({"path": "a.png"}) + "\n", 1),
    ],
)
def test_another_file_is_left_alone(tmp_path, kind, text, line):
    path = tmp_path / "table"
    path.write_text(text)
    with pytest.raises(UserError, match=f"line {line} is no row of this table"):
        ResultFile(path, COLUMNS, kind)
    assert path.read_text() == text


def test_a_full_disk_leaves_whole_rows(small_disk):
    path = small_disk / "table.csv"
    with ResultFile(path, COLUMNS, "csv") as results:
        results.append(ROWS * 500)
        with pytest.raises(OSError, match="No space") as caught:
            results.append(ROWS * 1000)
    assert caught.value.filename == str(path)
    lines = path.read_text().splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "ü.png,is empty,,"


def test_the_ending_names_the_format(tmp_path):
    endings = [format_of(tmp_path / f"x{e}") for e in (".csv", ".jsonl", ".ndjson", ".JSON", ".txt", "")]
    assert endings == ["csv", "jsonl", "jsonl", "jsonl", "csv", "csv"]
