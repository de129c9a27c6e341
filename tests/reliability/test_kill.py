"""A training that is killed ends as one that was left alone; ``kill_series`` does it often."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest

from mindspore_dpus.core.processes import Work, side_by_side
from mindspore_dpus.experiments.runner import NEEDED
from tests.reliability import starts
from tests.reliability.starts import (
    Start,
    check_equal,
    check_no_epoch_twice,
    epochs_in,
    make_castings,
    saved_epochs,
)
from tests.support import on_cpus
from tests.tools.test_tools import tool

# The last of two values counts. Most of the time is that of the starts: one that nobody ends is no process.
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


def train_here(data, run, *options):
    """As ``Start`` does, but in this process, which has what it imports already."""
    return tool("train", f"--data.root={data}", f"--output={run}", *starts.OPTIONS, *options)


def train_and_send(data, run, send):
    ended = train_here(data, run, *OPTIONS)
    send((ended.returncode, ended.stdout.splitlines(), ended.stderr))


def do_nothing(send):
    """Beside another task: only several are forked, and what forks them is kept for the next."""


def train_forked(data, run):
    """The same in a forked process: it counts its cores itself. Exit code, lines, errors."""
    told = []
    tasks = [Work("train", train_and_send, (data, run), NEEDED), Work("nothing", do_nothing, ())]
    ended = side_by_side(tasks, 1, lambda _, value: told.append(value))
    assert dict(ended) == {0: None, 1: None}
    return told[0]


def test_killed_and_terminated_it_ends_as_if_left_alone(tmp_path):
    data, run, reference = make_castings(tmp_path / "data"), tmp_path / "run", tmp_path / "reference"
    rng = np.random.default_rng()
    with on_cpus(1):  # Their number changes the rounding.
        code, lines, errors = train_forked(data, reference)
        assert (code, errors) == (0, "")
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
            check_no_epoch_twice(before, start.epochs)
            assert sum(saved_epochs(run).values()) > sum(before.values())
        before, whole = saved_epochs(run), len(epochs_in(lines))
        code, lines, errors = train_forked(data, run)
    assert (code, errors) == (0, "")
    assert sum(before.values()) < whole
    check_no_epoch_twice(before, epochs_in(lines))
    check_equal(run, reference)


def test_a_full_and_a_read_only_disk_are_one_line_and_leave_what_is_done(disk, tmp_path):
    data, run = make_castings(tmp_path / "data"), disk / "run"
    # The disk is full when the first larger file is written.
    full = Start(data, run, "--training.epochs=1", "--images.size=256")
    ended = [(full.wait(), full.errors)]
    stages = (run / "stages.json").read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    locked = train_here(data, run, "--training.epochs=1", "--images.size=256")
    ended.append((locked.returncode, locked.stderr))
    words = "No space left on device", "Read-only file system"
    for (code, errors), expected in zip(ended, words, strict=True):
        assert code == 2
        assert errors.startswith(f"error: {disk}/")
        assert expected in errors
        assert "start the same command again: finished stages are kept" in errors
        assert errors.count("\n") == 1
    assert (run / "stages.json").read_bytes() == stages
