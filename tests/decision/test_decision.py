"""A decision is what validation says, comes back from its file as it was, and refuses another's."""

import dataclasses
import json

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.assessment import assess, describe, percent, summary_line
from mindspore_dpus.decision.calibration import brier_score
from mindspore_dpus.decision.choice import decide
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.probability import apply_temperature, correct_prior
from mindspore_dpus.decision.settings import DecisionSettings
from mindspore_dpus.decision.thresholds import lower_limit

RNG = np.random.default_rng(5)
IS_DEFECT = np.repeat([True, False], [100, 300])
SCORES = np.round(1 / (1 + np.exp(-RNG.normal(np.where(IS_DEFECT, 1.0, -1.0), 1.2))), 7)


def decided(
    training_prior=0.4, groups=None, confidence=0.95, is_defect=IS_DEFECT, scores=SCORES, **keys
):
    wanted = DecisionSettings(**keys)
    return decide(wanted, confidence, "defect", is_defect, scores, training_prior, groups)


VARIANTS = {
    "recall": {},
    "assured": {"rule": "assured_recall", "recall": 0.9},
    "f1": {"rule": "f1", "defect_rate": 0.02, "calibration": "temperature"},
    "cost": {"rule": "cost", "cost_miss": 50.0, "cost_false_call": 1.0, "calibration": "isotonic"},
    "fixed": {"rule": "fixed", "threshold": 0.25, "defect_rate": 0.01, "groups": 7},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_saved_is_loaded(tmp_path, name):
    decision = decided(**VARIANTS[name])
    decision.save(tmp_path / "decision.json")
    loaded = Decision.load(tmp_path / "decision.json")
    assert loaded == decision
    new = np.linspace(0, 1, 999)
    np.testing.assert_array_equal(loaded.probability(new), decision.probability(new))


@pytest.mark.parametrize("name", VARIANTS)
def test_counts_are_those_of_validation_and_probabilities_keep_the_order(name):
    decision = decided(**VARIANTS[name])
    called = decision.called(SCORES)
    assert (decision.recall.count, decision.recall.total) == (called[IS_DEFECT].sum(), 100)
    assert (decision.false_calls.count, decision.false_calls.total) == (called[~IS_DEFECT].sum(), 300)
    p = decision.probability(np.sort(SCORES))
    assert (np.diff(p) >= 0).all()
    assert 0 <= p[0] < p[-1] <= 1


def test_the_default_finds_95_of_100_and_says_what_that_supports():
    decision = decided()
    assert decision.recall.count == 95
    assert decision.threshold == np.sort(SCORES[IS_DEFECT])[5]
    assert decision.supported_recall == lower_limit(95, 100, 0.95)
    assert decision.best_supported_recall == pytest.approx(0.05**0.01)
    np.testing.assert_array_equal(decision.probability(SCORES), SCORES)


def test_ties_do_not_raise_what_is_supported():
    scores = np.where(IS_DEFECT, 0.5, SCORES)
    decision = decided(scores=scores)
    assert decision.recall.count == 100
    assert decision.supported_recall == lower_limit(95, 100, 0.95)


@pytest.mark.parametrize(("rule", "trials"), [("fixed", 1), ("f1", 100), ("cost", 100)])
def test_a_threshold_that_the_labels_chose_supports_less(rule, trials):
    costs = {"cost_miss": 9.0, "cost_false_call": 1.0} if rule == "cost" else {}
    given = {"threshold": 0.3} if rule == "fixed" else {}
    decision = decided(rule=rule, **costs, **given)
    expected = lower_limit(decision.recall.count, 100, 1 - 0.05 / trials)
    assert decision.supported_recall == pytest.approx(expected, abs=1e-12)


def test_an_assured_recall_is_supported():
    decision = decided(rule="assured_recall", recall=0.95)
    assert decision.recall.count == 99
    assert decision.supported_recall >= 0.95


def test_an_assured_recall_beyond_the_data_says_what_is_within():
    few = np.r_[0:50, 100:400]
    with pytest.raises(UserError, match="50 defect images in validation: that takes 59, all found. Ask"):
        decided(is_defect=IS_DEFECT[few], scores=SCORES[few], rule="assured_recall", recall=0.95)
    decided(is_defect=IS_DEFECT[few], scores=SCORES[few], rule="assured_recall", recall=0.941)


def test_a_stated_rate_moves_the_threshold_of_costs():
    costs = {"rule": "cost", "cost_miss": 100.0, "cost_false_call": 1.0}
    often, rarely = (decided(defect_rate=rate, **costs) for rate in (0.3, 0.02))
    assert often.threshold < rarely.threshold
    # Without one, it is validation's share.
    assert decided(**costs) == dataclasses.replace(decided(defect_rate=0.25, **costs), defect_rate=None)


def test_costs_at_which_nothing_should_be_called_are_said():
    keys = {"rule": "cost", "cost_miss": 1.0, "cost_false_call": 1.0, "defect_rate": 1e-4}
    with pytest.warns(
        UserWarning, match="calling nothing is cheapest on validation: an image costs 0.0001"
    ):
        assert decided(scores=np.where(IS_DEFECT, SCORES, 1.0), **keys).recall.count >= 1


def test_each_probability_carries_the_prior_that_it_says():
    raw, shifted = decided(training_prior=0.4), decided(training_prior=0.4, defect_rate=0.02)
    assert (raw.prior, shifted.prior) == (0.4, 0.02)
    np.testing.assert_allclose(shifted.probability(SCORES), correct_prior(SCORES, 0.4, 0.02))
    warm = decided(calibration="temperature")
    assert warm.prior == 0.25
    # From the scores' share of defects towards validation's.
    assert abs(warm.probability(SCORES).mean() - 0.25) < 0.5 * abs(SCORES.mean() - 0.25)
    both = decided(calibration="temperature", defect_rate=0.02)
    np.testing.assert_allclose(
        both.probability(SCORES), correct_prior(warm.probability(SCORES), 0.25, 0.02), rtol=1e-9
    )
    expected = apply_temperature(SCORES, warm.temperature, 0.4, 0.02)
    np.testing.assert_allclose(both.probability(SCORES), expected)
    stepped = decided(calibration="isotonic")
    assert stepped.probability(SCORES).mean() == pytest.approx(0.25)
    rated = decided(calibration="isotonic", defect_rate=0.02).probability(SCORES)
    np.testing.assert_allclose(rated, correct_prior(stepped.probability(SCORES), 0.25, 0.02))


def test_a_score_is_the_same_as_float32_float64_and_text():
    score = np.float32(0.7)  # As float64 it is 0.69999998.
    decision = dataclasses.replace(decided(), threshold=float(str(score)))
    for same in (score, np.float64(score), float(str(score))):
        assert decision.called(np.array([same]))[0]
    assert not decision.called(np.array([np.nextafter(score, np.float32(0))]))[0]


def change(values, path, value):
    for name in path[:-1]:
        values = values[name]
    if value is KeyError:
        del values[path[-1]]
    else:
        values[path[-1]] = value


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("recall", ["threshold"], KeyError, "the key threshold is missing"),
        ("recall", ["treshold"], 0.5, "the key treshold is unknown"),
        ("recall", ["recall", "low"], KeyError, "the key recall.low is missing"),
        ("recall", ["recall"], 0.95, "recall. is no table of keys"),
        ("recall", ["threshold"], "0.5", "threshold is '0.5'"),
        ("recall", ["threshold"], True, "threshold is True"),
        ("recall", ["threshold"], float("nan"), "threshold is nan"),
        ("recall", ["threshold"], 1.5, "threshold is 1.5"),
        ("recall", ["recall", "count"], 95.5, "recall.count is 95.5"),
        ("recall", ["recall", "count"], 101, "recall is Proportion"),
        ("recall", ["training_prior"], 0, "training_prior is 0"),
        ("recall", ["calibration"], "platt", "calibration is 'platt'"),
        ("recall", ["calibration"], "temperature", "its parameters do not fit"),
        ("recall", ["temperature"], 2.0, "its parameters do not fit"),
        ("f1", ["temperature"], -1.0, "temperature is -1"),
        ("cost", ["isotonic_scores", 0], 2.0, "no rising function"),
        ("cost", ["isotonic_probabilities"], [0.1], "no rising function"),
        ("cost", ["isotonic_probabilities", 0], None, "isotonic_probabilities is None"),
    ],
)
def test_a_changed_file_is_refused_by_key(tmp_path, name, path, value, message):
    file = tmp_path / "decision.json"
    decided(**VARIANTS[name]).save(file)
    values = json.loads(file.read_text())
    change(values, path, value)
    file.write_text(json.dumps(values))
    with pytest.raises(
        UserError, match=rf"decision\.json: .*{message}.*; delete it and start the run again"
    ):
        Decision.load(file)


