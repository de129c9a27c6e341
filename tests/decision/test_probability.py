"""Priors by counting; temperature and prior correction fit each other."""

import numpy as np
import pytest
from scipy.special import expit

from mindspore_dpus.decision.probability import (
    apply_temperature,
    correct_prior,
    log_odds,
    weighted_prior,
)
from tests.decision.test_calibration import logistic_world


def test_correction_is_bayes_by_counting():
    # 30 defects and 10 of 40 normals drawn: beta = 1/4, as Dal Pozzolo et al. write it.
    p, beta = 0.7, 10 / 40
    drawn, whole = 30 / 40, 30 / 70
    assert correct_prior(p, drawn, whole) == pytest.approx(beta * p / (beta * p - p + 1))
    # Of 1000 images with that score and drawn: 700 defects, 300 normals that stand for 1200.
    assert correct_prior(p, drawn, whole) == pytest.approx(700 / (700 + 1200))


def test_correction_keeps_the_order_and_both_ends_and_comes_back():
    p = np.linspace(0, 1, 101)
    there = correct_prior(p, 0.5, 0.01)
    assert (np.diff(there) > 0).all()
    assert (there[0], there[-1]) == (0, 1)
    assert there[1:-1].max() < 0.51
    np.testing.assert_allclose(correct_prior(there, 0.01, 0.5), p, atol=1e-12)
    np.testing.assert_array_equal(correct_prior(p, 0.3, 0.3), p)


def test_corrected_posteriors_of_under_sampled_data_are_those_of_all_data():
    is_defect, evidence = logistic_world(200_000, 0.05)
    rng = np.random.default_rng(1)
    kept = is_defect | (rng.random(len(is_defect)) < 0.1)
    # The best posterior on the drawn images, by the same likelihood ratio.
    drawn_share = is_defect[kept].mean()
    scores = expit(evidence + log_odds(drawn_share))
    corrected = correct_prior(scores, drawn_share, is_defect.mean())
    for low in (0.0, 0.1, 0.3, 0.6):
        inside = (corrected >= low) & (corrected < low + 0.1)
        assert is_defect[inside].mean() == pytest.approx(corrected[inside].mean(), abs=0.03)


def test_class_weights_shift_the_prior_as_copies_would():
    # 10 defects weighing 3 beside 60 normals weighing 0.5 are 30 beside 30.
    assert weighted_prior(10 / 70, 3, 0.5) == pytest.approx(0.5)
    assert weighted_prior(0.2, 2, 2) == pytest.approx(0.2)


def test_a_temperature_of_one_is_the_prior_correction():
    scores = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(
        apply_temperature(scores, 1.0, 0.4, 0.02), correct_prior(scores, 0.4, 0.02), rtol=1e-9
    )


def test_saturated_scores_stay_numbers():
    p = apply_temperature(np.array([0.0, 1.0], np.float32), 0.5, 0.5, 0.5)
    assert 0 < p[0] < 1e-6 < 1 - 1e-6 < p[1] <= 1
