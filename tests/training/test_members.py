"""Members in turn and side by side: the same weights, the same lines, the same errors."""

import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core import processes
from mindspore_dpus.core.device import Device
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Work, available_cpus, side_by_side
from mindspore_dpus.data.shards import fill_shards
from mindspore_dpus.losses import create_loss
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.models.classifier import Classifier
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.training import classification_task, members
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.classification_task import Classification, LabelledRows
from mindspore_dpus.training.members import Job, Recipe, train_members
from mindspore_dpus.training.settings import TrainingSettings
from tests.support import logged, on_cpus, started

MEMBERS = ("00", "01")
SHORT = "02"  # of eight images
EPOCHS = 2
SIZE = 16
# The smallest that each kind of kernels has something to do in.
BACKBONES = {"loops": "conv4", "onednn": "mobilenet_v2_035"}


def device(n_processes, kernels="loops"):
    return Device("CPU", jit=False, idle_main_thread=False, fast_kernels=kernels, processes=n_processes)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A cache of 28 images of ``SIZE`` pixels; those of class 1 are brighter."""
    labels = np.tile([0, 1], 14)
    images = np.random.default_rng(0).integers(0, 160, (28, SIZE, SIZE, 1))
    path = tmp_path_factory.mktemp("cache") / "images"
    images = (images + 90 * labels[:, None, None, None]).astype(np.uint8)
    fill_shards(path, len(images), 10, images.__getitem__)
    return path


def jobs_of(images, subsets, folder):
    """A member for each subset, of two classes that alternate; its name is its seed."""
    labels, val = np.tile([0, 1], 14), np.arange(18, 28)
    return [
        Job(
            name,
            [0, int(name)],
            LabelledRows(images, labels, rows, val),
            len(rows),
            images,
            folder / name,
        )
        for name, rows in subsets.items()
    ]


def recipe_of(loss, kernels="loops", **training):
    """What members of a small network have in common."""
    training = TrainingSettings(**training)
    network = Classifier(ModelSettings(backbone=BACKBONES[kernels], pretrained=None), 2, 1, None, SIZE)
    task = Classification(2, loss, training.augment, training.batch_size)
    settings = DeviceSettings(target="CPU", fast_kernels=kernels)
    return Recipe(network, task, training, settings, "key")


def train(images, folder, n_processes, report, kernels="loops", first=(), **training):
    settings = {"epochs": EPOCHS, "batch_size": 8, "select_by": "last"} | training
    subsets = {name: np.arange(i, 16 + i) for i, name in enumerate(MEMBERS)}
    subsets = dict.fromkeys(first, np.arange(8)) | subsets
    with logged(report):
        train_members(
            jobs_of(images, subsets, folder),
            recipe_of(LossSettings(), kernels, **settings),
            device(n_processes, kernels),
        )


def train_in_turn(images, folder, kernels, send):
    """For a process of its own: MindSpore counts the cores once, when it is loaded."""
    assert len(available_cpus()) == 1
    train(images, folder, 1, send, kernels, first=[SHORT])


@pytest.fixture(scope="module", params=["loops", "onednn"])
def kernels(request):
    return request.param


@pytest.fixture(scope="module")
def all_in_turn(images, tmp_path_factory):
    """Folder and lines of an ensemble for each kind of kernels, each trained by one process on one core."""
    found = {kernels: (tmp_path_factory.mktemp("in_turn"), []) for kernels in BACKBONES}
    # With what members need: the process that forks these forks them, too.
    needed = members.__name__, *members.NEEDED
    tasks = [
        Work(kernels, train_in_turn, (images, folder, kernels), needed)
        for kernels, (folder, _) in found.items()
    ]
    with on_cpus(1):
        ended = side_by_side(tasks, 1, lambda i, line: found[tasks[i].name][1].append(line))
        assert dict(ended) == {0: None, 1: None}
    return found


@pytest.fixture
def in_turn(all_in_turn, kernels):
    """Folder of the ensemble with these kernels, and what was said of ``MEMBERS``."""
    folder, lines = all_in_turn[kernels]
    return folder, [line for line in lines if not line.startswith(f"  {SHORT} ")]


def of_members(lines):
    """Without what is said of MindSpore's version."""
    return [line for line in lines if line.startswith("  ")]


def without_times(lines):
    return sorted(re.sub(r"\(.* s\)", "", line) for line in of_members(lines))


