"""The gamma threshold beside scipy, on scores of every kind."""

import numpy as np
import pytest
from scipy.stats import gamma

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.gamma import gamma_threshold


def scores(n=2000, seed=0):
    return gamma(3.0, loc=5.0, scale=2.0).rvs(n, random_state=seed)


def test_the_true_quantile_is_found():
    found = gamma_threshold(scores(20000))
    assert found.threshold == pytest.approx(gamma(3.0, loc=5.0, scale=2.0).ppf(0.9), rel=0.01)
    assert found.exceeded == pytest.approx(0.1, abs=0.005)
    assert (found.quantile, found.n_normals) == (0.9, 20000)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_the_threshold_is_the_quantile_of_the_fit(quantile):
    found = gamma_threshold(scores(), quantile)
    expected = gamma.ppf(quantile, found.shape, loc=found.location, scale=found.scale)
    assert found.threshold == pytest.approx(expected, rel=1e-12)
    assert found.exceeded == (scores() > found.threshold).mean()


def test_the_fit_is_as_likely_as_scipys_own():
    found = gamma_threshold(scores())
    ours = gamma(found.shape, found.location, found.scale).logpdf(scores()).sum()
    assert ours >= gamma(*gamma.fit(scores())).logpdf(scores()).sum() - 0.5


@pytest.mark.parametrize(("factor", "offset"), [(1e-6, 0), (1e6, 0), (1, -100), (10, 7)])
def test_unit_and_offset_of_scores_do_not_matter(factor, offset):
    expected = gamma_threshold(scores()).threshold * factor + offset
    found = gamma_threshold(scores() * factor + offset).threshold
    assert abs(found - expected) < 0.01 * factor * scores().std()


def test_negative_scores_and_a_tail_to_the_left():
    normal = np.random.default_rng(0).normal(size=5000)
    assert gamma_threshold(normal).threshold == pytest.approx(1.2816, abs=0.06)
    # A gamma distribution leans the other way: at best it is a normal one, and ``exceeded`` tells.
    left = gamma_threshold(-scores())
    assert left.threshold == pytest.approx(-scores().mean() + 1.2816 * scores().std(), abs=0.5)
    assert left.exceeded < 0.05


def test_a_fixed_location_equals_scipys():
    found = gamma_threshold(scores(), location=0.0)
    shape, _, scale = gamma.fit(scores(), floc=0)
    assert found.location == 0
    assert found.threshold == pytest.approx(gamma.ppf(0.9, shape, scale=scale), rel=1e-6)
    with pytest.raises(UserError, match="at or below the location 6; leave the location free"):
        gamma_threshold(scores(), location=6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 1, 1, 1, 1], "all 5 scores of normals are 1"),
        ([0.0] * 9, "all 9 scores"),
        ([0.1 + 0.2, 0.3] * 3, "all 6 scores"),
        ([1.0, 2, 3], "3 scores of normals; at least 4"),
        ([1.0, 2, 3, np.nan], "not finite"),
    ],
)
def test_scores_that_no_distribution_fits_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        gamma_threshold(np.array(values))


def test_quantiles_are_between_0_and_1():
    for quantile in (0, 1, -0.1):
        with pytest.raises(UserError, match="must be between 0 and 1"):
            gamma_threshold(scores(), quantile)


def test_a_runaway_fit_is_an_error(monkeypatch):
    monkeypatch.setattr(gamma, "fit", lambda *_, **__: (1e-3, 0.0, 1e9))
    with pytest.raises(UserError, match="the fit has failed .* use another rule"):
        gamma_threshold(scores(), 0.999)

    def fail(*_, **__):
        raise RuntimeError("no convergence")

    monkeypatch.setattr(gamma, "fit", fail)
    with pytest.raises(UserError, match="no convergence"):
        gamma_threshold(scores())
