"""Random over-sampling: all samples, those of smaller classes repeated."""

import numpy as np
from imblearn.over_sampling import RandomOverSampler

from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.sampling.strategies.common import Drawn, resampled, subset_seeds


def random_over(labels: np.ndarray, n_subsets: int, random_state: int) -> list[np.ndarray]:
    """Every member gets all samples, those of smaller classes repeated at random up to the largest."""
    return [
        resampled(RandomOverSampler(random_state=seed), labels)
        for seed in subset_seeds(random_state, n_subsets)
    ]


def draw(
    labels: np.ndarray, features: np.ndarray | None, sampling: SamplingSettings, random_state: int
) -> Drawn:
    """The strategy as the table names it."""
    return Drawn(random_over(labels, sampling.n_subsets, random_state))
