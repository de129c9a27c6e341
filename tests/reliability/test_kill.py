"""A training that is killed ends as one that was left alone; ``kill_series`` does it often."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.reliability.starts import (
    Start,
    check_equal,
    check_no_epoch_twice,
    make_castings,
    saved_epochs,
)

# The last of two values counts. Most of the time is that of the starts.
OPTIONS = ("--training.epochs=12", "--device.processes=1", "--model.backbone=lenet5")


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, and a function that mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_killed_and_terminated_it_ends_as_if_left_alone(tmp_path):
    data, run, reference = make_castings(tmp_path / "data"), tmp_path / "run", tmp_path / "reference"
    alone = Start(data, reference, *OPTIONS)
    rng = np.random.default_rng()
    for number, after in ((signal.SIGKILL, 1), (signal.SIGTERM, 2)):
        before = saved_epochs(run)
        start = Start(data, run, *OPTIONS)
        start.wait_for_epochs(after)
        # Not long: it must not have come to its end by itself.
        time.sleep(0.2 * rng.random())
        start.signal(number)
        code = start.wait()
        assert code == (143 if number == signal.SIGTERM else -9), start.errors
        if number == signal.SIGTERM:
            assert start.errors == "terminated: start the same command again to go on\n"
        check_no_epoch_twice(before, start)
        assert sum(saved_epochs(run).values()) > sum(before.values())
    before, last = saved_epochs(run), Start(data, run, *OPTIONS)
    assert last.wait() == 0, last.errors
    check_no_epoch_twice(before, last)
    assert alone.wait() == 0, alone.errors
    check_equal(run, reference)


def test_a_full_and_a_read_only_disk_are_one_line_and_leave_what_is_done(disk, tmp_path):
    data, run = make_castings(tmp_path / "data"), disk / "run"
    # The disk is full when the first larger file is written.
    full = Start(data, run, "--training.epochs=1", "--images.size=256")
    assert full.wait() == 2
    stages = (run / "stages.json").read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    locked = Start(data, run, "--training.epochs=1", "--images.size=256")
    assert locked.wait() == 2
    for start, words in ((full, "No space left on device"), (locked, "Read-only file system")):
        assert start.errors.startswith(f"error: {disk}/")
        assert words in start.errors
        assert "start the same command again: finished stages are kept" in start.errors
        assert start.errors.count("\n") == 1
    assert (run / "stages.json").read_bytes() == stages