def assert_equal(folder, expected, members=MEMBERS):
    """All that was trained is the same, to the last bit."""
    for member in members:
        for name in ("best", "last"):
            (one, stamp), (other, other_stamp) = (
                load_checkpoint(path / member / f"{name}.safetensors") for path in (folder, expected)
            )
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[key], other[key]) for key in one)
            assert stamp["epoch"] == other_stamp["epoch"] == EPOCHS
        one, other = (pd.read_csv(path / member / "history.csv") for path in (folder, expected))
        pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))


@pytest.mark.parametrize("kernels", ["loops"], indirect=True)  # Of the other, the next test shows it.
def test_side_by_side_equals_in_turn_with_as_many_cores(images, in_turn, kernels, tmp_path):
    # How MindSpore rounds depends on how many cores a member has, and on nothing else.
    folder, expected = in_turn
    lines = []
    with on_cpus(2):
        train(images, tmp_path, 2, lines.append, kernels)
    assert_equal(tmp_path, folder)
    assert without_times(lines) == without_times(expected)
    for member in MEMBERS:
        own = [line.partition(":")[0] for line in lines if line.startswith(f"  {member} ")]
        assert own == [f"  {member} epoch {epoch}/{EPOCHS}" for epoch in (1, 2)]


@pytest.mark.skipif(len(available_cpus()) < 2, reason="there is one core only")
def test_the_last_of_an_odd_number_gets_both_cores_and_equal_bits(
    images, in_turn, kernels, tmp_path, monkeypatch
):
    grown, grow = [], processes._Running.grow

    def count(self, cpus):
        grow(self, cpus)
        threads = Path(f"/proc/{self.process.pid}/task").glob("*")
        grown.append((self.process.name, {len(os.sched_getaffinity(int(t.name))) for t in threads}))

    monkeypatch.setattr(processes._Running, "grow", count)
    with on_cpus(2):
        train(images, tmp_path, 2, lambda line: None, kernels, first=[SHORT])
    # Whichever it was, of three on two cores.
    assert [cpus for _, cpus in grown] == [{2}]
    assert_equal(tmp_path, in_turn[0], (SHORT, *MEMBERS))


@pytest.mark.parametrize("kernels", ["onednn"], indirect=True)
def test_a_killed_member_is_named_and_goes_on_next_time(images, in_turn, kernels, tmp_path, monkeypatch):
    lines, pids = [], started(monkeypatch)

    def kill(line):
        lines.append(line)
        os.kill(pids[f"member {line.split()[0]}"], signal.SIGKILL)

    with on_cpus(2):
        with pytest.raises(UserError, match=r"^member 0\d: its process was killed .*same command again"):
            train(images, tmp_path, 2, kill, kernels)
        assert multiprocessing.active_children() == []
        train(images, tmp_path, 2, lines.append, kernels)
    assert_equal(tmp_path, in_turn[0])
    # No epoch was trained twice. (Of one that was saved just before the end, nobody may have heard.)
    told = without_times(lines)
    assert len(set(told)) == len(told)
    assert set(told) <= set(without_times(in_turn[1]))


def test_a_loss_that_is_not_a_number_is_one_line(images, tmp_path):
    lines = []
    with (
        on_cpus(2),
        pytest.raises(UserError, match=r"^member 0\d: the loss is .* epoch 1, step ") as caught,
    ):
        train(images, tmp_path, 2, lines.append, learning_rate=1e38)
    assert "\n" not in str(caught.value)
    assert of_members(lines) == []
    assert multiprocessing.active_children() == []


def test_a_loss_weighs_classes_by_what_each_member_learns_from(images, tmp_path, monkeypatch):
    found = []

    def spy(name, counts, **options):
        found.append((name, counts))
        return create_loss(name, counts, **options)

    monkeypatch.setattr(classification_task, "create_loss", spy)
    # Labels alternate: six images of class 0 and two of class 1, then three and five.
    subsets = {
        "00": np.array([0, 2, 4, 6, 8, 10, 1, 3]),
        "01": np.array([0, 2, 4, 1, 3, 5, 7, 9]),
    }
    loss = LossSettings(name="weighted_cross_entropy")
    recipe = recipe_of(loss, epochs=1, batch_size=8, select_by="last")
    train_members(jobs_of(images, subsets, tmp_path), recipe, device(1))
    assert found == [("weighted_cross_entropy", (6, 2)), ("weighted_cross_entropy", (3, 5))]
