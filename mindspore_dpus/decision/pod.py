"""Probability of detection (POD) against flaw size, from hits and misses.

The model of MIL-HDBK-1823A for hit/miss data: the log-odds of a detection are a straight line over the
logarithm of the size. The lower limits are the likelihood ratio's, not Wald's, which few flaws distort.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm

from mindspore_dpus.core.errors import UserError

# What the handbook asks for where the answer is hit or miss.
MIN_FLAWS = 60
_DIRECTIONS = 360
_CURVE = 60


@dataclass(frozen=True)
class Pod:
    """A fitted POD curve. Sizes are in the unit that they were given in.

    Attributes:
        n_flaws, n_hits: what it was fitted to.
        intercept, slope: of the log-odds over ``log(size)``.
        smallest, largest: flaw.
        a50, a90: sizes with a POD of 0.5 and 0.9.
        a90_limit: size from which on the POD is at least 0.9 at ``confidence`` (a90/95 at 0.95); None:
            the data set no such limit.
        confidence: of ``a90_limit`` and ``lower``, one-sided.
        sizes, pod, lower: the curve from the smallest to the largest flaw, and its lower limit at each
            size.
    """

    n_flaws: int
    n_hits: int
    intercept: float
    slope: float
    smallest: float
    largest: float
    a50: float
    a90: float
    a90_limit: float | None
    confidence: float
    sizes: list[float]
    pod: list[float]
    lower: list[float]


def fit_pod(sizes: np.ndarray, hits: np.ndarray, confidence: float = 0.95) -> Pod:
    """Fit the curve by maximum likelihood.

    Args:
        sizes: (N,) of the flaws, above 0.
        hits: (N,) bool, whether each was detected.
        confidence: one-sided, above 0.5.

    Raises:
        UserError: too few flaws, hits and misses do not overlap in size, or larger flaws are not found
            more often.

    Source: MIL-HDBK-1823A (2009), hit/miss data. A size's lower limit is the smallest POD there of all
    curves whose likelihood ratio with the best one is not rejected: ``2 log LR <= z(confidence)^2``, one
    degree of freedom, as each size is judged by itself.
    """
    _check(sizes, hits, confidence)
    centre, scale = np.log(sizes).mean(), np.log(sizes).std()
    x = (np.log(sizes) - centre) / scale
    best = _maximum_likelihood(x, hits)

    def size_at(log_odds: float, line: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.exp(centre + scale * (log_odds - line[..., 0]) / line[..., 1])

    if best[1] <= 0 or not np.isfinite(size_at(logit(0.9), best)):
        raise UserError("larger flaws are not found more often than small ones: no POD curve fits")
    others = _contour(x, hits, best, norm.ppf(confidence) ** 2)
    curve = np.geomspace(sizes.min(), sizes.max(), _CURVE)
    places = (np.log(curve) - centre) / scale
    # A line that falls, or is level, reaches 0.9 at no size or from there downwards.
    limit = size_at(logit(0.9), others).max() if (others[:, 1] > 0).all() else np.inf
    slope = best[1] / scale
    return Pod(
        n_flaws=len(sizes),
        n_hits=int(hits.sum()),
        intercept=float(best[0] - slope * centre),
        slope=float(slope),
        smallest=float(sizes.min()),
        largest=float(sizes.max()),
        a50=float(size_at(0.0, best)),
        a90=float(size_at(logit(0.9), best)),
        a90_limit=float(limit) if np.isfinite(limit) else None,
        confidence=confidence,
        sizes=curve.tolist(),
        pod=expit(best[0] + best[1] * places).tolist(),
        lower=expit((others[:, :1] + others[:, 1:] * places).min(axis=0)).tolist(),
    )


def _check(sizes: np.ndarray, hits: np.ndarray, confidence: float) -> None:
    if confidence <= 0.5:
        raise UserError(f"a limit at a confidence of {confidence:g} is none; it must be above 0.5")
    if len(sizes) < MIN_FLAWS:
        raise UserError(f"{len(sizes)} flaws of known size; MIL-HDBK-1823A asks for {MIN_FLAWS} or more")
    if hits.all() or not hits.any():
        raise UserError(f"{'all' if hits.all() else 'none'} of the {len(sizes)} flaws were found")
    found, missed = sizes[hits], sizes[~hits]
    if found.min() >= missed.max() or found.max() <= missed.min():
        raise UserError(
            f"flaws found ({found.min():g} to {found.max():g}) and flaws missed ({missed.min():g} to "
            f"{missed.max():g}) do not overlap in size: any steep curve fits"
        )


def _negative_log_likelihood(lines: np.ndarray, x: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """(...) for lines (..., 2)."""
    eta = lines[..., :1] + lines[..., 1:] * x
    return np.logaddexp(0, np.where(hits, -eta, eta)).sum(axis=-1)


def _design(line: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 2) design matrix, (N,) probabilities, (2, 2) Hessian of the negative log-likelihood."""
    design = np.column_stack([np.ones_like(x), x])
    p = expit(design @ line)
    return design, p, design.T @ (design * (p * (1 - p))[:, None])


def _maximum_likelihood(x: np.ndarray, hits: np.ndarray) -> np.ndarray:
    def gradient(line: np.ndarray) -> np.ndarray:
        design, p, _ = _design(line, x)
        return design.T @ (p - hits)

    return minimize(
        _negative_log_likelihood,
        np.zeros(2),
        args=(x, hits),
        jac=lambda line, *_: gradient(line),
        hess=lambda line, *_: _design(line, x)[2],
        method="trust-exact",
        options={"gtol": 1e-9},
    ).x


def _contour(x: np.ndarray, hits: np.ndarray, best: np.ndarray, drop: float) -> np.ndarray:
    """(_DIRECTIONS, 2) lines whose deviance is ``drop`` above the best one's."""
    angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    # In these directions the contour is about a circle.
    whitening = np.linalg.cholesky(np.linalg.inv(_design(best, x)[2]))
    directions = np.column_stack([np.cos(angles), np.sin(angles)]) @ whitening.T
    floor = _negative_log_likelihood(best, x, hits)

    def too_far(radii: np.ndarray) -> np.ndarray:
        lines = best + radii[:, None] * directions
        return 2 * (_negative_log_likelihood(lines, x, hits) - floor) > drop

    low, high = np.zeros(_DIRECTIONS), np.full(_DIRECTIONS, np.sqrt(drop))
    while not (far := too_far(high)).all():
        high[~far] *= 2
    for _ in range(30):
        middle = (low + high) / 2
        far = too_far(middle)
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return best + high[:, None] * directions
