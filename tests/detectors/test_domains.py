"""Pseudo-normals between the domains, one detector for both, Eq. 7 and 8."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta, kstest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors import create_detector
from mindspore_dpus.detectors.domains import (
    fit_generalised,
    mean_logit,
    specialised_scores,
    target_probability,
)
from mindspore_dpus.detectors.pseudo_normals import pseudo_normals

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(60, 4))
TARGET = RNG.normal(size=(5, 4)) + 20


def test_pseudo_normals_lie_on_a_line_from_a_source_to_a_target():
    # Numbers that name their pair: their share can be read off, and then which they were.
    source = np.column_stack([np.arange(6), np.zeros(6)])
    target = np.column_stack([np.arange(3) * 100, np.ones(3)])
    made = pseudo_normals(source, target, random_state=1)
    assert made.shape == (50, 2)
    share = 1 - made[:, 1]
    for value, s in zip(made[:, 0], share, strict=True):
        ends = s * np.arange(6)[:, None] + (1 - s) * np.arange(3) * 100
        assert np.abs(ends - value).min() < 1e-9


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_shares_follow_their_distribution(alpha):
    made = pseudo_normals(np.ones((1, 1)), np.zeros((1, 1)), number=4000, alpha=alpha)
    assert kstest(made[:, 0], beta(alpha, alpha).cdf).pvalue > 0.001


def test_pseudo_normals_are_seeded_and_need_both_domains():
    first = pseudo_normals(SOURCE, TARGET, random_state=3)
    assert np.array_equal(first, pseudo_normals(SOURCE, TARGET, random_state=3))
    assert not np.array_equal(first, pseudo_normals(SOURCE, TARGET, random_state=4))
    with pytest.raises(UserError, match="no normal of the target domain"):
        pseudo_normals(SOURCE, TARGET[:0])
    with pytest.raises(UserError, match="no normal of the source domain"):
        pseudo_normals(SOURCE[:0], TARGET)
    with pytest.raises(UserError, match="alpha 0"):
        pseudo_normals(SOURCE, TARGET, alpha=0)


def knn():
    return create_detector("knn", 1)


def test_the_generalised_detector_knows_both_domains_and_what_is_between():
    detector = fit_generalised(knn, SOURCE, TARGET, random_state=2)
    expected = np.concatenate([SOURCE, TARGET, pseudo_normals(SOURCE, TARGET, random_state=2)])
    assert np.array_equal(detector.points, expected)
    halfway = (SOURCE.mean(axis=0) + TARGET.mean(axis=0))[None] / 2
    without = fit_generalised(knn, SOURCE, TARGET, n_pseudo=0)
    assert len(without.points) == 65
    assert detector.score(halfway) < without.score(halfway) / 2


def test_without_a_target_domain_there_is_nothing_to_mix():
    assert len(fit_generalised(knn, SOURCE, TARGET[:0], n_pseudo=0).points) == 60
    with pytest.raises(UserError, match="target domain"):
        fit_generalised(knn, SOURCE, TARGET[:0])


def test_one_logit_of_those_vectors_that_can_tell_the_domains_apart():
    none = -np.inf
    found = mean_logit([np.array([1.0, none, none]), np.array([3.0, 2.0, none])])
    assert found.tolist() == [2, 2, none]
    assert target_probability(found)[2] == 0


def test_equation_7():
    logits = np.linspace(-3, 3, 101)
    assert np.abs(target_probability(logits) - expit(logits / 0.15)).max() < 1e-15
    with np.errstate(over="raise", invalid="raise"):
        assert target_probability(np.array([-1e9, 0, 1e9])).tolist() == [0, 0.5, 1]
    with pytest.raises(UserError, match="kappa 0"):
        target_probability(logits, 0)


def test_equation_8():
    scores = specialised_scores([1.0, 1, 1, -2], [5.0, 5, 5, 2], [0, 1, 0.25, 0.5])
    assert scores.tolist() == [1, 5, 2, 0]
    with pytest.raises(ValueError, match="differ in shape"):
        specialised_scores([1.0], [1.0, 2.0], [0.5, 0.5])
    with pytest.raises(ValueError, match="not between 0 and 1"):
        specialised_scores([1.0], [1.0], [1.5])
