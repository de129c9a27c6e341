"""One member: reproducible, resumable, never silent about a loss that is not a number."""

import functools
import itertools

import mindspore as ms
import numpy as np
import pandas as pd
import pytest
from mindspore import nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.losses import create_loss
from mindspore_dpus.metrics.classification import roc_auc
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import layers, phases
from mindspore_dpus.models.layers import GlobalMean
from mindspore_dpus.models.resnet import BasicBlock
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.models.weights import get_state
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.inference import predict
from mindspore_dpus.training.schedules import SCHEDULES
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.trainer import Trainer
from tests.models.frozen import frozen
from tests.support import MemberData, held

SEED = [0, 1]
# Convolutions, batch norms and sums of two paths, in 0.4 million parameters.
SMALL = "mobilenet_v2_035"


@pytest.fixture(scope="module")
def device():
    return configure(DeviceSettings(target="CPU", idle_main_thread=False))


@pytest.fixture(scope="module")
def data():
    """36 images of 32 pixels; those of class 1 are brighter."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 18)
    images = rng.integers(0, 160, (36, 32, 32, 1)) + 90 * labels[:, None, None, None]
    return MemberData(images.astype(np.uint8), labels, np.arange(24), np.arange(24, 36))


def trainer(device, backbone=SMALL, **training):
    config = TrainingSettings(**{"epochs": 2, "batch_size": 8, "select_by": "last"} | training)
    # Filled by ``fit``.
    net = create_model(backbone, 2, 1, device=device, random=False)
    return Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {"key": "k"})


def tiny(device, phases=None, stamp=None, loss=None, **training):
    """A trainer of three fully connected layers: a step of it takes no time."""
    ms.set_seed(5)
    net = nn.SequentialCell(
        nn.Flatten(), nn.Dense(32 * 32, 4), nn.ReLU(), nn.Dense(4, 4), nn.Dense(4, 2)
    )
    net.init_parameters_data()
    config = TrainingSettings(**{"epochs": 2, "batch_size": 8, "select_by": "last"} | training)
    return Trainer(
        net,
        create_loss(loss or "cross_entropy", (12, 12)),
        config,
        device,
        stamp or {"key": "k"},
        phases,
    )


@functools.cache
def start(backbone=SMALL):
    return get_state(create_model(backbone, 2, 1, seed=7))


def fit(trainer, data, folder, backbone=SMALL):
    """Train a member; the rows of its history that were reported."""
    rows = []
    trainer.fit(data.task(trainer.training), held(start(backbone)), folder, SEED, rows.append)
    return rows


def fit_tiny(trainer, data, folder):
    """The same from the weights that the trainer's own network has."""
    rows = []
    trainer.fit(data.task(trainer.training), held(get_state(trainer.net)), folder, SEED, rows.append)
    return rows


def weights(folder, name="best"):
    return load_checkpoint(folder / f"{name}.safetensors")[0]


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_learns_and_leaves_its_history(device, data, tmp_path):
    member = trainer(device, "conv4", epochs=4, select_by="auc")
    rows = fit(member, data, tmp_path, "conv4")
    assert rows == load_checkpoint(tmp_path / "last.safetensors")[1]["history"]
    history = pd.read_csv(tmp_path / "history.csv")
    names = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_auc", "val_accuracy"]
    names += ["halvings", "seconds"]
    assert history.columns.tolist() == names
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["train_loss"].iloc[-1] < 0.5 * history["train_loss"].iloc[0]
    assert history["val_auc"].max() == 1.0
    pd.testing.assert_frame_equal(history, pd.DataFrame(rows), atol=1e-6)


def test_an_order_made_of_rounding_selects_no_epoch(device, data):
    # As after a first epoch that taught nothing: scores differ in their seventh digit.
    net = tiny(device).net
    head = net.trainable_params()[-2]
    head.set_data(head * 1e-6)
    task = data.task(TrainingSettings())
    found = predict(net, data.images, data.val)
    assert 0 < np.ptp(found[:, 1]) < 1e-5
    assert abs(roc_auc(data.labels[data.val], found) - 0.5) > 0.1
    assert task.validate(net, 1, device)["val_auc"] == 0.5


@pytest.mark.parametrize("backbone", [SMALL, "conv4"])
def test_a_second_member_of_one_trainer_equals_the_first_of_another(device, data, tmp_path, backbone):
    shared = trainer(device, backbone, epochs=1)
    fit(shared, data, tmp_path / "a", backbone)
    fit(shared, data, tmp_path / "b", backbone)
    fit(trainer(device, backbone, epochs=1), data, tmp_path / "c", backbone)
    first = weights(tmp_path / "a")
    assert_equal(first, weights(tmp_path / "b"))
    assert_equal(first, weights(tmp_path / "c"))
    assert not np.array_equal(first[next(iter(first))], start(backbone)[next(iter(first))])


