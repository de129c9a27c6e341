"""One member on two devices: the losses and weights of one device with the whole batch."""

import dataclasses
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.training import parallel
from mindspore_dpus.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("two_devices.py")


def msrun(folder, *arguments):
    """Run a script on two devices, each of which leaves ``done{rank}`` at its end.

    The exit code says nothing: threads of MindSpore crash now and then when a process leaves.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scripts = Path(sys.executable).parent
    # msrun starts ``python``, whichever that is.
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [scripts / "msrun", "--worker_num=2", "--local_worker_num=2", f"--master_port={port}"]
    command += [f"--log_dir={folder / 'log'}", "--join=True", *arguments]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    logs = [path.read_text() for path in sorted(folder.glob("log/*.log"))]
    assert len(list(folder.glob("done*"))) == 2, "\n".join([done.stdout, done.stderr, *logs])


def test_without_msrun_it_says_how_to_start(monkeypatch):
    monkeypatch.delenv("MS_ROLE", raising=False)
    with pytest.raises(UserError, match="device.data_parallel: start it with msrun"):
        configure(DeviceSettings(target="CPU", data_parallel=True))


def test_a_device_that_follows_leaves_after_the_first_has_ended_its_command(tmp_path, monkeypatch):
    follower = dataclasses.replace(configure(DeviceSettings(target="CPU")), rank=1, n_devices=2)
    monkeypatch.setattr(parallel, "configure", lambda settings: follower)
    monkeypatch.setattr(parallel, "meet", lambda device: None)
    done = []

    def follow():
        with parallel.together(
            DeviceSettings(), 16, tmp_path, lambda work, _: done.append(work)
        ) as leads:
            done.append(leads)

    parallel.call(tmp_path, {"jobs": []})
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    thread.join(5 * parallel.PAUSE)
    assert done == [{"jobs": []}]  # It has trained, and waits.
    (tmp_path / parallel.CALL).unlink()
    thread.join(60)
    assert done[1:] == [False]


def test_two_devices_learn_what_one_learns_from_the_whole_batch(tmp_path):
    msrun(tmp_path, SCRIPT, tmp_path)
    together, alone = (
        pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds")
        for name in ("together", "alone")
    )
    assert together["epoch"].tolist() == [1, 2, 3, 4]
    assert alone["train_loss"].std() > 0.01
    pd.testing.assert_frame_equal(together, alone, rtol=0, atol=2e-6)
    (one, stamp), (other, _) = (
        load_checkpoint(tmp_path / name / "last.safetensors") for name in ("together", "alone")
    )
    assert stamp["epoch"] == 4
    assert one.keys() == other.keys()
    assert any("moment1" in name for name in one)
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], rtol=0, atol=5e-6, err_msg=name)
    # Both devices end with the same network, to the bit; only the first writes it.
    first, second = (np.load(tmp_path / f"rank{rank}.npz") for rank in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert all(np.array_equal(first[name], one[name]) for name in first)
