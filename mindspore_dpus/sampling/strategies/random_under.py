"""Random under-sampling: all of the smallest class, and a random part of each other one."""

from collections import Counter

import numpy as np
from imblearn.under_sampling import RandomUnderSampler

from mindspore_dpus.sampling.dpus import draw_size
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.sampling.strategies.common import Drawn, drawn_classes, resampled, subset_seeds


def random_under(
    labels: np.ndarray,
    n_subsets: int,
    proportion: float | str | None,
    random_state: int,
) -> list[np.ndarray]:
    """Every member gets all of the smallest class, and as many of the others as ``dpus`` would draw.

    Args:
        labels: (N,) classes.
        n_subsets: t.
        proportion: as for ``DistributionPreservingUnderSampler``.
        random_state: seed.

    Returns:
        t sorted index arrays.
    """
    counts = Counter(labels.tolist())
    sizes = {label: draw_size(counts, label, proportion) for label in drawn_classes(labels)}
    return [
        resampled(RandomUnderSampler(sampling_strategy=sizes, random_state=seed), labels)
        for seed in subset_seeds(random_state, n_subsets)
    ]


def draw(
    labels: np.ndarray, features: np.ndarray | None, sampling: SamplingSettings, random_state: int
) -> Drawn:
    """The strategy as the table names it."""
    return Drawn(random_under(labels, sampling.n_subsets, sampling.proportion, random_state))