def test_a_resumed_member_equals_an_uninterrupted_one(device, data, tmp_path):
    training = {"augment": AugmentSettings(horizontal_flip=True, rotation=10)}
    fit(trainer(device, "conv4", epochs=3, **training), data, tmp_path / "whole", "conv4")
    fit(trainer(device, "conv4", epochs=1, **training), data, tmp_path / "torn", "conv4")
    rows = fit(trainer(device, "conv4", epochs=3, **training), data, tmp_path / "torn", "conv4")
    assert [row["epoch"] for row in rows] == [2, 3]
    assert_equal(weights(tmp_path / "whole", "last"), weights(tmp_path / "torn", "last"))


def test_the_state_of_a_loss_is_kept_and_reset(device, data, tmp_path):
    loss = "seesaw"
    fit_tiny(tiny(device, loss=loss, epochs=2), data, tmp_path / "whole")
    torn = tiny(device, loss=loss, epochs=1)
    fit_tiny(torn, data, tmp_path / "torn")
    assert weights(tmp_path / "torn", "last")["loss.counts"].tolist() == [12, 12]
    fit_tiny(tiny(device, loss=loss, epochs=2), data, tmp_path / "torn")
    assert_equal(weights(tmp_path / "whole", "last"), weights(tmp_path / "torn", "last"))
    fit_tiny(torn, data, tmp_path / "next")
    assert weights(tmp_path / "next", "last")["loss.counts"].tolist() == [12, 12]


def test_steps_stand_for_epochs_and_a_schedule_falls_over_them(device, data, tmp_path):
    # 24 images in batches of 8: three steps an epoch.
    by_steps = tiny(device, epochs=9, steps=8, lr_schedule="cosine")
    assert [row["epoch"] for row in fit_tiny(by_steps, data, tmp_path / "steps")] == [1, 2, 3]
    fit_tiny(tiny(device, epochs=3, lr_schedule="cosine"), data, tmp_path / "epochs")
    assert_equal(weights(tmp_path / "steps"), weights(tmp_path / "epochs"))


def test_patience_ends_a_member_early_and_for_good(device, data, tmp_path):
    # Nothing can beat the first epoch by a rate of nearly nothing.
    settings = {"epochs": 9, "patience": 2, "select_by": "auc", "learning_rate": 1e-12}
    fit_tiny(tiny(device, **settings), data, tmp_path)
    history = load_checkpoint(tmp_path / "last.safetensors")[1]["history"]
    best = max(history, key=lambda row: row["val_auc"])["epoch"]
    assert len(history) == best + 2 < 9
    assert fit_tiny(tiny(device, **settings), data, tmp_path) == []


def test_the_accuracy_of_training_is_that_of_its_images(device, data, tmp_path):
    # By such a rate nothing changes, so the outputs after the epoch are those in it.
    member, rows = tiny(device, epochs=1, learning_rate=1e-30), []
    member.fit(data.task(member.training), held(get_state(member.net)), tmp_path, SEED, rows.append)
    outputs = predict(member.net, data.images, data.train)
    assert rows[0]["train_accuracy"] == (outputs.argmax(axis=1) == data.labels[data.train]).mean()


def test_frozen_parameters_and_their_batch_norms_stay(device, data, tmp_path):
    config = TrainingSettings(epochs=1, batch_size=8)
    fixed = tuple(f"features.{i}." for i in (0, 1, 3, 4))  # The stem, and two blocks.
    net = frozen(create_model(SMALL, 2, 1, random=False), [f"{prefix}*" for prefix in fixed])
    member = Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {})
    fit(member, data, tmp_path)
    before, after = start(), weights(tmp_path)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith(fixed)}


def test_the_range_test_trains_all_that_will_be_trained(device, data):
    config = ModelSettings(fine_tuning="gradual", unfreeze_parts=2, freeze_layers=2)
    member = tiny(device)
    member = tiny(device, phases(member.net, config), epochs=3)
    before = get_state(member.net)
    member.stepper(data.task(member.training), held(before), SEED)(0.1)
    changed = {name for name, value in get_state(member.net).items() if (value != before[name]).any()}
    assert changed == {"3.weight", "3.bias", "4.weight", "4.bias"}


