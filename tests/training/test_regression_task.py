"""A network that learns numbers."""

import numpy as np
import pandas as pd
import pytest
from mindspore import Tensor
from safetensors.numpy import load_file

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.classifier import Classifier
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.training.divergence import Diverged
from mindspore_dpus.training.members import Job, Recipe, train_members
from mindspore_dpus.training.regression_task import RegressionTask
from mindspore_dpus.training.settings import TrainingSettings


def bar(thing, rng):
    """A white bar; its left edge is to be named."""
    left = int(rng.integers(2, 12))
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, left : left + 3] = 255
    return image, np.array([left / 4 - 2], np.float32)


def task(data=None):
    drawn = [bar(i, np.random.default_rng([9, i])) for i in range(20)]
    targets = np.stack([t for _, t in drawn])
    return RegressionTask(
        bar,
        n_things=8,
        repeats=4,
        batch_size=8,
        val_images=np.stack([image for image, _ in drawn]),
        val_targets=targets,
        measure=lambda outputs: 1 - float(np.abs(outputs - targets).mean()),
        measure_name="closeness",
    )


def test_it_learns_and_keeps_its_best_epoch(tmp_path):
    training = TrainingSettings(epochs=12, batch_size=8, learning_rate=0.003, select_by="closeness")
    model = ModelSettings(backbone="conv4", pretrained=None, options={"dropout": 0.0, "hidden": 32})
    device = DeviceSettings(target="CPU")
    recipe = Recipe(Classifier(model, 1, 3, None, 16), task, training, device, "key")
    for name in ("a", "b"):
        job = Job("m", [0, 0], None, 32, tmp_path, tmp_path / name)
        train_members([job], recipe, configure(device))
    history = pd.read_csv(tmp_path / "a" / "history.csv")
    assert history["val_closeness"].max() > 0.7 > history["val_closeness"].iloc[0]
    # Equal seeds, equal weights.
    first, again = (load_file(tmp_path / name / "best.safetensors") for name in ("a", "b"))
    assert set(first) == set(again)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_every_thing_is_drawn_as_often_and_each_time_anew():
    seen = []

    def sample(thing, rng):
        seen.append((thing, rng.random()))
        return np.zeros((4, 4, 3), np.uint8), np.zeros(1, np.float32)

    made = task()
    made.samples = sample
    number, batches = made.epoch((0, 0, 1), None)
    shapes = [tuple(part.shape for part in batch) for batch in batches]
    assert number == 4
    assert shapes == [((8, 3, 4, 4), (8, 1))] * 4
    assert sorted(thing for thing, _ in seen) == sorted([*range(8)] * 4)
    assert len({value for _, value in seen}) == 32


class Fixed:
    """Says the same of every image."""

    def __init__(self, value):
        self.value = value

    def __call__(self, images):
        return Tensor(np.full((len(images), 1), self.value, np.float32))

    def set_train(self, mode):
        pass

    def cells_and_names(self):
        return []


def test_loss_and_measure_on_validation():
    made = task()
    found = made.validate(Fixed(0.5), 1, None)
    difference = np.abs(0.5 - made.val_targets)
    smooth = np.where(difference < 1, difference**2 / 2, difference - 0.5)
    assert found["val_loss"] == pytest.approx(smooth.mean(), rel=1e-6)
    assert found["val_closeness"] == pytest.approx(1 - difference.mean(), rel=1e-6)
    with pytest.raises(Diverged, match="epoch 3"):
        made.validate(Fixed(np.nan), 3, None)
