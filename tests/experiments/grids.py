"""Tiny experiments for these tests: their files, their processes, their CPUs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
RESULTS = (
    *("results.csv", "table.csv", "table.md", "table.tex", "figure.svg"),
    *("classes.csv", "classes.md", "fusion.csv", "fusion.md", "preserved.csv", "preserved.md"),
)
COMMON = {
    "images.size": 32,
    "features.pretrained": None,
    "features.layer": "layer1",
    "features.n_components": 4,
    "sampling.n_clusters": 2,
    "sampling.n_subsets": 2,
    "model.pretrained": None,
    "model.backbone": "lenet5",
    "training.epochs": 1,
    "evaluation.n_bootstrap": 0,
    "heatmaps.report": False,
    "device.target": "CPU",
    "device.processes": 1,  # Starting others would take longer than the training.
}
AXES = {
    "method": {
        "Under-sample": {"sampling.strategy": "random_under", "sampling.n_subsets": 1},
        "Ours": {"sampling.strategy": "dpus"},
    }
}


def write_experiment(folder, **keys):
    """An experiment's file: two methods, two seeds, and what ``keys`` changes (None: leaves out)."""
    (folder / "base.yaml").write_text("system: classification\nimages: {channels: 1}\n")
    values = {
        "output": str(folder / "grid"),
        "config": "base.yaml",
        "seeds": [0, 1],
        "common": COMMON,
        "axes": AXES,
        "reference": {"method": "Ours"},
    }
    path = folder / "experiment.yaml"
    kept = {k: v for k, v in (values | keys).items() if v is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


def start(path, *args):
    """tools/experiment.py in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tools" / "experiment.py"), "--config", str(path), *args],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, process, seconds=180):
    """Wait for something that a process does; fail when it ends before."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_gone(group, seconds=20):
    """No process of the group is left, after a moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("something was left running")
