"""Temperature and isotonic against independent fits, Brier by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.calibration import (
    brier_score,
    fit_isotonic,
    fit_temperature,
    reliability,
)
from mindspore_dpus.decision.probability import apply_temperature, correct_prior, log_odds


def logistic_world(n, prior, seed=0, sharpness=1.0):
    """Labels, and posteriors that are exactly right at that prior (two normal densities)."""
    rng = np.random.default_rng(seed)
    is_defect = rng.random(n) < prior
    x = rng.normal(np.where(is_defect, 1.0, -1.0), 1.2)
    evidence = 2 * x / 1.2**2
    return is_defect, evidence


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize(("carried", "own"), [(0.5, 0.5), (0.1, 0.5), (0.5, 0.1)])
def test_the_temperature_of_made_up_scores_is_found_whatever_the_priors(true_temperature, carried, own):
    is_defect, evidence = logistic_world(30_000, own)
    scores = expit(true_temperature * evidence + log_odds(carried))
    assert fit_temperature(is_defect, scores, carried) == pytest.approx(true_temperature, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_temperature_has_the_smallest_log_loss(seed):
    is_defect, evidence = logistic_world(120, 0.4, seed)
    scores = expit(2.3 * evidence + 0.7)
    own, carried = is_defect.mean(), 0.3

    def log_loss(log_t):
        p = np.clip(apply_temperature(scores, float(np.exp(log_t[0])), carried, own), 1e-15, 1 - 1e-15)
        return -np.mean(np.where(is_defect, np.log(p), np.log1p(-p)))

    found = minimize(log_loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14})
    assert fit_temperature(is_defect, scores, carried) == pytest.approx(np.exp(found.x[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("scores", "message"),
    [([0.1, 0.2, 0.8, 0.9], "without a fault"), ([0.9, 0.8, 0.2, 0.3], "no better than chance")],
)
def test_no_temperature_is_said_and_what_to_do(scores, message):
    is_defect = np.array([False, False, True, True])
    with pytest.raises(UserError, match=f"decision.calibration.*{message}.*isotonic"):
        fit_temperature(is_defect, np.array(scores), 0.5)


def test_isotonic_interpolates_as_scikit_learn_predicts():
    is_defect, evidence = logistic_world(300, 0.5)
    scores = np.round(expit(3 * evidence), 2)
    corners, values = fit_isotonic(is_defect, scores)
    new = np.random.default_rng(3).random(500)
    reference = IsotonicRegression(out_of_bounds="clip").fit(scores, is_defect)
    np.testing.assert_allclose(np.interp(new, corners, values), reference.predict(new), atol=1e-12)
    # It carries the prior of the images that it was fitted to.
    assert np.interp(scores, corners, values).mean() == pytest.approx(is_defect.mean())


def test_brier_at_the_own_prior_is_scikit_learns():
    is_defect, evidence = logistic_world(200, 0.3)
    p = expit(evidence)
    ours = brier_score(is_defect, p, is_defect.mean())
    assert ours == pytest.approx(brier_score_loss(is_defect, p))


def test_brier_at_another_prior_is_that_of_repeated_images():
    is_defect = np.array([True, True, False])
    p = np.array([0.9, 0.4, 0.2])
    # One defect in nine: every normal counts as sixteen.
    repeated = np.r_[p[:2], np.repeat(p[2], 16)], np.r_[is_defect[:2], np.zeros(16, bool)]
    assert brier_score(is_defect, p, 1 / 9) == pytest.approx(brier_score_loss(repeated[1], repeated[0]))
    assert brier_score(is_defect, np.full(3, 0.1), 0.1) == pytest.approx(0.09)
    assert np.isnan(brier_score(np.ones(3, bool), p, 0.5))


def test_the_right_correction_has_the_best_brier_score_at_its_prior():
    is_defect, evidence = logistic_world(20_000, 0.5)
    scores = expit(evidence)
    errors = {
        w: brier_score(is_defect, correct_prior(scores, 0.5, w), 0.02) for w in (0.5, 0.1, 0.02, 0.004)
    }
    assert min(errors, key=errors.get) == 0.02


def test_reliability_counts_every_image_once_and_keeps_ties_together():
    rng = np.random.default_rng(0)
    p = np.round(rng.random(97), 1)
    is_defect = rng.random(97) < p
    rows = reliability(is_defect, p, float(is_defect.mean()))
    assert sum(row["images"] for row in rows) == 97
    assert sum(row["defects"] for row in rows) == is_defect.sum()
    assert all(row["images"] > 0 for row in rows)
    stated = [row["stated"] for row in rows]
    assert stated == sorted(stated)
    assert len(rows) <= 10
    for row in rows:
        assert row["observed"] == pytest.approx(row["defects"] / row["images"])
        assert row["low"] <= row["observed"] + 1e-12 <= row["high"] + 2e-12


def test_equal_probabilities_are_one_bin():
    rows = reliability(np.array([True, False, False, False]), np.full(4, 0.25), 0.25)
    assert [(row["images"], row["stated"], row["observed"]) for row in rows] == [(4, 0.25, 0.25)]


def test_right_probabilities_lie_on_the_diagonal_at_another_prior_too():
    is_defect, evidence = logistic_world(60_000, 0.5)
    p = expit(evidence + log_odds(0.05))
    for row in reliability(is_defect, p, 0.05, confidence=0.9999):
        assert row["low"] <= row["stated"] <= row["high"]
        assert row["observed"] == pytest.approx(row["stated"], rel=0.15)
