"""Scores on one scale, and which of the two ways leaks."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.standardise import apply_moments, section_moments, standardise

RNG = np.random.default_rng(0)
SECTIONS = RNG.permutation(np.repeat(["fan/00", "fan/01"], [30, 20]))
SCORES = RNG.normal(size=50) * np.where(SECTIONS == "fan/00", 2, 50) + 7
TRAIN_SECTIONS = np.repeat(["fan/00", "fan/01"], 40)
TRAIN = RNG.normal(size=80) * 3 + 1


def test_by_test_each_section_gets_mean_zero_and_deviation_one():
    scores = standardise(SCORES, SECTIONS, by="test")
    for section in np.unique(SECTIONS):
        own = scores[section == SECTIONS]
        assert abs(own.mean()) < 1e-12
        assert abs(own.std() - 1) < 1e-12


def by_train(scores, sections):
    return standardise(scores, sections, by="train", train_scores=TRAIN, train_sections=TRAIN_SECTIONS)


def test_by_train_only_normals_give_the_scale():
    scores = by_train(SCORES, SECTIONS)
    for i, section in enumerate(SECTIONS):
        own = TRAIN[section == TRAIN_SECTIONS]
        assert scores[i] == pytest.approx((SCORES[i] - own.mean()) / own.std(), abs=1e-12)


def test_by_train_a_clip_alone_has_the_same_score_and_by_test_it_has_not():
    assert by_train(SCORES[:1], SECTIONS[:1]) == by_train(SCORES, SECTIONS)[0]
    part = standardise(SCORES[:40], SECTIONS[:40], by="test")
    assert not np.allclose(part, standardise(SCORES, SECTIONS, by="test")[:40])


@pytest.mark.parametrize("scores", [np.ones(5), np.full(5, 0.1 + 0.2), np.zeros(5)])
def test_equal_scores_have_no_scale(scores):
    with pytest.raises(UserError, match="section a: its 5 scores do not differ"):
        section_moments(scores, np.repeat("a", 5))


def test_sections_that_training_never_saw_are_refused():
    moments = section_moments(TRAIN, TRAIN_SECTIONS)
    with pytest.raises(UserError, match="section fan/02: training never saw it"):
        apply_moments(np.ones(1), np.array(["fan/02"]), moments)
    assert apply_moments(np.ones(0), np.array([], str), moments).shape == (0,)


def test_wrong_arguments_are_refused():
    with pytest.raises(UserError, match="standardise.by: 'all'"):
        standardise(SCORES, SECTIONS, by="all")
    with pytest.raises(ValueError, match="belong to by='train'"):
        standardise(SCORES, SECTIONS, by="train")
    with pytest.raises(ValueError, match="belong to by='train'"):
        standardise(SCORES, SECTIONS, by="test", train_scores=TRAIN, train_sections=TRAIN_SECTIONS)
