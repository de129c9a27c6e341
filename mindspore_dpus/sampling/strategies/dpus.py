"""Distribution-preserving under-sampling on features that are whitened already."""

import numpy as np

from mindspore_dpus.features.whitening import EXACT_UP_TO
from mindspore_dpus.sampling.dpus import DistributionPreservingUnderSampler
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.sampling.strategies.common import Drawn


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
        t sorted index arrays; and (N,) cluster of each sample, -1 in classes that stay whole.
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


def draw(
    labels: np.ndarray, features: np.ndarray | None, sampling: SamplingSettings, random_state: int
) -> Drawn:
    """The strategy as the table names it."""
    subsets, clusters = dpus(
        features,
        labels,
        sampling.n_clusters,
        sampling.n_subsets,
        sampling.proportion,
        sampling.draw,
        random_state,
    )
    return Drawn(subsets, clusters)
