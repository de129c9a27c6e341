"""Searches: their draws, and their rounds against scikit-learn's."""

import math
import warnings

import numpy as np
import pytest
import yaml
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.search import (
    Round,
    grid_candidates,
    halving_rounds,
    random_candidates,
    survivors,
)

# As section 2.3 of the traffic-sign paper declares it, but for the ranges.
SPACE = yaml.safe_load("""
training.optimizer: [adam, adamax, nadam, sgd]
training.learning_rate: {low: 1.0e-6, high: 1.0e-3, log: true}
model.options:
  - {layers: [300, 150], dropout: 0.3}
  - {layers: [1024, 768, 512], dropout: 0.2}
training.batch_size: {low: 32, high: 35}
augment.contrast: {low: 0, high: 0.5}
""")


def test_a_grid_is_every_combination():
    space = {"b": [1, 2], "a": ["x", {"layers": [3, 4]}]}
    assert grid_candidates(space) == [
        {"b": 1, "a": "x"},
        {"b": 2, "a": "x"},
        {"b": 1, "a": {"layers": [3, 4]}},
        {"b": 2, "a": {"layers": [3, 4]}},
    ]
    assert list(grid_candidates(space)[0]) == ["b", "a"]
    with pytest.raises(UserError, match="b is a range; a grid needs lists"):
        grid_candidates({"b": {"low": 0, "high": 1}})


def test_draws_follow_the_space():
    drawn = random_candidates(SPACE, 600, seed=0)
    assert all(list(candidate) == list(SPACE) for candidate in drawn)
    assert yaml.safe_load(yaml.safe_dump(drawn[0])) == drawn[0]
    rates = np.log10([c["training.learning_rate"] for c in drawn])
    contrast = np.array([c["augment.contrast"] for c in drawn])
    sizes = [c["training.batch_size"] for c in drawn]
    assert {type(size) for size in sizes} == {int}
    # Five standard deviations.
    for values, low, high in ((rates, -6, -3), (contrast, 0, 0.5)):
        assert low <= values.min() < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / math.sqrt(12 * 600)
    for values, expected in (
        (sizes, {32, 33, 34, 35}),
        ([c["training.optimizer"] for c in drawn], {"adam", "adamax", "nadam", "sgd"}),
        ([c["model.options"]["dropout"] for c in drawn], {0.3, 0.2}),
    ):
        found, counts = np.unique(values, return_counts=True)
        assert set(found.tolist()) == expected
        share = 1 / len(expected)
        assert np.abs(counts / 600 - share).max() < 5 * math.sqrt(share * (1 - share) / 600)


def test_equal_seeds_draw_alike():
    first, same, other = (random_candidates(SPACE, 5, seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_of_lists_none_is_drawn_twice():
    space = {"a": [1, 2, 3], "b": [4, 5]}
    drawn = random_candidates(space, 6, seed=0)
    assert sorted((c["a"], c["b"]) for c in drawn) == [(1, 4), (1, 5), (2, 4), (2, 5), (3, 4), (3, 5)]
    with pytest.raises(UserError, match="7 candidates are asked for; the space has only 6"):
        random_candidates(space, 7, seed=0)
    with pytest.raises(UserError, match="number of candidates is 0; it must be 1 or more"):
        random_candidates(space, 0, seed=0)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("3", "a is 3; it must be a list of values, or a range {low, high, log}"),
        ("[]", "a has no values"),
        ("{low: 1}", "a is {'low': 1}; it must be a list"),
        ("{low: 1, high: 2, step: 1}", "it must be a list of values, or a range"),
        ("{low: 1e-5, high: 1.0}", "low is '1e-5'; it must be a number; YAML .* write 1.0e-5$"),
        ("{low: 0.1, high: .inf}", "high is inf; it must be a number$"),
        ("{low: true, high: 2}", "low is True; it must be a number$"),
        ("{low: 2, high: 2}", "low is 2; it must be below high, 2"),
        ("{low: 0.0, high: 1, log: true}", "low is 0.0; with log it must be above 0"),
        ("{low: 1, high: 9, log: true}", "whole numbers are not drawn with log; .* write 1.0 for"),
        ("{low: 0.1, high: 1, log: yess}", "log is 'yess'; it must be true or false"),
    ],
)
def test_what_is_no_space_is_named(declared, message):
    with pytest.raises(UserError, match=f"search: .*{message}"):
        random_candidates({"a": yaml.safe_load(declared)}, 1, 0)


