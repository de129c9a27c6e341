"""Scores that say nothing. No MindSpore here."""

import numpy as np

# Of float32 outputs of the same network, built and summed in another order, last digits differ by up to
# some 1e-6 of the value.
ROUNDING = 1e-5


def merge_near_ties(scores: np.ndarray) -> np.ndarray:
    """Scores as they are, or all equal where they differ in their last digits only.

    A network that has learnt nothing yet may give every sample one score. What order remains among them
    is that of rounding errors: it changes from one processor to the next, and so does any AUC of it.

    Args:
        scores: (N,) or (N, C), finite.

    Returns:
        Of the same shape and type.
    """
    if not len(scores):
        return scores
    spread, size = np.ptp(scores, axis=0), np.abs(scores).max(axis=0)
    return np.broadcast_to(scores[0], scores.shape) if (spread <= ROUNDING * size).all() else scores
