"""Trainings that really diverge: named, or tried again with half the rate; resumed to the bit."""

import itertools
import math

import mindspore as ms
import numpy as np
import pandas as pd
import pytest
from mindspore import nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models.weights import get_state
from mindspore_dpus.training.checkpoint import load_checkpoint
from mindspore_dpus.training.divergence import Diverged, check_outputs, check_steps, halve_or_stop
from mindspore_dpus.training.settings import TrainingSettings
from mindspore_dpus.training.trainer import Trainer
from tests.support import MemberData, held, logged

SEED = [0, 0]
# Adam moves every weight by about the rate. Two layers of the square root of the largest float32 meet in
# an infinite output; with a few halvings they do not.
ENORMOUS = 1e19
COLUMNS = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_auc", "val_accuracy", "halvings"]


@pytest.fixture(scope="module")
def device():
    return configure(DeviceSettings(target="CPU", idle_main_thread=False))


@pytest.fixture(scope="module")
def data():
    """36 images of 8 pixels; those of class 1 are brighter."""
    labels = np.tile([0, 1], 18)
    images = np.random.default_rng(0).integers(0, 160, (36, 8, 8, 1))
    images = images + 90 * labels[:, None, None, None]
    return MemberData(images.astype(np.uint8), labels, np.arange(24), np.arange(24, 36))


def trainer(device, **training):
    ms.set_seed(5)
    net = nn.SequentialCell(nn.Flatten(), nn.Dense(64, 4), nn.ReLU(), nn.Dense(4, 2))
    net.init_parameters_data()
    config = TrainingSettings(**{"epochs": 4, "batch_size": 8, "select_by": "last"} | training)
    return Trainer(net, create_loss("cross_entropy", (12, 12)), config, device, {"key": "k"})


def fit(device, data, folder, stop_after=None, **training):
    """Train a member; what was told. ``stop_after``: interrupted when that epoch is told."""
    member, told = trainer(device, **training), []

    def report(value):
        told.append(value)
        if isinstance(value, dict) and value["epoch"] == stop_after:
            raise KeyboardInterrupt

    with logged(report):
        member.fit(data.task(member.training), held(get_state(member.net)), folder, SEED, report)
    return told


def last(folder):
    return load_checkpoint(folder / "last.safetensors")


def test_it_stops_and_names_member_epoch_step_and_what_to_do(device, data, tmp_path):
    with pytest.raises(UserError) as caught:
        fit(device, data, tmp_path / "07", learning_rate=ENORMOUS)
    message = str(caught.value)
    assert message.startswith("member 07: the ")
    assert "in epoch 1, step " in message
    assert "; nothing was learnt yet. Lower training.learning_rate (now 1e+19), or set " in message
    assert message.endswith("training.on_divergence halve")
    assert not (tmp_path / "07").exists()


def test_exploding_gradients_stop_it_where_a_limit_is_set(device, data, tmp_path):
    # A rate of one explodes them a hundredfold, and the loss stays a number.
    fit(device, data, tmp_path / "free", learning_rate=1.0)
    with pytest.raises(
        UserError, match=r"the norm of the gradients is .*, above .*gradient_limit 5, in"
    ):
        fit(device, data, tmp_path / "00", learning_rate=1.0, gradient_limit=5.0)


def test_a_late_divergence_goes_back_to_the_epoch_before(device, data, tmp_path):
    fit(device, data, tmp_path, epochs=2)
    before, _ = last(tmp_path)
    told = fit(device, data, tmp_path, learning_rate=ENORMOUS, on_divergence="halve", max_halvings=80)
    lines = [value for value in told if isinstance(value, str)]
    rows = [value for value in told if isinstance(value, dict)]
    assert [row["epoch"] for row in rows] == [3, 4]
    assert 0 < len(lines) == rows[-1]["halvings"]
    assert "in epoch 3, step " in lines[0]
    assert lines[0].endswith("; back to epoch 2, with the learning rate halved to 5e+18")
    history = pd.read_csv(tmp_path / "history.csv")
    assert history.columns.tolist() == [*COLUMNS, "seconds"]
    assert history["halvings"].tolist()[:2] == [0, 0]
    assert history["halvings"].is_monotonic_increasing
    after, stamp = last(tmp_path)
    assert len(stamp["halvings"]) == len(lines)
    assert all(np.isfinite(value).all() for value in after.values())
    # It went on from the weights of epoch 2, not from nothing.
    assert any(not np.array_equal(after[name], before[name]) for name in before)
    rate = stamp_rate(ENORMOUS, len(lines))
    assert after["optimizer.learning_rate"] == np.float32(rate)


def stamp_rate(rate, halvings):
    return rate / 2**halvings