def test_no_file_and_a_torn_file_are_said(tmp_path):
    with pytest.raises(UserError, match=r"decision.json is missing"):
        Decision.load(tmp_path / "decision.json")
    (tmp_path / "decision.json").write_text('{"threshold": ')
    with pytest.raises(UserError, match="not readable JSON"):
        Decision.load(tmp_path / "decision.json")
    (tmp_path / "decision.json").write_text("[]")
    with pytest.raises(UserError, match="the file is no table of keys"):
        Decision.load(tmp_path / "decision.json")


def test_an_assessment_counts_and_weighs_other_images():
    decision = decided(defect_rate=0.02, calibration="temperature")
    # Other images: every other one of these, shifted.
    is_defect, scores = IS_DEFECT[::2], np.clip(SCORES[::2] + 0.05, 0, 1)
    result = assess(decision, is_defect, scores)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    called = scores >= decision.threshold
    recall, false_calls = called[is_defect].mean(), called[~is_defect].mean()
    assert (result["recall"]["value"], result["false_calls"]["value"]) == (recall, false_calls)
    assert result["supported_recall"] == lower_limit(called[is_defect].sum(), 50, 0.95)
    hits = 0.02 * recall
    assert result["precision"] == pytest.approx(hits / (hits + 0.98 * false_calls))
    p = decision.probability(scores)
    assert result["brier"] == pytest.approx(
        {
            "raw": brier_score(is_defect, scores, 0.02),
            "probability": brier_score(is_defect, p, 0.02),
            "always_prior": 0.0196,
        }
    )
    assert result["brier"]["probability"] < 0.0196 < result["brier"]["raw"]
    assert result["pod"] is None


