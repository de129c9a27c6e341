"""From scores to probabilities: the prior that they carry, and how sure they are. NumPy only: a PC on
the line has no more.

Two classes. ``prior`` is always the share of defects among the images that a probability is about: a
network that learnt from balanced sets answers for a world in which every second image is a defect.
"""

from dataclasses import dataclass

import numpy as np

# Scores are float32: nearer to 0 or 1 than this they say nothing more.
_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Proportion:
    """``count`` of ``total``, with the two-sided Clopper-Pearson interval ``low`` to ``high``."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """``count / total``; None for none of none."""
        return self.count / self.total if self.total else None


def log_odds(probabilities: np.ndarray | float) -> np.ndarray:
    """``log(p / (1 - p))``, of probabilities kept off 0 and 1 by float32's smallest step."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _EPS, 1 - _EPS)
    return np.log(p) - np.log1p(-p)


def correct_prior(
    probabilities: np.ndarray | float, carried: float, wanted: float
) -> np.ndarray | float:
    """Probabilities for another share of defects: ``beta p / (beta p - p + 1)``.

    Args:
        probabilities: 0..1, right where a share ``carried`` of the images are defects.
        carried: the share that they carry.
        wanted: the share that they shall carry; both strictly between 0 and 1.

    Returns:
        Probabilities of the same shape, in the same order.

    Source: Dal Pozzolo et al. 2015. There beta is the chance of a normal image to be drawn; it
    equals ``wanted odds / carried odds``, which also holds where the classes were weighted or
    over-sampled (Saerens et al. 2002). It needs a draw that looks at nothing but the class. Equal
    shares of every group, as DPUS draws them, keep that better than chance does.
    """
    odds_ratio = wanted / (1 - wanted) * (1 - carried) / carried
    return odds_ratio * probabilities / (odds_ratio * probabilities + (1 - probabilities))


def weighted_prior(share: float, weight_defect: float, weight_normal: float) -> float:
    """The prior that a network carries whose loss weighs the classes; ``share``: of its training set."""
    defects, normals = share * weight_defect, (1 - share) * weight_normal
    return defects / (defects + normals)


def apply_temperature(
    scores: np.ndarray, temperature: float, carried: float, wanted: float
) -> np.ndarray:
    """Divide the evidence in the scores by the temperature, and start from another prior.

    The evidence is what the log-odds are above those of the prior that the scores carry.
    """
    evidence = (log_odds(scores) - log_odds(carried)) / temperature + log_odds(wanted)
    # 1 / (1 + exp(-x)), without its overflow.
    return 0.5 + 0.5 * np.tanh(evidence / 2)
