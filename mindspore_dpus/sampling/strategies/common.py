"""What the strategies share: which classes are drawn, and a seed for each subset."""

from dataclasses import dataclass

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from imblearn.utils import check_sampling_strategy


@dataclass(frozen=True)
class Drawn:
    """What a strategy gives.

    Args:
        subsets: t sorted index arrays into the training samples, one a member.
        clusters: (N,) cluster of each sample, -1 in classes that stay whole; None: nothing was
            clustered.
    """

    subsets: list[np.ndarray]
    clusters: np.ndarray | None = None


def drawn_classes(labels: np.ndarray) -> list:
    """The classes that are drawn: all but the smallest; of equally small ones, the first stays whole.

    This is imbalanced-learn's rule, and so that of ``DistributionPreservingUnderSampler``.

    Args:
        labels: (N,) classes, of two or more kinds; their sorted order says which comes first.

    Returns:
        Sorted classes.

    Raises:
        ValueError: there is one class only.
    """
    return list(check_sampling_strategy("auto", labels, "under-sampling"))


def subset_seeds(random_state: int, n_subsets: int) -> list[int]:
    """A seed for each subset. Not ``random_state + i``: neighbouring runs would share their subsets."""
    sequences = (np.random.SeedSequence([random_state, i]) for i in range(n_subsets))
    return [int(sequence.generate_state(1)[0]) for sequence in sequences]


def resampled(sampler: RandomUnderSampler | RandomOverSampler, labels: np.ndarray) -> np.ndarray:
    """Sorted indices of what an imbalanced-learn sampler keeps or repeats."""
    sampler.fit_resample(np.zeros((len(labels), 1)), labels)
    return np.sort(sampler.sample_indices_)
