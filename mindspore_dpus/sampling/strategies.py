"""The ways to turn an imbalanced training set into the members' training sets. No MindSpore here.

Every strategy is a function from class labels to t index arrays, one a member.
"""

import numpy as np
from imblearn.over_sampling import RandomOverSampler

from mindspore_dpus.sampling.dpus import DistributionPreservingUnderSampler

BASELINE = "baseline"


def none(labels: np.ndarray, n_subsets: int) -> list[np.ndarray]:
    """Every member gets all samples (the paper's CE, WCE, focal and seesaw rows)."""
    return [np.arange(len(labels)) for _ in range(n_subsets)]


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
    # One group: a share of every group is then a random share of the whole.
    return dpus(
        np.zeros((len(labels), 1)), labels, 1, n_subsets, proportion, "independent", random_state
    )[0]


def random_over(labels: np.ndarray, n_subsets: int, random_state: int) -> list[np.ndarray]:
    """Every member gets all samples, those of smaller classes repeated at random up to the largest."""
    rows = np.arange(len(labels)).reshape(-1, 1)
    subsets = []
    for i in range(n_subsets):
        sampler = RandomOverSampler(random_state=random_state + i)
        sampler.fit_resample(rows, labels)
        subsets.append(np.sort(sampler.sample_indices_))
    return subsets


def dpus(
    features: np.ndarray,
    labels: np.ndarray,
    n_clusters: int,
    n_subsets: int,
    proportion: float | str | None,
    draw: str,
    random_state: int,
) -> tuple[list[np.ndarray], np.ndarray]:
    """The paper's method on features that are whitened already.

    Args:
        features: (N, D); rows of classes that stay whole are not looked at.
        labels: (N,) classes.
        n_clusters, n_subsets, proportion, draw, random_state: see
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
        random_state=random_state,
    )
    sampler.fit_resample(features, labels)
    return sampler.subsets_, sampler.labels_