def test_gradual_unfreezing_starts_at_the_classifier(device, data, tmp_path):
    config = ModelSettings(fine_tuning="gradual", unfreeze_parts=2)
    member = tiny(device)
    member = tiny(device, phases(member.net, config), epochs=3)
    states = [get_state(member.net)]
    member.fit(
        data.task(member.training),
        held(states[0]),
        tmp_path / "whole",
        SEED,
        lambda row: states.append(get_state(member.net)),
    )
    changed = [
        {name for name in first if not np.array_equal(first[name], second[name])}
        for first, second in itertools.pairwise(states)
    ]
    head, middle, bottom = ({f"{i}.weight", f"{i}.bias"} for i in (4, 3, 1))
    assert changed == [head, head | middle, head | middle | bottom]


def test_a_member_resumed_before_and_after_unfreezing_equals_an_uninterrupted_one(
    device, data, tmp_path
):
    plan = phases(
        tiny(device).net, ModelSettings(fine_tuning="gradual", unfreeze_parts=2, unfreeze_every=2)
    )
    whole = tiny(device, plan, epochs=6, optimizer="radam")
    state, task = get_state(whole.net), data.task(whole.training)
    whole.fit(task, held(state), tmp_path / "whole", SEED)
    for epochs in (2, 3, 6):
        tiny(device, plan, epochs=epochs, optimizer="radam").fit(
            task, held(state), tmp_path / "torn", SEED
        )
    assert_equal(weights(tmp_path / "whole", "last"), weights(tmp_path / "torn", "last"))


def test_patience_does_not_run_before_all_layers_are_trained(device, data, tmp_path):
    plan = phases(
        tiny(device).net, ModelSettings(fine_tuning="gradual", unfreeze_parts=2, unfreeze_every=3)
    )
    member = tiny(device, plan, epochs=12, patience=2, select_by="auc", learning_rate=1e-12)
    member.fit(data.task(member.training), held(get_state(member.net)), tmp_path, SEED)
    assert len(load_checkpoint(tmp_path / "last.safetensors")[1]["history"]) == 8


@pytest.mark.parametrize("backbone", ["resnet18", SMALL])
def test_kept_outputs_of_a_frozen_start_change_nothing_but_the_last_digits(data, tmp_path, backbone):
    results = []
    for megabytes in (64, 0):
        device = configure(DeviceSettings(target="CPU", frozen_cache_mb=megabytes))
        net = create_model(backbone, 2, 1, device=device, random=False)
        plan = phases(net, ModelSettings(backbone=backbone, freeze_layers=48))
        config = TrainingSettings(epochs=1, batch_size=8, select_by="last")
        member = Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {}, plan)
        fit(member, data, tmp_path / str(megabytes), backbone)
        assert (member.task.images is data.images) == (megabytes == 0)
        results.append(weights(tmp_path / str(megabytes)))
    names = layers(create_model(backbone, 2, 1, random=False))
    assert [p.name for p in net.trainable_params()] == names[48:]
    for name, kept in results[0].items():
        np.testing.assert_allclose(kept, results[1][name], atol=2e-3, err_msg=name)
    before = start(backbone)
    assert all(np.array_equal(before[name], results[0][name]) for name in names[:48])
    assert not np.array_equal(before[names[-1]], results[0][names[-1]])


def test_augmented_images_are_not_kept(device, data, tmp_path):
    net = create_model(SMALL, 2, 1, device=device, random=False)
    plan = phases(net, ModelSettings(backbone=SMALL, fine_tuning="shallow"))
    config = TrainingSettings(epochs=1, batch_size=8, augment=AugmentSettings(horizontal_flip=True))
    member = Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {}, plan)
    fit(member, data, tmp_path)
    assert member.task.images is data.images


def test_outputs_that_are_not_numbers_are_named(device, data, tmp_path):
    # A batch norm at the end: its kept variance is used in evaluation only.
    net = nn.SequentialCell(nn.Flatten(), nn.Dense(32 * 32, 2), nn.BatchNorm1d(2))
    state = get_state(net)
    state["2.moving_variance"][:] = np.nan
    config = TrainingSettings(epochs=1, batch_size=8)
    member = Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {})
    with pytest.raises(UserError, match=r"member 00: the outputs are not numbers after epoch 1;"):
        member.fit(data.task(member.training), held(state), tmp_path / "00", SEED)


def test_a_finished_member_is_not_trained_again(device, data, tmp_path):
    fit_tiny(tiny(device, epochs=1), data, tmp_path)
    assert fit_tiny(tiny(device, epochs=1), data, tmp_path) == []


def test_a_checkpoint_of_another_configuration_is_not_resumed(device, data, tmp_path):
    fit_tiny(tiny(device, epochs=1), data, tmp_path)
    assert len(fit_tiny(tiny(device, epochs=1, stamp={"key": "other"}), data, tmp_path)) == 1


