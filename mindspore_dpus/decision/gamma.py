"""A threshold from normals alone: a quantile of a gamma distribution fitted on their scores."""

from typing import NamedTuple

import numpy as np
from scipy.stats import gamma

from mindspore_dpus.core.errors import UserError

# What the DCASE 2022 Task 2 baseline takes.
QUANTILE = 0.9
# A distribution of three parameters.
LEAST = 4


class GammaThreshold(NamedTuple):
    """A fitted gamma distribution and what follows.

    Attributes:
        threshold: a clip is called anomalous when its score is above.
        shape, location, scale: of the distribution.
        quantile: the share of normals that should lie below.
        n_normals: scores that it was fitted on.
        exceeded: the share of them above the threshold: far from ``1 - quantile``, the distribution does
            not describe them.
    """

    threshold: float
    shape: float
    location: float
    scale: float
    quantile: float
    n_normals: int
    exceeded: float


def gamma_threshold(
    scores: np.ndarray, quantile: float = QUANTILE, location: float | None = None
) -> GammaThreshold:
    """Fit a gamma distribution by maximum likelihood and take a quantile.

    Args:
        scores: (N,) of normals, by detectors that have not seen them, or the threshold is too low.
        quantile: between 0 and 1.
        location: where the distribution starts. None: fitted too, as in the official baseline; scores
            may then be negative, as log densities and standardised scores are. A number: every score
            must lie above it.

    Raises:
        UserError: there are fewer than four scores, one is not finite, they do not differ, one lies at
            or below the location, or the fit has failed.
    """
    if not 0 < quantile < 1:
        raise UserError(f"decision quantile {quantile!r} must be between 0 and 1")
    scores = np.asarray(scores, np.float64)
    if len(scores) < LEAST:
        raise UserError(f"gamma threshold: {len(scores)} scores of normals; at least {LEAST} are needed")
    if not np.isfinite(scores).all():
        raise UserError("gamma threshold: a score of a normal is not finite")
    spread = float(scores.std())
    if not spread > 1e-12 * np.abs(scores).max():
        raise UserError(
            f"gamma threshold: all {len(scores)} scores of normals are {scores[0]:g}; no distribution "
            "can be fitted"
        )
    if location is not None and scores.min() <= location:
        raise UserError(
            f"gamma threshold: a score is {scores.min():g}, at or below the location {location:g}; "
            "leave the location free"
        )
    # In units of their spread: scipy's search starts and stops by absolute numbers.
    fixed = {} if location is None else {"floc": location / spread}
    try:
        shape, start, scale = gamma.fit(scores / spread, **fixed)
    # Any: SciPy raises private classes of its own, and their kind has changed.
    except Exception as error:
        raise UserError(f"gamma threshold: the fit has failed ({error}); use another rule") from None
    threshold = float(gamma.ppf(quantile, shape, start, scale) * spread)
    # Maximum likelihood with a free location may run away; then the quantile is anywhere.
    low, high = scores.min() - 10 * spread, scores.max() + 10 * spread
    if not (np.isfinite([shape, start, scale]).all() and low <= threshold <= high):
        raise UserError(
            f"gamma threshold: the fit has failed (threshold {threshold:g} for scores of "
            f"{scores.min():g} to {scores.max():g}); use another rule"
        )
    return GammaThreshold(
        threshold,
        float(shape),
        float(start * spread),
        float(scale * spread),
        quantile,
        len(scores),
        float((scores > threshold).mean()),
    )
