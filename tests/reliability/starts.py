"""Tiny trainings as a user starts them, to be killed; and what must be the same in the end."""

import atexit
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings
from mindspore_dpus.data.simulate.radiographs import simulate
from mindspore_dpus.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
MEMBERS = ("00", "01")
OPTIONS = (
    "--system=classification",
    "--images.size=32",
    "--features.pretrained=null",
    "--features.layer=layer1",
    "--features.n_components=4",
    "--sampling.n_clusters=2",
    f"--sampling.n_subsets={len(MEMBERS)}",
    "--sampling.baseline=false",
    "--model.backbone=mobilenet_v2_035",
    "--model.pretrained=null",
    "--heatmaps.report=false",
    "--evaluation.n_bootstrap=20",
    "--device.target=CPU",
)
# Byte for byte; besides these the members' tensors, and their histories but for the seconds.
SAME = (
    *("samples.csv", "clusters.csv", "subsets.csv", "predictions_val.csv", "predictions_test.csv"),
    *("metrics.json", "decision.json", "decision_test.json"),
)
_EPOCH = re.compile(r"  (\w+) epoch (\d+)/")


def make_castings(folder: Path) -> Path:
    """56 simulated radiographs."""
    config = RadiographSettings(enabled=True, train=(24, 8), val=(6, 6), test=(6, 6), size=32)
    simulate(config, folder, random_state=0)
    return folder


class Start:
    """One start of ``tools/train.py``, in a process group of its own.

    Args:
        data: of ``make_castings``.
        run: the run folder.
        options: besides ``OPTIONS``.

    Attributes:
        lines: what it has said on standard output so far.
    """

    def __init__(self, data: Path, run: Path, *options: str) -> None:
        train = str(ROOT / "tools" / "train.py")
        self.process = subprocess.Popen(
            [sys.executable, train, f"--data.root={data}", f"--output={run}", *OPTIONS, *options],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.kill)
        self.lines: list[str] = []
        self.errors = ""
        self._readers = [threading.Thread(target=work) for work in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _read_errors(self) -> None:
        self.errors = self.process.stderr.read()

    def wait(self, seconds: float = 1200) -> int | None:
        """Its exit code; None while it runs."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join()
        return code

    def wait_for_epochs(self, number: int, seconds: float = 1200) -> None:
        """Until it has told so many epochs, or has ended."""
        end = time.monotonic() + seconds
        while len(self.epochs) < number and self.process.poll() is None:
            assert time.monotonic() < end, self.lines
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """To it and all processes that it has started, as a terminal or a job manager sends it."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As a power cut: no process gets to say or write another byte."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.wait()

    @property
    def epochs(self) -> list[tuple[str, int]]:
        """Member and number of the epochs that it has told."""
        return epochs_in(list(self.lines))


def epochs_in(lines: list[str]) -> list[tuple[str, int]]:
    """Member and number of the epochs that these lines tell."""
    return [(m[1], int(m[2])) for line in lines if (m := _EPOCH.match(line))]


def saved_epochs(run: Path) -> dict[str, int]:
    """Member -> the epoch that its checkpoint holds; 0 without one."""
    files = {name: run / "members" / name / "last.safetensors" for name in MEMBERS}
    return {name: load_checkpoint(f)[1]["epoch"] if f.exists() else 0 for name, f in files.items()}


def check_no_epoch_twice(before: dict[str, int], epochs: list[tuple[str, int]]) -> None:
    """A start, which tells these epochs, goes on with the one behind the last that was saved before it."""
    for name in MEMBERS:
        told = [epoch for member, epoch in epochs if member == name]
        assert told == list(range(before[name] + 1, before[name] + 1 + len(told))), (before, told)


def check_equal(run: Path, reference: Path) -> None:
    """All that was computed is the same, to the last bit."""
    for name in SAME:
        assert (run / name).read_bytes() == (reference / name).read_bytes(), name
    for member in MEMBERS:
        place, other = run / "members" / member, reference / "members" / member
        for name in ("best", "last"):
            mine, stamp = load_checkpoint(place / f"{name}.safetensors")
            theirs, their_stamp = load_checkpoint(other / f"{name}.safetensors")
            assert stamp["epoch"] == their_stamp["epoch"]
            assert mine.keys() == theirs.keys()
            for key, value in mine.items():
                assert value.dtype == theirs[key].dtype
                assert value.tobytes() == theirs[key].tobytes(), (member, name, key)
        mine, theirs = (
            pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (place, other)
        )
        assert np.array_equal(mine.to_numpy(), theirs.to_numpy())
    left = [path.name for path in run.rglob(".*.tmp*")]
    assert left == []