@pytest.mark.parametrize("left", [True, False])
def test_images_of_one_class_leave_the_other_undefined(left):
    kept = IS_DEFECT if left else ~IS_DEFECT
    result = assess(decided(), IS_DEFECT[kept], SCORES[kept])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    missing = "false_calls" if left else "recall"
    assert (result[missing]["total"], result[missing]["value"]) == (0, None)
    assert (result["precision"], result["brier"], result["reliability"]) == (None, None, None)
    assert (result["supported_recall"] is None) == (not left)


def test_pod_is_of_the_defects_whose_size_is_known():
    sizes = np.where(IS_DEFECT, np.exp(3 * SCORES + RNG.normal(0, 1, 400)), np.nan)
    sizes[:8] = np.nan
    pod = assess(decided(rule="f1"), IS_DEFECT, SCORES, sizes)["pod"]
    assert (pod["n_flaws"], pod["without_size"]) == (92, 8)
    assert pod["a50"] < pod["a90"] < pod["a90_limit"]
    few = np.where(np.arange(400) < 20, 1.0, np.nan)
    assert assess(decided(), IS_DEFECT, SCORES, few)["pod"] == {
        "without_size": 80,
        "refused": "20 flaws of known size; MIL-HDBK-1823A asks for 60 or more",
    }


def test_sentences_say_counts_limits_and_groups():
    text = " ".join(describe(decided(groups=8)))
    assert "chosen for a recall of 95.0 % on validation" in text
    assert "Of 100 defect images in validation, 95 are found" in text
    assert "At 95 % confidence the recall on such images is at least 89.8 %" in text
    assert "no more than 97.0 % can be supported" in text
    assert "come from 8 groups" in text
    assert "groups" not in " ".join(describe(decided(groups=100)))
    assert "lowest cost: 50 a miss, 1 a false call, 25.0 %" in describe(decided(**VARIANTS["cost"]))[0]
    assert "best F1 where 2.0 %" in describe(decided(**VARIANTS["f1"]))[0]
    assert "at least 90.0 % at 95 % confidence" in describe(decided(**VARIANTS["assured"]))[0]
    assert describe(decided(**VARIANTS["fixed"]))[0].startswith("The threshold was given.")


def test_the_terminal_gets_one_line():
    decision = decided()
    line = summary_line(decision, assess(decision, IS_DEFECT, SCORES), "test")
    assert "\n" not in line
    assert line.startswith("defect if the score is ")
    found = "On validation, 95 of 100 are found: recall at least 0.898 with 95 % confidence."
    for part in (
        "(rule recall)",
        found,
        "On test, 95 of 100 are found, and ",
        " of 300 others are false",
    ):
        assert part in line


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100.0 %"),
        (0.95, "95.0 %"),
        (0.01, "1.0 %"),
        (0.0025, "0.25 %"),
        (0.0001, "0.010 %"),
        (0, "0 %"),
    ],
)
def test_shares_keep_their_digits_near_zero(share, text):
    assert percent(share) == text
