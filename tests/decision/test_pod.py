"""POD against scikit-learn's unpenalised fit and a profile likelihood by another route."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.pod import MIN_FLAWS, fit_pod


def inspected(n=120, seed=0, a50=3.0, slope=4.0):
    """Sizes between 1 and 10, and hits by a known curve."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(0, math.log(10), n))
    return sizes, rng.random(n) < expit(slope * (np.log(sizes) - math.log(a50)))


def log_likelihood(intercept, slope, sizes, hits):
    eta = intercept + slope * np.log(sizes)
    return -np.logaddexp(0, np.where(hits, -eta, eta)).sum()


def profile(size, pod, sizes, hits):
    """The largest log-likelihood of a curve that has this POD at this size."""

    def negative(slope):
        return -log_likelihood(logit(pod) - slope * math.log(size), slope, sizes, hits)

    return -minimize_scalar(negative, bounds=(-50, 50), method="bounded", options={"xatol": 1e-10}).fun


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_scikit_learns_without_penalty(seed):
    sizes, hits = inspected(seed=seed)
    fit = fit_pod(sizes, hits)
    reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(np.log(sizes)[:, None], hits)
    assert fit.slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert fit.intercept == pytest.approx(reference.intercept_[0], rel=1e-4)
    assert expit(fit.intercept + fit.slope * math.log(fit.a50)) == pytest.approx(0.5)
    assert expit(fit.intercept + fit.slope * math.log(fit.a90)) == pytest.approx(0.9)
    expected = reference.predict_proba(np.log(fit.sizes)[:, None])[:, 1]
    np.testing.assert_allclose(fit.pod, expected, atol=1e-5)
    assert (fit.n_flaws, fit.n_hits) == (120, hits.sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_limit_of_a90_is_where_the_profile_likelihood_has_dropped_enough(seed, confidence):
    sizes, hits = inspected(seed=seed)
    fit = fit_pod(sizes, hits, confidence)
    best = log_likelihood(fit.intercept, fit.slope, sizes, hits)
    drop = chi2.ppf(2 * confidence - 1, df=1)

    def surplus(size):
        return 2 * (best - profile(size, 0.9, sizes, hits)) - drop

    assert fit.a90_limit == pytest.approx(brentq(surplus, fit.a90, 10 * fit.a90), rel=1e-4)


def test_the_lower_curve_is_the_profile_likelihoods():
    sizes, hits = inspected()
    fit = fit_pod(sizes, hits)
    best = log_likelihood(fit.intercept, fit.slope, sizes, hits)
    for place in (0, 20, 40, 59):
        at = fit.sizes[place]

        def surplus(eta, at=at):
            return 2 * (best - profile(at, expit(eta), sizes, hits)) - chi2.ppf(0.9, df=1)

        eta = logit(fit.pod[place])
        lower = expit(brentq(surplus, eta - 12, eta))
        assert fit.lower[place] == pytest.approx(lower, abs=2e-4)


def test_the_limit_is_where_the_lower_curve_crosses():
    sizes, hits = inspected()
    fit = fit_pod(sizes, hits)
    crossing = np.exp(np.interp(0.9, fit.lower, np.log(fit.sizes)))
    assert fit.a90_limit == pytest.approx(crossing, rel=0.01)
    assert fit.a90 < fit.a90_limit
    assert (np.diff(fit.pod) > 0).all()
    assert (np.array(fit.lower) < fit.pod).all()


def test_sizes_in_another_unit_give_the_same_curve():
    sizes, hits = inspected()
    first, second = fit_pod(sizes, hits), fit_pod(1000 * sizes, hits)
    assert second.a90_limit == pytest.approx(1000 * first.a90_limit)
    np.testing.assert_allclose(second.lower, first.lower, atol=1e-6)


def test_a_slope_that_may_be_none_has_no_limit():
    sizes, hits = inspected(n=60, seed=4, slope=0.35)
    fit = fit_pod(sizes, hits)
    assert fit.slope > 0
    assert fit.a90_limit is None


def case(found, missed):
    sizes = np.array([*found, *missed], float)
    return sizes, np.repeat([True, False], [len(found), len(missed)])


UP, DOWN = np.linspace(5, 10, 40), np.linspace(1, 5, 40)


@pytest.mark.parametrize(
    ("sizes", "hits", "confidence", "message"),
    [
        (*inspected(n=MIN_FLAWS - 1), 0.95, "59 flaws of known size; MIL-HDBK-1823A asks for 60"),
        (UP.repeat(2), np.ones(80, bool), 0.95, "all of the 80 flaws were found"),
        (UP.repeat(2), np.zeros(80, bool), 0.95, "none of the 80 flaws were found"),
        (*case(UP, DOWN), 0.95, r"found \(5 to 10\) and flaws missed \(1 to 5\) do not overlap"),
        (*case(DOWN, UP), 0.95, "do not overlap in size"),
        (*case(np.full(40, 3), np.full(40, 3)), 0.95, "do not overlap in size"),
        (*case([*DOWN, 9], [*UP, 2]), 0.95, "not found more often"),
        (*inspected(), 0.5, "must be above 0.5"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(sizes, hits, confidence, message):
    with pytest.raises(UserError, match=message) as caught:
        fit_pod(sizes, hits, confidence)
    assert "\n" not in str(caught.value)


def test_almost_parted_hits_and_misses_still_fit():
    fit = fit_pod(*case([*UP, 4.9], [*DOWN[:-1], 5.1]))
    assert 4 < fit.a50 < 6
    assert fit.a90 < fit.a90_limit < 7
