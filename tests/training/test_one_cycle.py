"""The one-cycle policy against torch's, and against its definition."""

import math
import warnings

import numpy as np
import pytest

from mindspore_dpus.training.one_cycle import OneCycle

STEPS = [2, 3, 4, 7, 10, 100, 1000]


def by_definition(cycle, step, first, turn, last):
    """Two half cosines that meet at step ``rise * steps - 1``."""
    place = cycle.rise * cycle.steps - 1
    rising = step <= place
    share = step / place if rising else (step - place) / (cycle.steps - 1 - place)
    begin, end = (first, turn) if rising else (turn, last)
    return end + (begin - end) / 2 * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rise", [0.3, 0.55])
def test_equals_torchs_schedule(steps, rise):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-3, total_steps=steps, pct_start=rise
    )
    cycle = OneCycle(1e-3, steps, rise)
    group = optimizer.param_groups[0]
    for step in range(steps):
        assert cycle.learning_rate(step) == pytest.approx(group["lr"], rel=1e-12, abs=1e-18)
        assert cycle.momentum(step) == pytest.approx(group["betas"][0], rel=1e-12)
        if step < steps - 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # That no step of the optimiser came before.
                schedule.step()


@pytest.mark.parametrize("steps", [7, 40, 1000])
def test_is_its_definition(steps):
    cycle = OneCycle(0.02, steps, 0.25, 10.0, 1e3, 0.8, 0.9)
    for step in range(steps):
        rate = by_definition(cycle, step, 2e-3, 0.02, 2e-6)
        assert cycle.learning_rate(step) == pytest.approx(rate, rel=1e-12)
        assert cycle.momentum(step) == pytest.approx(by_definition(cycle, step, 0.9, 0.8, 0.9))


def test_the_defaults_end_where_torchs_do():
    cycle = OneCycle(1.0, 1000)
    rates = [cycle.learning_rate(step) for step in range(1000)]
    momenta = [cycle.momentum(step) for step in range(1000)]
    assert (rates[0], rates[299], rates[-1]) == pytest.approx((1 / 25, 1.0, 1 / 25e4))
    assert (momenta[0], momenta[299], momenta[-1]) == pytest.approx((0.95, 0.85, 0.95))
    assert (np.diff(rates)[:299] > 0).all()
    assert (np.diff(rates)[299:] < 0).all()


def test_what_is_no_cycle_is_refused():
    with pytest.raises(ValueError, match="one cycle of 1 steps"):
        OneCycle(1.0, 1)
    with pytest.raises(ValueError, match="rising for 1.0 of them"):
        OneCycle(1.0, 10, 1.0)
    with pytest.raises(ValueError, match="step 10 of 10"):
        OneCycle(1.0, 10).learning_rate(10)
