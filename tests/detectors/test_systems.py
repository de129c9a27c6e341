"""Systems of one domain: what they are fitted on, what is held out, and how an ensemble weighs them."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.systems import Fitting, Model, Vectors, domain_weighted

FITTING = Fitting(pseudo_normals=3, folds=3, seed=0)
RNG = np.random.default_rng(0)
# Eight clips of two segments, the last three of the target domain.
VECTORS = Vectors(RNG.normal(size=(16, 2)), np.repeat(np.arange(8), 2))
IS_TARGET = VECTORS.clips >= 5


def knn(domain, size=1):
    return Model("simple", "knn", size, domain)


def test_each_domains_model_learns_from_its_own_normals():
    for domain, rows in (("source", ~IS_TARGET), ("target", IS_TARGET)):
        detector = FITTING.fit(knn(domain), VECTORS.X, IS_TARGET)
        assert np.array_equal(detector.points, VECTORS.X[rows])
    both = FITTING.fit(knn("both"), VECTORS.X, IS_TARGET)
    assert len(both.points) == 16 + 3


def test_the_target_domains_model_has_the_size_that_it_is_asked_for():
    assert FITTING.fit(knn("target", 4), VECTORS.X, IS_TARGET).size == 4
    with pytest.raises(UserError, match="size 7 needs at least 7 normals, there are 6"):
        FITTING.fit(knn("target", 7), VECTORS.X, IS_TARGET)


def test_held_out_scores_are_of_the_models_domain_and_of_other_clips():
    scores, clips = FITTING.held_out(knn("target"), VECTORS, IS_TARGET)
    assert clips.tolist() == [5, 5, 6, 6, 7, 7]
    for score, clip, x in zip(scores, clips, VECTORS.X[IS_TARGET], strict=True):
        others = VECTORS.X[IS_TARGET & (VECTORS.clips != clip)]
        assert score == pytest.approx(np.linalg.norm(others - x, axis=1).min(), abs=1e-12)
    with pytest.raises(UserError, match="1 normal clip of the target domain .* two or more"):
        FITTING.held_out(knn("target"), VECTORS, VECTORS.clips == 7)


def test_an_ensemble_of_each_domains_systems_is_weighted_by_equation_8():
    source, target = np.array([1.0, 1, 1]), np.array([5.0, 5, 5])
    found = domain_weighted({"source": source, "target": target}, np.array([0, 0.25, 1]))
    assert found.tolist() == [1, 2, 5]
    # A section without normals of a domain; and one model of both, which takes no weight.
    for domain in ("source", "target", "both"):
        assert domain_weighted({domain: target}, np.array([0, 0.25, 1])) is target
