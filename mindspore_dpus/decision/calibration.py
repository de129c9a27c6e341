"""What makes probabilities of scores, fitted on validation; and how right they are.

Two classes. ``prior`` is always the share of defects among the images that a probability is about: a
network that learnt from balanced sets answers for a world in which every second image is a defect.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.decision.probability import correct_prior, log_odds
from mindspore_dpus.decision.thresholds import proportion


def fit_temperature(is_defect: np.ndarray, scores: np.ndarray, carried: float) -> float:
    """The temperature T of ``apply_temperature`` with the smallest log loss on these images.

    The images' own share of defects enters as a known shift of the log-odds: without it, T would have to
    make up for the difference of the priors as well.

    Args:
        is_defect: (N,) bool, with both values.
        scores: (N,) raw scores.
        carried: the prior of the scores.

    Raises:
        UserError: no T has a smallest loss: the scores part the classes without fault, or are no
            better than chance.

    Source: Guo et al. 2017, section 4.2, for two classes.
    """
    evidence = log_odds(scores) - log_odds(carried)
    shift = log_odds(float(is_defect.mean()))

    def slope(inverse: float) -> float:
        """Derivative of the log loss; it rises, as the loss is convex in 1 / T."""
        return float(np.mean(evidence * (expit(inverse * evidence + shift) - is_defect)))

    advice = "set decision.calibration to none or isotonic"
    if slope(0.0) >= 0:
        raise UserError(
            "decision.calibration temperature: the validation scores are no better than chance, "
            f"so no temperature makes them probabilities; {advice}"
        )
    if np.all(np.where(is_defect, evidence >= 0, evidence <= 0)):
        raise UserError(
            "decision.calibration temperature: the validation scores part the classes without a "
            f"fault, so they set no limit to how sure to be; {advice}"
        )
    upper = 1.0
    while slope(upper) < 0:
        upper *= 2
    return 1 / brentq(slope, 0.0, upper, xtol=1e-12, rtol=1e-12)


def fit_isotonic(is_defect: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rising step function of the score that is nearest to the labels.

    Returns:
        Scores (ascending) and probabilities (not falling) between which ``numpy.interp`` interpolates.
        They carry the prior of these images.

    Source: Zadrozny and Elkan 2002.
    """
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, is_defect)
    return fitted.X_thresholds_.astype(float), fitted.y_thresholds_.astype(float)


def brier_score(is_defect: np.ndarray, probabilities: np.ndarray, prior: float) -> float:
    """Mean squared error of the probabilities where a share ``prior`` of the images are defects.

    Each class's mean is weighted by its share there, not by its share among these images: a test
    split of equal classes says little about a line with one defect in a hundred.

    Returns:
        0 (never wrong) to 1; ``prior * (1 - prior)`` for the prior itself as every answer; nan where
        a class has no image.

    Source: Brier 1950.
    """
    if is_defect.all() or not is_defect.any():
        return float("nan")
    errors = (probabilities - is_defect) ** 2
    return float(prior * errors[is_defect].mean() + (1 - prior) * errors[~is_defect].mean())


def reliability(
    is_defect: np.ndarray,
    probabilities: np.ndarray,
    prior: float,
    confidence: float = 0.95,
    n_bins: int = 10,
) -> list[dict[str, float]]:
    """Stated against observed share of defects, in bins of about equally many images.

    Args:
        is_defect: (N,) bool, with both values.
        probabilities: (N,).
        prior: share of defects for which to compare, as in ``brier_score``.
        confidence: of the Clopper-Pearson intervals. ``correct_prior`` rises, so a corrected
            interval is as exact as the one of the counts.
        n_bins: at most so many; equal probabilities stay together.

    Returns:
        Ascending; for each bin ``images``, ``defects`` (counts), ``stated``, ``observed``, ``low``,
        ``high`` (at ``prior``).
    """
    own = float(is_defect.mean())
    weights = np.where(is_defect, prior / own, (1 - prior) / (1 - own))
    edges = np.unique(np.quantile(probabilities, np.arange(1, n_bins) / n_bins, method="lower"))
    bins = np.searchsorted(edges, probabilities, side="left")
    rows = []
    for i in np.unique(bins):
        inside = bins == i
        counted = proportion(int(is_defect[inside].sum()), int(inside.sum()), confidence)
        rows.append(
            {
                "images": counted.total,
                "defects": counted.count,
                "stated": float(np.average(probabilities[inside], weights=weights[inside])),
                "observed": float(correct_prior(counted.value, own, prior)),
                "low": float(correct_prior(counted.low, own, prior)),
                "high": float(correct_prior(counted.high, own, prior)),
            }
        )
    return rows
