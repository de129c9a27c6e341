"""The report's section on the decision: what it says in words, tables and figures."""

from types import SimpleNamespace

import numpy as np

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.decision.assessment import describe, percent
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.thresholds import (
    lower_limit,
    operating_points,
    rank_for_recall,
    threshold_for_rank,
)
from mindspore_dpus.report import plots
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section

OTHER_RECALLS = (0.8, 0.9, 0.95, 0.98, 1.0)


def section(run: ClassifierRun) -> Section | None:
    """What the decision says in words, tables and figures; None where the run has none."""
    if not (run.path / "decision.json").exists():
        return None
    decision = Decision.load(run.path / "decision.json")
    test = read_json(run.path / "decision_test.json")
    table = read_table(run.path / "predictions_val.csv")
    is_defect = (table["label"] == decision.positive).to_numpy()
    pod = test["pod"]
    context = SimpleNamespace(
        positive=decision.positive,
        sentences=describe(decision),
        test=_on_test(decision, test),
        others=_others(is_defect, table["score"].to_numpy(float), decision.confidence),
        probability=_probability(decision, test),
        reliability=plots.reliability(_answers(decision, test), decision.positive),
        pod=None if pod is None or "refused" in pod else _pod_sentence(pod, test["false_calls"]),
        pod_curve=None if pod is None or "refused" in pod else plots.pod(pod),
        pod_refused=None if pod is None else pod.get("refused"),
    )
    return Section("decision.html.j2", vars(context))


def _on_test(decision: Decision, test: dict) -> str:
    recall, false_calls = test["recall"], test["false_calls"]
    return (
        f"On test, which had no part in the choice, {recall['count']} of {recall['total']} "
        f"{decision.positive} images are found ({percent(recall['value'])}; {percent(recall['low'])} to "
        f"{percent(recall['high'])}), and {false_calls['count']} of {false_calls['total']} others are "
        f"reported wrongly ({percent(false_calls['value'])}; {percent(false_calls['low'])} to "
        f"{percent(false_calls['high'])}). Where {percent(test['prior'])} of all images are of "
        f"class {decision.positive}, {percent(test['precision'])} of the reported images are right."
    )


def _others(is_defect: np.ndarray, scores: np.ndarray, confidence: float) -> list[SimpleNamespace]:
    """What validation says of other wanted recalls."""
    points = operating_points(is_defect, scores)
    rows = []
    for recall in OTHER_RECALLS:
        rank = rank_for_recall(points.n_defects, recall)
        threshold = threshold_for_rank(points, rank)
        place = int(np.flatnonzero(points.thresholds == threshold)[0])
        rows.append(
            SimpleNamespace(
                wanted=percent(recall),
                threshold=f"{threshold:.4g}",
                found=f"{points.found[place]} of {points.n_defects}",
                supported=percent(lower_limit(rank, points.n_defects, confidence)),
                false_calls=f"{points.false_calls[place]} of {points.n_normals}",
            )
        )
    return rows


def _answers(decision: Decision, test: dict) -> dict[str, list[dict]]:
    """The series of the reliability diagram; one where probabilities are the scores."""
    rows = test["reliability"]
    if decision.calibration == "none" and decision.defect_rate is None:
        return {"score": rows["raw"]}
    return {"score": rows["raw"], "probability": rows["probability"]}


def _probability(decision: Decision, test: dict) -> str:
    brier, prior = test["brier"], percent(decision.prior)
    if decision.calibration == "none":
        how = (
            "Scores are taken as the networks give them: they stand for "
            f"{percent(decision.training_prior)} {decision.positive} images, the share in the members' "
            "training sets"
        )
    else:
        parameter = f" (T = {decision.temperature:.3g})" if decision.temperature else ""
        how = f"Scores are calibrated on validation: {decision.calibration}{parameter}"
    if decision.defect_rate is not None:
        how += f", then corrected to the stated defect rate of {prior}"
    text = f"{how}. Brier score on test, for {prior} {decision.positive} images: "
    if decision.calibration == "none" and decision.defect_rate is None:
        text += f"{brier['raw']:.4f}"
    else:
        text += f"{brier['probability']:.4f}; of the raw scores {brier['raw']:.4f}"
    return f"{text}; of always answering {prior}: {brier['always_prior']:.4f} (lower is better)."


def _pod_sentence(pod: dict, false_calls: dict) -> str:
    sure, largest = f"{100 * pod['confidence']:g}", pod["largest"]
    text = (
        f"{pod['n_hits']} of {pod['n_flaws']} flaws of known size in test are found. The same threshold "
        f"calls {percent(false_calls['value'])} of the images without a flaw: where the curve is not "
        "well above that, finding a flaw is chance. "
    )
    if pod["a90"] > largest:
        return (
            text + f"Up to the largest flaw, {largest:g}, nine in ten are not reached: there is no a90."
        )
    text += f"By the fitted curve, nine in ten flaws of {pod['a90']:.3g} are found (a90). "
    if pod["a90_limit"] is None or pod["a90_limit"] > largest:
        return text + (
            f"There is no a90/{sure}: these flaws are too few, or size decides too little, to be sure "
            f"of nine in ten at any size up to the largest, {largest:g}."
        )
    return text + (
        f"At {sure} % confidence, at least nine in ten flaws of {pod['a90_limit']:.3g} are found, and "
        f"more of larger ones (a90/{sure})."
    )