def test_a_loss_that_is_not_a_number_names_member_epoch_and_step(device, data, tmp_path):
    fit_tiny(tiny(device, epochs=1), data, tmp_path / "00")
    good = weights(tmp_path / "00", "last")
    what = r"member 00: the (loss|norm of the gradients) is .* in epoch 2, step \d; epoch 1 is kept"
    with pytest.raises(UserError, match=what + ".*learning_rate"):
        fit_tiny(tiny(device, learning_rate=1e38), data, tmp_path / "00")
    assert_equal(good, weights(tmp_path / "00", "last"))


@pytest.mark.parametrize("select_by", ["auc", "accuracy", "loss", "last"])
def test_the_best_epoch_is_kept(device, data, tmp_path, select_by):
    member = tiny(device, epochs=5, select_by=select_by, learning_rate=0.03)
    member.fit(data.task(member.training), held(get_state(member.net)), tmp_path, SEED)
    history = load_checkpoint(tmp_path / "last.safetensors")[1]["history"]
    expected = {
        "auc": max(history, key=lambda row: row["val_auc"]),
        "accuracy": max(history, key=lambda row: row["val_accuracy"]),
        "loss": min(history, key=lambda row: row["val_loss"]),
        "last": history[-1],
    }[select_by]
    assert load_checkpoint(tmp_path / "best.safetensors")[1]["epoch"] == expected["epoch"]


class Recorder:
    """Rates with which a trainer's steps are made."""

    def __init__(self, member):
        self.rates = []
        member._enter_before, member._enter = member._enter, self.enter
        self.member = member

    def enter(self, epoch, task):
        self.member._enter_before(epoch, task)
        engine = self.member.engine
        if not hasattr(engine, "unwatched"):
            engine.unwatched, engine.step = engine.step, self.step

    def step(self, images, labels):
        self.rates.append(float(self.member.engine.optimizer.learning_rate.asnumpy()))
        return self.member.engine.unwatched(images, labels)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_every_step_has_the_rate_of_the_schedule(device, data, tmp_path, schedule):
    member = tiny(device, epochs=4, lr_schedule=schedule, learning_rate=0.1)
    recorder = Recorder(member)
    member.fit(data.task(member.training), held(get_state(member.net)), tmp_path, SEED)
    expected = [
        0.1 * SCHEDULES[schedule].factor(epoch, step, 4, 3)
        for epoch in (1, 2, 3, 4)
        for step in range(3)
    ]
    np.testing.assert_allclose(recorder.rates, expected, rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "radam"])
def test_optimizer_and_schedule_go_on_to_the_bit(device, data, tmp_path, optimizer):
    settings = {"optimizer": optimizer, "lr_schedule": "one_cycle", "epochs": 3}
    whole = tiny(device, **settings)
    state = get_state(whole.net)
    whole.fit(data.task(whole.training), held(state), tmp_path / "whole", SEED)
    for member, stop in ((tiny(device, **settings), 2), (tiny(device, **settings), 9)):

        def stop_after(row, stop=stop):
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        try:
            member.fit(data.task(member.training), held(state), tmp_path / "torn", SEED, stop_after)
        except KeyboardInterrupt:
            assert stop == 2
    assert_equal(weights(tmp_path / "whole", "last"), weights(tmp_path / "torn", "last"))


def test_mixed_precision_is_not_for_the_cpu():
    with pytest.raises(UserError, match="device.amp_level"):
        configure(DeviceSettings(target="CPU", amp_level="O2"))


def test_compiled_steps_learn_the_same(data, tmp_path):
    # Compiled steps have MindSpore's own kernels.
    options = {"target": "CPU", "idle_main_thread": False, "fast_kernels": "none"}
    config = TrainingSettings(epochs=1, batch_size=8, select_by="last")
    for name, jit in (("jit", True), ("eager", False)):
        device = configure(DeviceSettings(jit=jit, **options))
        ms.set_seed(5)
        # Compiling takes as long as there are layers.
        start = nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2, 2)
        net = nn.SequentialCell(*start, BasicBlock(8, 16, 2), GlobalMean(), nn.Dense(16, 2))
        net.init_parameters_data()
        member = Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {"key": "k"})
        fit_tiny(member, data, tmp_path / name)
    jit, eager = (weights(tmp_path / name) for name in ("jit", "eager"))
    for name in eager:
        np.testing.assert_allclose(jit[name], eager[name], atol=1e-6, err_msg=name)


def test_predictions_are_probabilities_and_do_not_depend_on_the_batch(device, data):
    net = create_model(SMALL, 3, 1, seed=1)
    together = predict(net, data.images, np.arange(36))
    assert together.shape == (36, 3)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-6)
    alone = np.concatenate([predict(net, data.images, np.array([i])) for i in (0, 17, 35)])
    np.testing.assert_allclose(alone, together[[0, 17, 35]], atol=1e-5)
