"""The range test against its definition, on losses that are known."""

import math

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.training.lr_range import range_test, smooth, suggest_rate
from mindspore_dpus.training.settings import LrRangeSettings

CONFIG = LrRangeSettings(low=1e-6, high=1.0, steps=61)


def sweep(loss, config=CONFIG):
    rates = []

    def step(rate):
        rates.append(rate)
        return loss(rate)

    return range_test(step, config), rates


def test_rates_grow_by_one_factor():
    table, rates = sweep(lambda rate: 1.0)
    assert table["rate"].tolist() == rates
    assert len(rates) == 61
    assert (rates[0], rates[-1]) == pytest.approx((1e-6, 1.0))
    assert np.allclose(np.diff(np.log10(rates)), 0.1)


def test_smoothing_is_a_bias_corrected_average():
    losses = [3.0, 1.0, 2.0]
    weights = [0.1 * 0.9**2, 0.1 * 0.9, 0.1]
    expected = sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)
    assert smooth(losses, 0.9)[-1] == pytest.approx(expected)
    assert smooth([5.0] * 4, 0.9) == pytest.approx([5.0] * 4)


def test_smoothing_equals_pandas():
    losses = np.random.default_rng(0).normal(size=50)
    expected = pd.Series(losses).ewm(alpha=0.02, adjust=True).mean()
    assert smooth(losses, 0.98) == pytest.approx(expected.to_numpy())


def test_the_suggestion_is_the_steepest_descent():
    # A smoothed loss whose slope over log(rate) is known: a logistic step down around 1e-3.
    rates = np.geomspace(1e-6, 1.0, 61)
    smoothed = 2 - 1 / (1 + np.exp(-3 * np.log(rates / 1e-3)))
    table = pd.DataFrame({"rate": rates, "loss": smoothed, "smoothed": smoothed})
    assert suggest_rate(table) == pytest.approx(1e-3)


def test_what_comes_after_the_minimum_does_not_count():
    rates = np.geomspace(1e-6, 1.0, 61)
    falls = np.where((np.arange(61) > 17) & (np.arange(61) <= 23), 0.1, 0.02)  # steepest from 17 to 23
    smoothed = 5.0 - np.cumsum(falls)
    smoothed[31:] = 9.0
    smoothed[41:] = 5.0  # falls further, but from an exploded loss
    assert smoothed[30] == smoothed.min()
    table = pd.DataFrame({"rate": rates, "loss": smoothed, "smoothed": smoothed})
    assert suggest_rate(table) == rates[20]


def test_the_noise_of_the_first_batches_is_no_direction():
    # A loss that falls by 0.15 around 1e-2 and explodes above 0.3, in batches that differ by 0.06: what
    # one network on radiographs showed. The slope between neighbours alone, from a tenth of the steps
    # on, is right for 8 of these 20.
    found = []
    for seed in range(20):
        noise = iter(np.random.default_rng(seed).normal(0, 0.06, 100))

        def loss(rate, noise=noise):
            return 1.05 - 0.15 / (1 + (1e-2 / rate) ** 1.5) + max(0.0, rate - 0.3) + next(noise)

        found.append(suggest_rate(sweep(loss, LrRangeSettings())[0]))
    assert sum(5e-4 < rate < 0.3 for rate in found) >= 19


def test_a_loss_that_falls_ever_faster_is_refused():
    table, _ = sweep(lambda rate: 2.0 - rate)
    with pytest.raises(UserError, match=r"fell faster than ever: raise training\.lr_range\.high"):
        suggest_rate(table)


def test_the_smoothed_loss_looks_back_over_half_of_the_steps():
    table, _ = sweep(lambda rate: 1.0 + rate, LrRangeSettings(low=1e-6, high=1.0, steps=20))
    assert table["smoothed"].to_numpy() == pytest.approx(smooth(table["loss"], 0.9))


def test_it_stops_when_the_loss_explodes():
    table, rates = sweep(lambda rate: 1.0 if rate < 1e-3 else 1e3)
    assert 0.9e-3 < rates[-1] < 2e-3
    assert len(table) == len(rates)


def test_it_stops_at_a_loss_that_is_not_a_number_and_leaves_it_out():
    table, rates = sweep(lambda rate: 1.0 if rate < 0.9e-3 else math.nan)
    assert rates[-1] == pytest.approx(1e-3)
    assert len(table) == len(rates) - 1 == 30
    assert np.isfinite(table.to_numpy()).all()


@pytest.mark.parametrize("loss", [lambda rate: 1.0 + rate, lambda rate: math.nan])
def test_a_loss_that_never_falls_is_refused(loss):
    table, _ = sweep(loss)
    with pytest.raises(UserError, match=r"no falling loss.*training\.lr_range\.low"):
        suggest_rate(table)
