"""The ways to turn an imbalanced training set into the members' training sets. No MindSpore here.

Every strategy is a function from class labels to t index arrays, one a member.
"""

from collections import Counter

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from imblearn.utils import check_sampling_strategy

from mindspore_dpus.features.whiten import EXACT_UP_TO
from mindspore_dpus.sampling.dpus import DistributionPreservingUnderSampler, draw_size

BASELINE = "baseline"


def none(labels: np.ndarray, n_subsets: int) -> list[np.ndarray]:
    """Every member gets all samples (the paper's CE, WCE, focal and seesaw rows)."""
    return [np.arange(len(labels)) for _ in range(n_subsets)]


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
        _resampled(RandomUnderSampler(sampling_strategy=sizes, random_state=seed), labels)
        for seed in _seeds(random_state, n_subsets)
    ]


def random_over(labels: np.ndarray, n_subsets: int, random_state: int) -> list[np.ndarray]:
    """Every member gets all samples, those of smaller classes repeated at random up to the largest."""
    return [
        _resampled(RandomOverSampler(random_state=seed), labels)
        for seed in _seeds(random_state, n_subsets)
    ]


def _seeds(random_state: int, n_subsets: int) -> list[int]:
    """A seed for each subset. Not ``random_state + i``: neighbouring runs would share their subsets."""
    sequences = (np.random.SeedSequence([random_state, i]) for i in range(n_subsets))
    return [int(sequence.generate_state(1)[0]) for sequence in sequences]


def _resampled(sampler: RandomUnderSampler | RandomOverSampler, labels: np.ndarray) -> np.ndarray:
    """Sorted indices of what an imbalanced-learn sampler keeps or repeats."""
    sampler.fit_resample(np.zeros((len(labels), 1)), labels)
    return np.sort(sampler.sample_indices_)


def dpus(
    features: np.ndarray,
    labels: np.ndarray,
    n_clusters: int | str,
    n_subsets: int,
    proportion: float | str | None,
    draw: str,
    random_state: int,
    exact_up_to: int = EXACT_UP_TO,
) -> tuple[list[np.ndarray], np.ndarray]:
    """The paper's method on features that are whitened already.

    Args:
        features: (N, D); rows of classes that stay whole are not looked at.
        labels: (N,) classes.
        n_clusters, n_subsets, proportion, draw, random_state, exact_up_to: see
            ``DistributionPreservingUnderSampler``.

    Returns:
        t sorted index arrays; and (N,) group of each sample, -1 in classes that stay whole.
    """
    sampler = DistributionPreservingUnderSampler(
        n_clusters=n_clusters,
        n_subsets=n_subsets,
        proportion=proportion,
        draw=draw,
        n_components=None,
        exact_up_to=exact_up_to,
        random_state=random_state,
    )
    sampler.fit_resample(features, labels)
    return sampler.subsets_, sampler.labels_
