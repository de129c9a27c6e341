"""One detector for both domains, and how the scores of each domain's are weighted."""

from collections.abc import Callable, Sequence

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.base import Detector
from mindspore_dpus.detectors.pseudo_normals import NUMBER, pseudo_normals

# How soft the choice between the domains is (Eq. 7).
KAPPA = 0.15


def fit_generalised(
    create: Callable[[], Detector],
    source: np.ndarray,
    target: np.ndarray,
    *,
    n_pseudo: int = NUMBER,
    alpha: float = 1.0,
    random_state: int = 0,
) -> Detector:
    """Domain generalisation: one detector on the normals of both domains and pseudo-normals between.

    Args:
        create: makes a detector that is yet to be fitted.
        source: (N, D) embeddings of normals.
        target: (M, D); may be empty, as for a machine without a shift, when ``n_pseudo`` is 0.
        n_pseudo: pseudo-normals; 0: none.
        alpha: of their Mixup.
        random_state: seed of their Mixup.

    Source: technical report, section 2.3.
    """
    parts = [source, target] if len(target) else [source]
    if n_pseudo:
        parts.append(
            pseudo_normals(source, target, number=n_pseudo, alpha=alpha, random_state=random_state)
        )
    return create().fit(np.concatenate(parts))


def mean_logit(logits: Sequence[np.ndarray]) -> np.ndarray:
    """One logit of the domain for a clip: the mean over those kinds of vectors that can tell the domains apart.

    Args:
        logits: of each kind of vectors (C,); minus infinity where it cannot.

    Returns:
        (C,) float64; minus infinity where none can.
    """
    table = np.stack([np.asarray(values, np.float64) for values in logits])
    known = np.isfinite(table)
    number = known.sum(axis=0)
    total = np.where(known, table, 0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), -np.inf)


def target_probability(logits: np.ndarray, kappa: float = KAPPA) -> np.ndarray:
    """How likely a clip is of the target domain (Eq. 7): ``sigmoid(logit / kappa)``.

    Args:
        logits: (N,) of the domain head; above 0: target. Minus infinity: surely not.
        kappa: above 0; the smaller, the harder the choice.

    Returns:
        (N,) float64, 0..1.
    """
    if not kappa > 0:
        raise UserError(f"kappa {kappa!r} must be above 0")
    scaled = np.asarray(logits, np.float64) / kappa
    # exp of what is never above 0 cannot overflow.
    small = np.exp(-np.abs(scaled))
    return np.where(scaled >= 0, 1, small) / (1 + small)


def specialised_scores(
    source_scores: np.ndarray, target_scores: np.ndarray, probability: np.ndarray
) -> np.ndarray:
    """The domain-weighted mean of both detectors' scores (Eq. 8).

    Args:
        source_scores: (N,) of the source domain's detector, standardised by section.
        target_scores: (N,) of the target domain's, standardised by section.
        probability: (N,) of the target domain.

    Returns:
        (N,) float64.

    Raises:
        ValueError: the three differ in length, or a probability is out of range.
    """
    source_scores, target_scores, probability = (
        np.asarray(values, np.float64) for values in (source_scores, target_scores, probability)
    )
    if not source_scores.shape == target_scores.shape == probability.shape:
        raise ValueError(
            f"scores and probabilities differ in shape: {source_scores.shape}, {target_scores.shape}, "
            f"{probability.shape}"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("a probability is not between 0 and 1")
    return (1 - probability) * source_scores + probability * target_scores
