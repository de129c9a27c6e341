"""The run folder: files whole or not at all, stages done once, one process at a time."""

import errno
import json
import os
from functools import partial
from pathlib import Path

import pytest

from mindspore_dpus.core import stages as stages_of_a_run
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, digest, read_json, write_json, write_text
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import Stage


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """A name for a run folder that does not exist yet."""
    return tmp_path / "runs" / "one"


def fill(folder, interrupted=None, **settings):
    """Run the stages a, b, c, each of which writes its setting and needs the one before; the names of
    those that ran."""
    run = RunFolder(folder)

    def make(name, key):
        write_text(run / f"{name}.txt", str(settings[name]))
        if name == interrupted:
            raise KeyboardInterrupt

    stages = [
        Stage(name, partial(make, name), needs, settings=[settings[name]], artefacts=[f"{name}.txt"])
        for name, needs in (("a", ()), ("b", ("a",)), ("c", ("b",)))
    ]
    return stages_of_a_run.fill(run, stages)


def contents(folder):
    return [(folder / f"{name}.txt").read_text() for name in "abc"]


def test_atomic_writes_under_another_name_with_the_same_ending(tmp_path):
    path = tmp_path / "deep" / "er" / "table.csv"
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".csv"
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["table.csv"]


def test_atomic_flushes_the_file_before_its_new_name_and_the_folder_after(tmp_path, monkeypatch):
    path, flushed, really = tmp_path / "table.csv", [], os.fsync

    def fsync(number):
        flushed.append((Path(f"/proc/self/fd/{number}").resolve(), path.exists()))
        really(number)

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "new")
    (file, before), (folder, after) = flushed
    assert (file.suffix, before) == (".csv", False)
    assert (folder, after) == (tmp_path, True)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_leaves_the_old_file_and_no_other_on_an_exception(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_atomic_leaves_the_old_file_on_a_full_disk(small_disk):
    write_text(small_disk / "table.csv", "old")
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(small_disk / "table.csv", "x" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    assert (small_disk / "table.csv").read_text() == "old"
    assert names(small_disk) == ["table.csv"]


def test_json_comes_back(tmp_path):
    value = {"name": "\u00fc", "numbers": [1, 2.5, None], "deep": {"a": True}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing: is this a finished run folder"),
        (b"", "is not readable JSON: delete it"),
        (b'{"a": 1', "is not readable JSON"),
        (b"\xff\xfe\x00", "is not readable JSON"),
        (b"[" * 100_000, "is not readable JSON"),
    ],
    ids=["missing", "empty", "torn", "binary", "deep"],
)
def test_bad_json_is_named(tmp_path, content, message):
    path = tmp_path / "value.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"value\.json {message}"):
        read_json(path)


def test_a_digest_depends_on_the_values_alone():
    assert digest("a", [1, 2], {"x": 1, "y": None}) == digest("a", (1, 2), {"y": None, "x": 1})
    values = ["a", "b", ["a"], 1, 1.5, True, None, {"a": 1}]
    assert len({digest(value) for value in values}) == len(values)
    assert digest("a", "b") != digest("ab")


def test_stages_that_are_done_are_skipped(folder):
    assert fill(folder, a=1, b=2, c=3) == ["a", "b", "c"]
    assert fill(folder, a=1, b=2, c=3) == []
    assert contents(folder) == ["1", "2", "3"]


@pytest.mark.parametrize(("changed", "ran"), [("a", ["a", "b", "c"]), ("b", ["b", "c"]), ("c", ["c"])])
def test_a_changed_setting_runs_its_stage_and_all_that_need_it(folder, changed, ran):
    settings = {"a": 1, "b": 2, "c": 3}
    fill(folder, **settings)
    settings[changed] = 9
    assert fill(folder, **settings) == ran
    assert contents(folder) == [str(value) for value in settings.values()]
    assert fill(folder, **settings) == []


@pytest.mark.parametrize("missing", list("abc"))
def test_a_missing_file_runs_its_stage_again(folder, missing):
    fill(folder, a=1, b=2, c=3)
    (folder / f"{missing}.txt").unlink()
    assert fill(folder, a=1, b=2, c=3) == [missing]
    assert contents(folder) == ["1", "2", "3"]


def test_an_interrupted_stage_is_not_done(folder):
    with pytest.raises(KeyboardInterrupt):
        fill(folder, interrupted="b", a=1, b=2, c=3)
    assert fill(folder, a=1, b=2, c=3) == ["b", "c"]


def test_what_an_interrupted_stage_has_overwritten_is_made_again(folder):
    fill(folder, a=1, b=2, c=3)
    with pytest.raises(KeyboardInterrupt):
        fill(folder, interrupted="b", a=1, b=8, c=3)
    fill(folder, a=1, b=2, c=3)
    assert contents(folder) == ["1", "2", "3"]


def test_a_stage_that_never_ran_is_named(folder):
    run = RunFolder(folder)
    with pytest.raises(UserError, match="no finished run: its stage 'members' is missing"):
        run.finished("members")


def test_torn_stages_are_one_line_that_names_the_file(folder):
    fill(folder, a=1, b=2, c=3)
    text = (folder / "stages.json").read_text()
    (folder / "stages.json").write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"stages\.json is not readable JSON: delete it") as caught:
        fill(folder, a=1, b=2, c=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "stages",
    [[], None, "a", {"a": None}, {"a": {"artefacts": []}}, {"a": {"key": "k", "artefacts": [1]}}],
)
def test_stages_of_another_kind_are_one_line_that_names_the_file(folder, stages):
    fill(folder, a=1, b=2, c=3)
    (folder / "stages.json").write_text(json.dumps(stages))
    with pytest.raises(UserError, match=r"stages\.json does not list the stages of a run: delete it"):
        fill(folder, a=1, b=2, c=3)


def test_only_a_filled_folder_is_opened(folder):
    with pytest.raises(UserError, match="one is no run folder"):
        RunFolder.open(folder)
    assert not folder.exists()
    fill(folder, a=1, b=2, c=3)
    assert set(RunFolder.open(folder).stages()) == {"a", "b", "c"}


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_in_the_place_of_the_run_folder_is_named(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file"):
        RunFolder(tmp_path / name)


def test_a_folder_is_filled_by_one_process_at_a_time(folder):
    first, second = RunFolder(folder), RunFolder(folder)
    with (
        first.lock(),
        pytest.raises(UserError, match=r"one is being filled by another process: .*for the output"),
        second.lock(),
    ):
        pass
    with pytest.raises(ValueError, match="inside"), second.lock():
        raise ValueError("inside")
    with first.lock():
        pass


def test_what_a_killed_process_was_writing_is_removed(folder):
    run = RunFolder(folder)
    member = folder / "background" / "members" / "00"
    torn = [
        *(folder / ".metrics.123.tmp.json", folder / "members" / "00" / ".best.9.tmp.safetensors"),
        *(member / ".last.9.tmp.safetensors", member / ".tmpkTkqvw"),  # The second: safetensors' own.
    ]
    kept = folder / "members" / "00" / "history.csv"
    for path in (*torn, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with run.lock():
        assert not any(path.exists() for path in torn)
        assert kept.exists()
