"""Schedules against torch's and by their formulas."""

import math

import numpy as np
import pytest

from mindspore_dpus.training.schedules import SCHEDULES, member_epochs


def factors(schedule, epochs, steps):
    return [
        SCHEDULES[schedule].factor(epoch, step, epochs, steps)
        for epoch in range(1, epochs + 1)
        for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("steps", "n_images", "epochs"),
    [
        (None, 903, 5),
        # Table 1's over-sampled, balanced and whole training set, and a sixteenth of the defects.
        (1520, 4860, 5),
        (1520, 903, 27),
        (1520, 2860, 9),
        (1520, 57, 507),
        # One image short of two batches makes one step; less than a batch is one.
        (4, 31, 4),
        (4, 9, 4),
        (1, 4860, 1),
    ],
)
def test_steps_are_turned_into_the_nearest_epochs(steps, n_images, epochs):
    assert member_epochs(5, steps, 16, n_images) == epochs


@pytest.mark.parametrize(("epochs", "steps"), [(4, 5), (7, 3), (50, 46), (1, 8)])
def test_one_cycle_equals_torch(epochs, steps):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, epochs * steps, pct_start=0.25, final_div_factor=4000, cycle_momentum=False
    )
    expected = []
    for _ in range(epochs * steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert factors("one_cycle", epochs, steps) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_rises_and_falls():
    found = factors("one_cycle", 4, 10)
    assert (found[0], found[9], found[-1]) == pytest.approx((1 / 25, 1.0, 1e-5))
    assert (np.diff(found[:10]) > 0).all()
    assert (np.diff(found[9:]) < 0).all()


def test_one_cycle_of_few_steps_has_a_top():
    assert all(max(factors("one_cycle", n, 1)) <= 1.0 for n in range(1, 9))
    assert factors("one_cycle", 4, 1)[0] == 1.0


def test_cosine_falls_by_the_epoch():
    expected = [0.5 * (1 + math.cos(math.pi * i / 4)) for i in range(4) for _ in range(3)]
    assert factors("cosine", 4, 3) == pytest.approx(expected)


def test_constant():
    assert factors("constant", 2, 2) == [1.0] * 4
