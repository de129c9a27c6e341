"""Cross-entropy that weighs each class by its inverse frequency, unless weights are given."""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.losses.cross_entropy import CrossEntropy


def inverse_frequency_weights(counts: Sequence[int]) -> np.ndarray:
    """Class weights of the paper's WCE: inverse class frequencies, scaled to a mean of 1.

    Args:
        counts: (C,) training samples of each class, all above 0.

    Returns:
        (C,) float64.

    Source: paper, section 1 ("weight is the inverse class frequencies").
    """
    inverse = 1.0 / np.asarray(counts, dtype=np.float64)
    return inverse / inverse.mean()


def create(
    counts: Sequence[int], label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None
) -> CrossEntropy:
    """The loss for training sets of these class counts."""
    weights = inverse_frequency_weights(counts) if class_weights is None else class_weights
    return CrossEntropy(len(counts), label_smoothing, weights)