def test_halvings_have_an_end(device, data, tmp_path):
    fit(device, data, tmp_path / "00", epochs=1)
    with pytest.raises(UserError, match=r"\(now 1e\+19, halved 2 times\)$") as caught:
        fit(
            device,
            data,
            tmp_path / "00",
            learning_rate=ENORMOUS,
            on_divergence="halve",
            max_halvings=2,
        )
    assert f"; epoch 1 is kept in {tmp_path / '00' / 'last.safetensors'}. Lower" in str(caught.value)
    assert last(tmp_path / "00")[1]["epoch"] == 1


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_a_member_that_has_halved_resumes_to_the_bit(device, data, tmp_path, schedule):
    settings = {
        "learning_rate": ENORMOUS,
        "on_divergence": "halve",
        "max_halvings": 80,
        "lr_schedule": schedule,
    }
    told = fit(device, data, tmp_path / "whole", **settings)
    # The first step after an epoch depends on no rate: that epoch was no good either.
    again = [
        value for value in told if isinstance(value, str) and ", step 1; back to the start" in value
    ]
    assert bool(again) == (schedule == "one_cycle")
    # Then no epoch that is on disk is of any use until the first new one.
    for line, following in itertools.pairwise(told):
        if "; back to the start" in line and isinstance(following, str):
            assert "; back to the start" in following
    for epoch in (1, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            fit(device, data, tmp_path / "torn", epoch, **settings)
    fit(device, data, tmp_path / "torn", **settings)
    (whole, stamp), (torn, torn_stamp) = last(tmp_path / "whole"), last(tmp_path / "torn")
    assert whole.keys() == torn.keys()
    assert all(np.array_equal(whole[name], torn[name]) for name in whole)
    assert stamp["halvings"] == torn_stamp["halvings"] != []
    one, other = (pd.read_csv(tmp_path / name / "history.csv")[COLUMNS] for name in ("whole", "torn"))
    pd.testing.assert_frame_equal(one, other)


def test_the_next_member_of_a_trainer_starts_at_the_full_rate(device, data, tmp_path):
    member = trainer(device, learning_rate=ENORMOUS, on_divergence="halve", max_halvings=80, epochs=1)
    start = get_state(member.net)
    told = {"00": [], "01": []}
    for name, lines in told.items():
        with logged(lambda line, lines=lines, name=name: lines.append(line.replace(name, "", 1))):
            member.fit(data.task(member.training), held(start), tmp_path / name, SEED, lines.append)
    (one, stamp), (other, other_stamp) = last(tmp_path / "00"), last(tmp_path / "01")
    assert stamp["halvings"] == other_stamp["halvings"] != []
    # It diverged as often: it did not begin with the rate that the first ended with.
    assert told["00"][:-1] == told["01"][:-1] != []
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("gone", ["missing", "foreign"])
def test_without_the_best_weights_a_member_is_trained_again(device, data, tmp_path, gone):
    fit(device, data, tmp_path, epochs=2, select_by="loss")
    before, _ = last(tmp_path)
    best = tmp_path / "best.safetensors"
    best.unlink()
    if gone == "foreign":
        fit(device, data, tmp_path / "other", epochs=1)
        arrays, stamp = load_checkpoint(tmp_path / "other" / "best.safetensors")
        from mindspore_dpus.training.checkpoint import save_checkpoint

        save_checkpoint(best, arrays, stamp | {"key": "another"})
    told = fit(device, data, tmp_path, epochs=2, select_by="loss")
    assert told[0] == f"  {best} is missing or of another run: trained from the start again"
    assert [row["epoch"] for row in told[1:]] == [1, 2]
    after, _ = last(tmp_path)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_overwritten(device, data, tmp_path, name):
    fit(device, data, tmp_path, epochs=1)
    path = tmp_path / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}.safetensors is damaged or .*fit its checksum"):
        fit(device, data, tmp_path, epochs=2)
    assert path.read_bytes() == bytes(content)


def test_the_history_is_whole_though_the_end_came_before_it_was_written(device, data, tmp_path):
    fit(device, data, tmp_path, epochs=2)
    text = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text("".join(text.splitlines(keepends=True)[:2]))
    assert fit(device, data, tmp_path, epochs=2) == []
    assert (tmp_path / "history.csv").read_text() == text


GOOD = np.array([0.7, 0.6, 0.5])


@pytest.mark.parametrize(
    ("losses", "norms", "limit", "words"),
    [
        ([0.7, math.nan, 0.5], GOOD, None, "the loss is nan in epoch 3, step 2"),
        ([0.7, 0.6, math.inf], GOOD, None, "the loss is inf in epoch 3, step 3"),
        (GOOD, [1.0, math.inf, math.nan], None, "the norm of the gradients is inf in epoch 3, step 2"),
        (GOOD, [1.0, 2.0, 2.1], 2.0, "is 2.1, above training.gradient_limit 2, in epoch 3, step 3"),
    ],
)
def test_the_first_bad_step_is_found(losses, norms, limit, words):
    with pytest.raises(Diverged, match=words):
        check_steps(3, np.array(losses), np.array(norms), limit)


def test_numbers_are_no_divergence():
    check_steps(1, GOOD, np.array([1e30, 1.0, 2.0]), None)
    check_steps(1, GOOD, GOOD, 0.7)
    check_outputs(1, GOOD)
    with pytest.raises(Diverged, match="the outputs are not numbers after epoch 2"):
        check_outputs(2, np.array([1.0, math.nan]))


def test_where_no_rate_would_help_none_is_tried(device, data, tmp_path):
    settings = {"on_divergence": "halve", "max_halvings": 80, "gradient_limit": 1e-9}
    with pytest.raises(UserError, match="member 07: .* in epoch 1, step 1, before any weight has moved"):
        fit(device, data, tmp_path / "07", **settings)
    with pytest.raises(Diverged) as caught:
        check_steps(2, np.array([math.nan]), np.array([1.0]), None)
    assert caught.value.at_once
    assert not caught.value.unmoved


def test_halving_is_allowed_so_often_and_no_more():
    config = TrainingSettings(on_divergence="halve", max_halvings=2)
    halvings = []
    for i in (1, 2):
        halvings = halve_or_stop(Diverged("x"), config, halvings, "00", "kept")
        assert len(halvings) == i
    with pytest.raises(UserError, match="member 00: x; kept"):
        halve_or_stop(Diverged("x"), config, halvings, "00", "kept")