@pytest.mark.parametrize("space", [{}, [1], None])
def test_an_empty_space_is_named(space):
    with pytest.raises(UserError, match="the space must map keys"):
        random_candidates(space, 1, 0)


def test_rounds_by_hand():
    assert halving_rounds(27, 54, 2) == [Round(27, 2), Round(9, 6), Round(3, 18), Round(1, 54)]
    assert halving_rounds(10, 100) == [Round(10, 11), Round(4, 33), Round(2, 99)]
    assert halving_rounds(None, 30, 3) == [Round(10, 3), Round(4, 9), Round(2, 27)]
    assert halving_rounds(20, 10, 3) == [Round(20, 3), Round(7, 9)]  # More would exceed ten epochs.
    assert halving_rounds(8, 8, 1, factor=2) == [Round(8, 1), Round(4, 2), Round(2, 4), Round(1, 8)]
    assert halving_rounds(1, 10) == [Round(1, 10)]
    # Floats make the logarithm of 243 to the base 3 less than 5.
    assert halving_rounds(243, 243)[-1] == Round(1, 243)


class Scored(BaseEstimator):
    """Learns nothing; its score is its parameter."""

    def __init__(self, quality=0.0, epochs=1):
        self.quality = quality
        self.epochs = epochs

    def fit(self, X, y):
        return self

    def score(self, X, y):
        return self.quality


@pytest.mark.parametrize("candidates", [1, 2, 5, 8, 10, 20, 31, None])
@pytest.mark.parametrize("max_epochs", [7, 40, 100])
@pytest.mark.parametrize("min_epochs", [2, 5, None])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_rounds_are_scikit_learns(candidates, max_epochs, min_epochs, factor):
    if candidates is None and min_epochs is None:
        with pytest.raises(UserError, match="give candidates, min_epochs or both"):
            halving_rounds(candidates, max_epochs, min_epochs, factor)
        return
    qualities = [0.3, 0.9, 0.1, *np.random.default_rng(0).random(60).tolist()]
    search = HalvingRandomSearchCV(
        Scored(),
        {"quality": qualities},
        resource="epochs",
        n_candidates=candidates or "exhaust",
        min_resources=min_epochs or "exhaust",
        max_resources=max_epochs,
        factor=factor,
        random_state=0,
        refit=False,
        cv=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(np.zeros((4, 1)), [0, 1, 0, 1])
    expected = zip(search.n_candidates_, search.n_resources_, strict=True)
    rounds = halving_rounds(candidates, max_epochs, min_epochs, factor)
    assert rounds == [Round(*pair) for pair in expected]
    # Who goes on: the same candidates.
    iterations = np.array(search.cv_results_["iter"])
    drawn = np.array([p["quality"] for p in search.cv_results_["params"]])
    for i in range(len(rounds) - 1):
        before, after = drawn[iterations == i], drawn[iterations == i + 1]
        kept = survivors(before, rounds[i + 1].candidates)
        assert sorted(before[kept]) == sorted(after)


def test_the_best_go_on():
    nan = float("nan")
    assert survivors([0.1, nan, 0.5, 0.5, 0.3], 3) == [2, 3, 4]
    assert survivors([0.1, nan, 0.5, 0.5, 0.3], 2, largest=False) == [0, 4]
    with pytest.raises(UserError, match="2 of 3 candidates should go on, but only 1 have a score"):
        survivors([nan, 0.2, nan], 2)
    with pytest.raises(ValueError, match="keep is 0"):
        survivors([0.2], 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10), "candidates is 0; it must be 1 or more"),
        ((5, 0), "max_epochs is 0; it must be 1 or more"),
        ((5, 10, 0), "min_epochs is 0; it must be 1 or more"),
        ((5, 10, 2, 1), "factor is 1; it must be 2 or more"),
        ((5, 10, 11), "min_epochs is 11, more than max_epochs, 10"),
        ((None, 10, 11), "min_epochs is 11, more than max_epochs, 10"),
    ],
)
def test_impossible_rounds_are_named(arguments, message):
    with pytest.raises(UserError, match=f"search: {message}"):
        halving_rounds(*arguments)
