"""A threshold on the fused score, chosen on labelled images, and exact limits for what it does.

A threshold is always the score of a defect: between two such scores nothing more is found, and there
may be more false calls. An image counts as positive from the threshold up.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from mindspore_dpus.decision.probability import Proportion


class OperatingPoints(NamedTuple):
    """What each threshold does, from the highest down; arrays of equal length.

    Attributes:
        thresholds: the distinct scores of the defects, descending.
        found: defects at or above each.
        false_calls: normals at or above each.
        n_defects, n_normals: how many there are.
    """

    thresholds: np.ndarray
    found: np.ndarray
    false_calls: np.ndarray
    n_defects: int
    n_normals: int


def lower_limit(count: int, total: int, confidence: float) -> float:
    """One-sided Clopper-Pearson limit: the smallest proportion that ``count`` of ``total`` supports.

    For all of n it is ``(1 - confidence) ** (1 / n)``: 100 of 100 support 0.970 at 95 % (the lower end
    of the two-sided interval is 0.964).

    Source: Clopper and Pearson 1934. It is also the distribution-free limit of the true recall at the
    ``count``-th highest of ``total`` defect scores (Wilks 1941), so it holds although the threshold was
    read off the same images, as long as the rank was fixed beforehand.
    """
    return float(beta.ppf(1 - confidence, count, total - count + 1)) if count > 0 else 0.0


def proportion(count: int, total: int, confidence: float) -> Proportion:
    """``count`` of ``total`` with its two-sided Clopper-Pearson interval; 0 to 1 where total is 0."""
    one_sided = (1 + confidence) / 2
    low = lower_limit(count, total, one_sided)
    return Proportion(int(count), int(total), low, 1 - lower_limit(total - count, total, one_sided))


def operating_points(is_defect: np.ndarray, scores: np.ndarray) -> OperatingPoints:
    """Every threshold worth a thought.

    Args:
        is_defect: (N,) bool, with at least one True.
        scores: (N,) fused scores.
    """
    defects, normals = np.sort(scores[is_defect]), np.sort(scores[~is_defect])
    thresholds = np.unique(defects)[::-1]
    return OperatingPoints(
        thresholds,
        len(defects) - np.searchsorted(defects, thresholds, side="left"),
        len(normals) - np.searchsorted(normals, thresholds, side="left"),
        len(defects),
        len(normals),
    )


def rank_for_recall(n_defects: int, recall: float) -> int:
    """How many of the defects must be found for a share of at least ``recall``."""
    # The quotient, not recall * n: 0.07 * 100 is above 7.
    return int(np.searchsorted(np.arange(1, n_defects + 1) / n_defects, recall)) + 1


def rank_for_assured_recall(n_defects: int, recall: float, confidence: float) -> int | None:
    """How many must be found for ``lower_limit`` to reach ``recall``; None: not even all would do."""
    limits = beta.ppf(1 - confidence, np.arange(1, n_defects + 1), np.arange(n_defects, 0, -1))
    rank = int(np.searchsorted(limits, recall)) + 1
    return rank if rank <= n_defects else None


def defects_needed(recall: float, confidence: float) -> int:
    """The fewest defects that, all found, support ``recall`` (59 for 0.95 at 95 %)."""
    n_defects = max(1, int(np.log(1 - confidence) / np.log(recall)) - 1)
    while lower_limit(n_defects, n_defects, confidence) < recall:
        n_defects += 1
    return n_defects


def threshold_for_rank(points: OperatingPoints, rank: int) -> float:
    """The highest threshold that finds at least ``rank`` defects: it has the fewest false calls."""
    return float(points.thresholds[np.searchsorted(points.found, rank)])


def precision(recall: np.ndarray, false_call_rate: np.ndarray, prior: float) -> np.ndarray:
    """Share of defects among the called images when a share ``prior`` of all images are defects."""
    hits, false_calls = prior * recall, (1 - prior) * false_call_rate
    return hits / np.maximum(hits + false_calls, np.finfo(float).tiny)


def threshold_for_f1(points: OperatingPoints, prior: float) -> float:
    """The threshold of the largest F1 where a share ``prior`` of all images are defects.

    Of equal ones it is the lowest: it finds more.
    """
    recall, false_call_rate = _rates(points)
    # 2 / (1/P + 1/R) without the quotients.
    f1 = 2 * prior * recall / (prior + prior * recall + (1 - prior) * false_call_rate)
    return _lowest_best(points, f1)


def threshold_for_cost(
    points: OperatingPoints, prior: float, cost_miss: float, cost_false_call: float
) -> float:
    """The threshold of the smallest mean cost of an image, a share ``prior`` of which are defects.

    Of equal ones it is the lowest: it finds more. Calling nothing at all is no choice here; see
    ``expected_cost``.
    """
    return _lowest_best(points, -expected_cost(points, prior, cost_miss, cost_false_call))


def expected_cost(
    points: OperatingPoints, prior: float, cost_miss: float, cost_false_call: float
) -> np.ndarray:
    """Mean cost of an image at each threshold; calling nothing costs ``prior * cost_miss``."""
    recall, false_call_rate = _rates(points)
    return prior * cost_miss * (1 - recall) + (1 - prior) * cost_false_call * false_call_rate


def _rates(points: OperatingPoints) -> tuple[np.ndarray, np.ndarray]:
    return points.found / points.n_defects, points.false_calls / max(points.n_normals, 1)


def _lowest_best(points: OperatingPoints, values: np.ndarray) -> float:
    # Equal values that were added up in different ways differ in their last digits.
    ties = np.flatnonzero(values >= values.max() - 1e-12 * np.abs(values).max())
    return float(points.thresholds[ties[-1]])
