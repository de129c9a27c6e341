"""From validation to a decision: the rule's threshold, its limits, and the calibration."""

import math
import typing
import warnings

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.calibration import fit_isotonic, fit_temperature
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.settings import DecisionSettings
from mindspore_dpus.decision.thresholds import (
    OperatingPoints,
    defects_needed,
    expected_cost,
    lower_limit,
    operating_points,
    proportion,
    rank_for_assured_recall,
    rank_for_recall,
    threshold_for_cost,
    threshold_for_f1,
    threshold_for_rank,
)


def decide(
    wanted: DecisionSettings,
    confidence: float,
    positive: str,
    is_defect: np.ndarray,
    scores: np.ndarray,
    training_prior: float,
    groups: int | None = None,
) -> Decision:
    """Choose the threshold and fit the calibration. All from validation.

    Args:
        wanted: the section.
        confidence: of the limits.
        positive: the class that is looked for.
        is_defect: (N,) bool, with both values.
        scores: (N,) raw fused scores.
        training_prior: share of defects that the scores carry.
        groups: that the defects come from, where it is known.

    Raises:
        UserError: an assured recall that so few defects cannot support, or no temperature fits.
    """
    points = operating_points(is_defect, scores)
    threshold, rank, trials = _choose(points, wanted, confidence, positive)
    found = int((scores[is_defect] >= threshold).sum())
    temperature = isotonic = None
    if wanted.calibration == "temperature":
        temperature = fit_temperature(is_defect, scores, training_prior)
    elif wanted.calibration == "isotonic":
        isotonic = fit_isotonic(is_defect, scores)
    return Decision(
        positive=positive,
        rule=wanted.rule,
        wanted_recall=wanted.recall if wanted.rule in ("recall", "assured_recall") else None,
        cost_miss=wanted.cost_miss,
        cost_false_call=wanted.cost_false_call,
        threshold=threshold,
        confidence=confidence,
        recall=proportion(found, points.n_defects, confidence),
        false_calls=proportion((scores[~is_defect] >= threshold).sum(), points.n_normals, confidence),
        supported_recall=lower_limit(
            found if rank is None else rank, points.n_defects, 1 - (1 - confidence) / trials
        ),
        best_supported_recall=lower_limit(points.n_defects, points.n_defects, confidence),
        groups=groups,
        training_prior=training_prior,
        validation_prior=float(is_defect.mean()),
        defect_rate=wanted.defect_rate,
        calibration=wanted.calibration,
        temperature=temperature,
        isotonic_scores=None if isotonic is None else isotonic[0].tolist(),
        isotonic_probabilities=None if isotonic is None else isotonic[1].tolist(),
    )


def _choose(
    points: OperatingPoints, wanted: DecisionSettings, confidence: float, positive: str
) -> tuple[float, int | None, int]:
    """The threshold; the rank that was fixed before looking, if any; and among how many thresholds
    the labels chose: so many limits must hold at once."""
    n_defects = points.n_defects
    prior = wanted.defect_rate or n_defects / (n_defects + points.n_normals)
    match wanted.rule:
        case "fixed":
            return wanted.threshold, None, 1
        case "recall":
            rank = rank_for_recall(n_defects, wanted.recall)
        case "assured_recall":
            rank = rank_for_assured_recall(n_defects, wanted.recall, confidence)
            if rank is None:
                refuse_assured_recall(wanted.recall, confidence, positive, n_defects)
        case "f1":
            return threshold_for_f1(points, prior), None, n_defects
        case "cost":
            costs = (prior, wanted.cost_miss, wanted.cost_false_call)
            least, nothing = expected_cost(points, *costs).min(), prior * wanted.cost_miss
            if nothing <= least:
                warnings.warn(
                    "at these costs, calling nothing is cheapest on validation: an image costs "
                    f"{nothing:.3g} then, and {least:.3g} at the best threshold",
                    stacklevel=2,
                )
            return threshold_for_cost(points, *costs), None, n_defects
    return threshold_for_rank(points, rank), rank, 1


def refuse_assured_recall(
    recall: float, confidence: float, positive: str, n_defects: int
) -> typing.NoReturn:
    """Say how many defects the wanted recall needs, and which recall these support."""
    raise UserError(
        f"decision.recall {recall:g} cannot be assured at a confidence of {confidence:g} with "
        f"{n_defects} {positive} images in validation: that takes "
        f"{defects_needed(recall, confidence)}, all found. Ask for "
        f"{math.floor(1000 * lower_limit(n_defects, n_defects, confidence)) / 1000:g} or less, "
        "or set decision.rule to recall"
    )
