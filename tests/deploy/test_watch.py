"""Watching a folder: nothing is read too early, nothing is lost and nothing comes twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.deploy import OnnxPredictor
from mindspore_dpus.deploy.result_file import ResultFile
from mindspore_dpus.deploy.rule import go_by
from mindspore_dpus.deploy.scoring import load
from mindspore_dpus.deploy.watch import PATIENCE, FolderWatch, _done, modified_text, watch
from tests.deploy.conftest import expected_scores, write_grey

REPOSITORY = Path(__file__).parents[2]
SPEC = ImageSettings(size=8)


def read(file):
    return load(file, SPEC)


class Clock:
    """Looks at a folder at times of our choice."""

    def __init__(self, folder, settle=2.0):
        self.watch = FolderWatch(folder, settle)

    def at(self, seconds, read=read):
        ready = list(self.watch.ready(read, seconds))
        for file, version, _ in ready:
            self.watch.done.add((str(file), version))
        return {file.name: found if isinstance(found, str) else "image" for file, _, found in ready}


def touch(file, seconds):
    os.utime(file, (seconds, seconds))


def test_a_file_is_taken_once_it_has_stood_still(tmp_path):
    clock = Clock(tmp_path)
    file = write_grey(tmp_path / "deep" / "a.png", 10)
    (tmp_path / "notes.txt").write_text("x")
    write_grey(tmp_path / ".hidden.png", 1)
    assert clock.at(0) == {}
    assert clock.at(1.9) == {}
    touch(file, 1e9)
    assert clock.at(2) == {}
    assert clock.at(3.9) == {}
    assert clock.at(4) == {"a.png": "image"}
    assert clock.at(100) == {}


def test_a_file_of_another_size_is_another_at_the_same_time_of_change(tmp_path):
    clock = Clock(tmp_path)
    file = write_grey(tmp_path / "a.png", 10)
    touch(file, 1e9)
    clock.at(0)
    assert clock.at(2) == {"a.png": "image"}
    file.write_bytes(file.read_bytes() + b"more")
    touch(file, 1e9)
    assert clock.at(3) == {}
    assert clock.at(5) == {"a.png": "image"}
    assert clock.at(9) == clock.at(99) == {}
    # Also while nobody looks: the table has the size.
    later = FolderWatch(tmp_path, 0.0, set(clock.watch.done))
    assert list(later.ready(read, 0)) == []
    file.write_bytes(file.read_bytes() + b"more")
    touch(file, 1e9)
    assert [found[0] for found in later.ready(read, 1)] == [file]


def test_what_is_an_image_is_what_a_folder_says_and_the_rest_is_counted_once(tmp_path):
    clock = Clock(tmp_path)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    write_grey(elsewhere / "linked.png", 10)
    (tmp_path / "link").symlink_to(elsewhere)
    write_grey(tmp_path / "bare.png", 10).rename(tmp_path / "bare")
    for name in ("a.docx", "b.docx", "c", "list.csv", "Thumbs.db"):
        (tmp_path / name).write_text("no image")
    assert clock.at(0) == {}
    assert clock.at(2) == {"linked.png": "image", "bare": "image"}
    assert clock.watch.news == {".docx": 2, "": 1}
    clock.watch.news.clear()
    assert clock.at(4) == {}
    assert not clock.watch.news
    write_grey(tmp_path / "d.png", 10).replace(tmp_path / "c")
    touch(tmp_path / "c", 2e9)
    assert clock.at(6) == {}
    assert clock.at(8) == {"c": "image"}


def test_a_link_that_leads_nowhere_has_its_row_and_another_when_it_is_mended(tmp_path):
    clock = Clock(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b", "c.docx"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "gone" / name)
    (tmp_path / "in" / "ring.png").symlink_to("ring.png")
    assert clock.at(0) == {}
    assert clock.at(2) == {}
    found = clock.at(2 * PATIENCE)
    assert sorted(found) == ["a.png", "b", "ring.png"]
    assert found["a.png"].endswith(f"a.png is a link to {tmp_path}/gone/a.png, which does not exist")
    assert clock.watch.news == {".docx": 1}
    assert clock.at(100) == {}
    write_grey(tmp_path / "gone" / "a.png", 10)
    assert clock.at(101) == {}
    assert clock.at(103) == {"a.png": "image"}


def test_a_file_that_grows_in_steps_is_not_read(tmp_path):
    clock = Clock(tmp_path)
    content = write_grey(tmp_path / "whole.bmp", 10).read_bytes()
    (tmp_path / "whole.bmp").unlink()
    reads = []
    for i in range(0, len(content), 200):
        (tmp_path / "a.bmp").write_bytes(content[: i + 200])
        assert clock.at(i / 200, reads.append) == {}
    assert reads == []
    assert clock.at(1000) == {"a.bmp": "image"}


def test_a_torn_file_that_stands_still_is_given_time_then_reported_then_seen_again(tmp_path):
    clock = Clock(tmp_path)
    file = write_grey(tmp_path / "a.png", 10)
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert clock.at(0) == {}
    assert clock.at(2) == {}
    assert clock.at(2 * PATIENCE - 0.1) == {}
    assert "truncated" in clock.at(2 * PATIENCE)["a.png"]
    assert clock.at(50) == {}
    file.write_bytes(content)
    assert clock.at(60) == {}
    assert clock.at(62) == {"a.png": "image"}


def test_a_file_that_changes_while_it_is_read_waits(tmp_path):
    clock = Clock(tmp_path)
    file = write_grey(tmp_path / "a.png", 10)
    clock.at(0)

    def read_and_change(path):
        found = read(path)
        touch(file, 1e9)
        return found

    assert clock.at(2, read_and_change) == {}
    assert clock.at(3) == {}
    assert clock.at(5) == {"a.png": "image"}


def test_a_replaced_file_is_another_and_a_vanished_one_none(tmp_path):
    clock = Clock(tmp_path, 0.0)
    file = write_grey(tmp_path / "a.png", 10)
    assert clock.at(0) == {"a.png": "image"}
    write_grey(file, 20)
    touch(file, 1e9)
    assert clock.at(1) == {"a.png": "image"}
    clock.watch.settle = 2.0
    gone = write_grey(tmp_path / "b.png", 10)
    clock.at(2)
    gone.unlink()
    assert clock.at(10) == {}
    assert clock.watch.waiting == {}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(("frames", "kept"), [(2, 8), (3, 6)])
def test_of_the_last_file_all_frames_must_have_their_rows(tmp_path, kind, frames, kept):
    columns = ["path", "modified", "size", "frames"]
    rows = [(f"a.dcm#{i}", "t", size, 2) for size in (5, 6) for i in (1, 2)]
    rows += [("b.png", "t", 5, 1), ("c#7.png", "t", 5, 1)]
    rows += [("d.dcm#1", "t", 5, frames), ("d.dcm#2", "t", 5, frames)]
    path = tmp_path / "t"
    with ResultFile(path, columns, kind) as results:
        results.append([dict(zip(columns, row, strict=True)) for row in rows])
    with ResultFile(path, columns, kind) as results:
        done = _done(results)
        assert len(results.found) == kept
    files = {("a.dcm", ("t", 5)), ("a.dcm", ("t", 6)), ("b.png", ("t", 5)), ("c#7.png", ("t", 5))}
    assert done == files | ({("d.dcm", ("t", 5))} if kept == 8 else set())


def test_a_table_of_another_rule_is_not_gone_on_with(model, tmp_path):
    (tmp_path / "in").mkdir()
    write_grey(tmp_path / "in" / "a.png", 200)
    output = tmp_path / "t.csv"
    process = start(model, tmp_path / "in", output)
    wait_for(lambda: rows_of(output) == 1)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    predictor = OnnxPredictor(model, threads=1)
    go_by(predictor, None, Tiles(16))
    with pytest.raises(UserError, match="is no row of this table"):
        watch(predictor, tmp_path / "in", output)
    other = OnnxPredictor(model, threads=1)
    other.threshold = 0.9
    with pytest.raises(UserError, match="was filled by another model, or with another threshold"):
        watch(other, tmp_path / "in", output)


@pytest.mark.parametrize("nanoseconds", [-(10**18), 10**21, -1])
def test_times_outside_the_calendar_have_a_text(nanoseconds):
    assert modified_text(nanoseconds)
    assert modified_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456+00:00"


def start(model, folder, output):
    command = [sys.executable, str(REPOSITORY / "tools" / "predict.py"), "--model", model]
    return subprocess.Popen(
        [*command, "--watch", folder, "--output", output, "--settle", "0.3", "--batch", "2"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(output):
    lines = output.read_text().splitlines() if output.exists() else []
    return max(len(lines) - 1, 0)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_a_killed_watch_loses_and_repeats_nothing(model, tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out.csv"
    for grey in range(0, 120, 20):
        write_grey(folder / f"{grey:03d}.png", grey)
    slow = write_grey(tmp_path / "slow.png", 200).read_bytes()
    first = start(model, folder, output)
    wait_for(lambda: rows_of(output) >= 2)
    first.kill()
    first.communicate()
    with open(output, "a") as file:
        file.write(f"{folder}/100.png,,norm")  # As if it had been killed while it wrote.
    second = start(model, folder, output)
    for end in range(0, len(slow), max(len(slow) // 6, 1)):
        (folder / "200.png").write_bytes(slow[:end])
        time.sleep(0.1)
    (folder / "200.png").write_bytes(slow)
    (folder / "bad.jpg").write_bytes(b"")
    wait_for(lambda: rows_of(output) >= 8)
    time.sleep(0.5)
    second.send_signal(signal.SIGINT)
    stdout, stderr = second.communicate(timeout=60)
    assert (second.returncode, stderr) == (1, "")
    assert "200.png: defect 0.8" in stdout
    assert f"\n{folder}/bad.jpg is empty (0 bytes)\n" in stdout
    assert stdout.splitlines()[-1] == "to look at: 2"
    table = pd.read_csv(output, keep_default_na=False)
    assert sorted(Path(p).name for p in table["path"]) == sorted(p.name for p in folder.iterdir())
    read_rows = table[table["error"] == ""]
    expected = [expected_scores(int(Path(p).stem))[0] for p in read_rows["path"]]
    np.testing.assert_allclose(read_rows["score"].astype(float), expected, atol=1e-6)
    third = start(model, folder, output)
    assert "8 rows are there" in third.stdout.readline()
    time.sleep(0.8)
    third.send_signal(signal.SIGTERM)
    stdout, _ = third.communicate(timeout=60)
    assert third.returncode == 0
    assert f"{output}: 0 images" in stdout
    assert len(pd.read_csv(output)) == 8
