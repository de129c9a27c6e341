"""Members on a Ray cluster of which a machine dies: what a single machine trains, to the last bit."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.device import Device
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Work, side_by_side
from mindspore_dpus.data.shards import fill_shards
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.models.classifier import Classifier
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.classification_task import Classification, LabelledRows
from mindspore_dpus.training.members import Job, Recipe, _train_apart, train_members
from mindspore_dpus.training.settings import TrainingSettings
from tests.support import logged, on_cpus
from tests.training.test_members import without_times

EPOCHS = 3
MEMBER = "00"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A cache of 28 images of 16 pixels; those of class 1 are brighter."""
    images = np.random.default_rng(0).integers(0, 160, (28, 16, 16, 1))
    path = tmp_path_factory.mktemp("cache") / "images"
    images = (images + 90 * np.tile([0, 1], 14)[:, None, None, None]).astype(np.uint8)
    fill_shards(path, len(images), 10, images.__getitem__)
    return path


def train(images, folder, report, **training):
    data = LabelledRows(images, np.tile([0, 1], 14), np.arange(16), np.arange(18, 28))
    job = Job(MEMBER, [0, 0], data, 16, images, folder / MEMBER)
    settings = TrainingSettings(epochs=EPOCHS, batch_size=8, select_by="last", **training)
    with logged(report):
        train_members([job], recipe_of(settings), Device("CPU", jit=False, idle_main_thread=False))


def recipe_of(training):
    """What the member is trained by."""
    network = Classifier(ModelSettings(backbone="mobilenet_v2_035", pretrained=None), 2, 1, None)
    task = Classification(2, LossSettings(), training.augment, training.batch_size)
    return Recipe(network, task, training, DeviceSettings(target="CPU", fast_kernels="none"), "key")


def train_here(images, folder, send):
    train(images, folder, send)


def test_a_dead_machine_costs_only_its_running_epoch(images, start_cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    expected, lines, unfinished = [], [], []
    with on_cpus(1):
        ((_, error),) = side_by_side(
            [Work("here", train_here, (images, here))], 1, lambda _, line: expected.append(line)
        )
    assert error is None
    # The head has no core: the member is on the second machine, and then on the third.
    cluster = start_cluster(head_cpus=0)

    def kill(line):
        if not line.startswith("  "):
            return  # what is said of MindSpore's version
        lines.append(line)
        if len(lines) == 1:
            cluster.kill_second()
            unfinished.append(load_checkpoint(there / MEMBER / "last.safetensors")[1]["epoch"])
            cluster.add()

    train(images, there, kill, executor="ray", ray_address=cluster.address)
    assert unfinished[0] < EPOCHS
    for name in ("best", "last"):
        (one, stamp), (other, _) = (
            load_checkpoint(folder / MEMBER / f"{name}.safetensors") for folder in (there, here)
        )
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)
        assert stamp["epoch"] == EPOCHS
    one, other = (pd.read_csv(f / MEMBER / "history.csv") for f in (there, here))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))
    # No epoch was trained twice. (Of one that was saved just before the end, nobody may have heard.)
    told = without_times(lines)
    assert len(set(told)) == len(told)
    assert set(told) <= set(without_times(expected))


def test_a_machine_that_does_not_see_the_images_says_so(tmp_path):
    nowhere = tmp_path / "nowhere" / "images"
    job = Job("00", [0, 0], None, 1, nowhere, tmp_path)
    with pytest.raises(UserError, match=r"does not see .*images: with training.executor ray, all mach"):
        _train_apart(job, recipe_of(TrainingSettings()), print)
