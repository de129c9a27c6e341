"""What the report says of a decision, where the numbers allow it and where they do not."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindspore_dpus.core.files import write_json, write_text
from mindspore_dpus.decision.assessment import assess
from mindspore_dpus.report.sections.decision import section as decision_section
from tests.decision.test_decision import IS_DEFECT, SCORES, decided

POD = {"n_hits": 80, "n_flaws": 100, "a90": 4.0, "a90_limit": 5.5, "confidence": 0.95, "smallest": 1.0}
POD |= {"largest": 9.0, "sizes": [1.0, 9.0], "pod": [0.2, 0.99], "lower": [0.1, 0.97], "a50": 2.0}


def section(folder, pod=None, **keys):
    decision = decided(**keys)
    decision.save(folder / "decision.json")
    write_json(folder / "decision_test.json", assess(decision, IS_DEFECT, SCORES) | {"pod": pod})
    names = np.where(IS_DEFECT, "defect", "normal")
    rows = [f"{i}.png,{n},{s}" for i, (n, s) in enumerate(zip(names, SCORES, strict=True))]
    write_text(folder / "predictions_val.csv", "\n".join(["path,label,score", *rows]))
    return SimpleNamespace(**decision_section(SimpleNamespace(path=folder)).context)


def test_a_run_without_a_decision_has_no_section(tmp_path):
    assert decision_section(SimpleNamespace(path=tmp_path)) is None


def test_other_thresholds_are_what_their_recalls_would_decide(tmp_path):
    for row in section(tmp_path).others:
        # 1.0 is no rule: all found is.
        wanted = min(float(row.wanted.split()[0]) / 100, 0.9999)
        other = decided(recall=wanted)
        assert row.threshold == f"{other.threshold:.4g}"
        assert row.found == f"{other.recall.count} of 100"
        assert row.false_calls == f"{other.false_calls.count} of 300"
        assert row.supported == f"{100 * other.supported_recall:.1f} %"


@pytest.mark.parametrize(
    ("keys", "words", "panels"),
    [
        ({}, ["they stand for 40.0 % defect images", "for 40.0 % defect images: 0."], 1),
        ({"defect_rate": 0.02}, ["corrected to the stated defect rate of 2.0 %", "0.0196"], 2),
        ({"calibration": "temperature"}, ["temperature (T = 0.", "for 25.0 % defect images"], 2),
        ({"calibration": "isotonic", "defect_rate": 0.005}, ["isotonic, then", "rate of 0.50 %"], 2),
    ],
)
def test_it_says_what_a_score_means(tmp_path, keys, words, panels):
    shown = section(tmp_path, **keys)
    assert [word for word in words if word not in shown.probability] == []
    assert shown.reliability.count("Reliability on test") == panels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["80 of 100 flaws", "flaws of 4 are found (a90)", "flaws of 5.5 are found", "(a90/95)"]),
        ({"a90": 12.0}, ["Up to the largest flaw, 9, nine in ten are not reached: there is no a90."]),
        ({"a90_limit": 9.5}, ["(a90)", "There is no a90/95", "up to the largest, 9."]),
        ({"a90_limit": None}, ["(a90)", "There is no a90/95"]),
    ],
)
def test_no_size_beyond_the_largest_flaw_is_promised(tmp_path, changes, words):
    shown = section(tmp_path, POD | changes)
    assert [word for word in words if word not in shown.pod] == []
    assert "12" not in shown.pod
    assert "9.5" not in shown.pod
    assert "probability of detection" in shown.pod_curve


def test_a_refusal_is_shown_and_no_sizes_are_nothing(tmp_path):
    shown = section(tmp_path, {"refused": "too few"})
    assert (shown.pod_refused, shown.pod, shown.pod_curve) == ("too few", None, None)
    shown = section(tmp_path)
    assert (shown.pod_refused, shown.pod) == (None, None)
