"""The groups of one class: k-means++, K given or chosen by the silhouette. No MindSpore here."""

import warnings

import numpy as np
from sklearn.cluster import KMeans

from mindspore_dpus.sampling.diagnostics import group_quality

# A silhouette needs a second group to compare with. Above ten groups, a draw as small as the smallest
# class holds a few samples of each, and their shares are mostly rounding.
MIN_AUTO, MAX_AUTO = 2, 10


def group_samples(features: np.ndarray, n_clusters: int | str, n_init: int, seed: int) -> np.ndarray:
    """Cluster the samples of one class.

    Args:
        features: (N, D) floats.
        n_clusters: K; fewer, with a warning, where there are fewer distinct samples. ``"auto"``: the K
            of 2 to 10, and no more than there are distinct samples, with the largest mean silhouette
            (on ``MAX_SILHOUETTE`` samples at most); of equal ones the smallest. One group where there
            are fewer than three distinct samples, or no silhouette is defined.
        n_init: restarts of k-means++.
        seed: of k-means++, and of the samples that the silhouette is taken on.

    Returns:
        (N,) int, group of each sample.

    Source: Arthur and Vassilvitskii 2007 (k-means++); Rousseeuw 1987 (silhouette).
    """
    n_distinct = len(np.unique(features, axis=0))
    if n_clusters == "auto":
        return _best_groups(features, n_distinct, n_init, seed)
    if n_distinct < n_clusters:
        warnings.warn(
            f"only {n_distinct} distinct samples: {n_distinct} instead of {n_clusters} groups",
            stacklevel=2,
        )
    return _k_means(features, min(n_clusters, n_distinct), n_init, seed)


def _best_groups(features: np.ndarray, n_distinct: int, n_init: int, seed: int) -> np.ndarray:
    best, best_quality = np.zeros(len(features), dtype=int), -np.inf
    # Two distinct samples would always be two perfect groups.
    if n_distinct <= MIN_AUTO:
        return best
    for n_clusters in range(MIN_AUTO, min(MAX_AUTO, n_distinct) + 1):
        groups = _k_means(features, n_clusters, n_init, seed)
        quality = group_quality(features, groups, seed)
        # An undefined silhouette (nan) is never larger; an equal one stays with the smaller K.
        if quality > best_quality:
            best, best_quality = groups, quality
    return best


def _k_means(features: np.ndarray, n_clusters: int, n_init: int, seed: int) -> np.ndarray:
    kmeans = KMeans(n_clusters, init="k-means++", n_init=n_init, random_state=seed)
    return kmeans.fit_predict(features)
