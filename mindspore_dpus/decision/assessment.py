"""What a decision means on labelled images that had no part in it."""

import math
from dataclasses import asdict

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.calibration import brier_score, reliability
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.pod import fit_pod
from mindspore_dpus.decision.probability import Proportion
from mindspore_dpus.decision.thresholds import lower_limit, precision, proportion


def assess(
    decision: Decision, is_defect: np.ndarray, scores: np.ndarray, sizes: np.ndarray | None = None
) -> dict:
    """Everything that ``decision_test.json`` holds, as JSON values.

    Args:
        decision: made on validation.
        is_defect: (N,) bool.
        scores: (N,) raw fused scores.
        sizes: (N,) flaw sizes, nan where there is none; None: the data know no sizes.

    Returns:
        ``recall``, ``false_calls`` (``count``, ``total``, ``value``, ``low``, ``high``);
        ``supported_recall`` (one-sided); ``prior``: the share of defects that the rest is about;
        ``precision`` of a call; ``brier`` of the ``raw`` scores, of the ``probability`` and of
        ``always_prior`` (that share as every answer); ``reliability`` of ``raw`` and ``probability``;
        ``pod``: see ``Pod``, or ``refused``: why there is none. None where a class has no image.
    """
    confidence, prior = decision.confidence, decision.prior
    called, n_defects = decision.called(scores), int(is_defect.sum())
    recall = proportion(int(called[is_defect].sum()), n_defects, confidence)
    false_calls = proportion(int(called[~is_defect].sum()), len(called) - n_defects, confidence)
    answers = {"raw": np.asarray(scores, float), "probability": decision.probability(scores)}
    both = 0 < n_defects < len(called)
    return {
        "threshold": decision.threshold,
        "confidence": confidence,
        "recall": _json(recall),
        "false_calls": _json(false_calls),
        "supported_recall": lower_limit(recall.count, n_defects, confidence) if n_defects else None,
        "prior": prior,
        "precision": float(precision(recall.value, false_calls.value, prior)) if both else None,
        "brier": {name: brier_score(is_defect, p, prior) for name, p in answers.items()}
        | {"always_prior": prior * (1 - prior)}
        if both
        else None,
        "reliability": {
            name: reliability(is_defect, p, prior, confidence) for name, p in answers.items()
        }
        if both
        else None,
        "pod": None if sizes is None else _pod(sizes[is_defect], called[is_defect], confidence),
    }


def _json(part: Proportion) -> dict:
    return {"count": part.count, "total": part.total, "value": part.value} | {
        "low": part.low,
        "high": part.high,
    }


def _pod(sizes: np.ndarray, hits: np.ndarray, confidence: float) -> dict:
    known = np.isfinite(sizes)
    try:
        return {"without_size": int((~known).sum())} | asdict(
            fit_pod(sizes[known], hits[known], confidence)
        )
    except UserError as error:
        return {"without_size": int((~known).sum()), "refused": str(error)}


def describe(decision: Decision) -> list[str]:
    """The decision in sentences for an inspection engineer."""
    recall, false_calls = decision.recall, decision.false_calls
    name, sure = decision.positive, f"{100 * decision.confidence:g} %"
    lines = [
        f"{_why(decision)} An image counts as {name} if its score is {decision.threshold:.4g} or more.",
        f"Of {recall.total} {name} images in validation, {recall.count} are found at this threshold "
        f"({_interval(recall)}), and {false_calls.count} of {false_calls.total} others are "
        f"reported wrongly ({_interval(false_calls)}). In brackets: the share, and its exact {sure} interval.",
        f"At {sure} confidence the recall on such images is at least "
        f"{percent(decision.supported_recall)}. With {recall.total} {name} images no more than "
        f"{percent(decision.best_supported_recall)} can be supported, even if all are found.",
    ]
    if decision.groups is not None and decision.groups < recall.total:
        lines.append(
            f"These {recall.total} images come from {decision.groups} groups. Images of one group are "
            "alike, and every interval here counts them as if they were not: the true uncertainty is "
            "larger."
        )
    return lines


def _why(decision: Decision) -> str:
    match decision.rule:
        case "recall":
            wanted = f"for a recall of {percent(decision.wanted_recall)} on validation"
        case "assured_recall":
            wanted = (
                f"for a recall of at least {percent(decision.wanted_recall)} at "
                f"{100 * decision.confidence:g} % confidence"
            )
        case "f1":
            wanted = (
                f"for the best F1 where {percent(_choice_prior(decision))} of the images are defects"
            )
        case "cost":
            wanted = (
                f"for the lowest cost: {decision.cost_miss:g} a miss, {decision.cost_false_call:g} a "
                f"false call, {percent(_choice_prior(decision))} of the images defects"
            )
        case _:
            return "The threshold was given."
    return f"The threshold was chosen {wanted}."


def _choice_prior(decision: Decision) -> float:
    """The share of defects for which F1 or costs were compared."""
    return decision.defect_rate or decision.validation_prior


def summary_line(decision: Decision, assessment: dict, split: str) -> str:
    """The decision in one line for the terminal."""
    recall, false_calls = assessment["recall"], assessment["false_calls"]
    return (
        f"{decision.positive} if the score is {decision.threshold:.4g} or more (rule {decision.rule}). "
        f"On validation, {decision.recall.count} of {decision.recall.total} are found: recall at least "
        f"{decision.supported_recall:.3f} with {100 * decision.confidence:g} % confidence. "
        f"On {split}, {recall['count']} of {recall['total']} are found, and {false_calls['count']} of "
        f"{false_calls['total']} others are false calls"
    )


def chosen_line(decision: Decision, images: str) -> str:
    """A decision that an evaluation's own images have chosen, in one line for the terminal."""
    recall, false_calls = decision.recall, decision.false_calls
    return (
        f"{decision.positive} if the score is {decision.threshold:.4g} or more (rule {decision.rule}), "
        f"chosen on {images}: {recall.count} of {recall.total} are found, and {false_calls.count} of "
        f"{false_calls.total} others are false calls; recall at least {decision.supported_recall:.3f} "
        f"with {100 * decision.confidence:g} % confidence. Test it on other images"
    )


def percent(share: float) -> str:
    """A share for people, with as many digits as it has near 0: ``97.0 %``, ``0.25 %``."""
    digits = 1 if share >= 0.01 else min(6, 1 - math.floor(math.log10(100 * share))) if share > 0 else 0
    return f"{100 * share:.{digits}f} %"


def _interval(part: Proportion) -> str:
    if part.value is None:
        return "none to judge by"
    return f"{percent(part.value)}; {percent(part.low)} to {percent(part.high)}"
