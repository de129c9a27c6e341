"""The clusters of one class: k-means++, K given or chosen by the silhouette. No MindSpore here."""

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

from mindspore_dpus.features.whitening import EXACT_UP_TO
from mindspore_dpus.sampling.diagnostics import cluster_quality, sample_rows

# A silhouette needs a second cluster to compare with. Above ten clusters, a draw as small as the smallest
# class holds a few samples of each, and their shares are mostly rounding.
MIN_AUTO, MAX_AUTO = 2, 10
# Of a large class: the random samples on which K and the first centres are found, and those in a step of
# mini-batch k-means. From centres of its own, it would end in a poor optimum now and then.
SAMPLE = 20_000
BATCH = 4096


def cluster_samples(
    features: np.ndarray,
    n_clusters: int | str,
    n_init: int,
    seed: int,
    exact_up_to: int = EXACT_UP_TO,
) -> np.ndarray:
    """Cluster the samples of one class.

    Args:
        features: (N, D) floats.
        n_clusters: K; fewer, with a warning, where there are fewer distinct samples. ``"auto"``: the K
            of 2 to 10, and no more than there are distinct samples, with the largest mean silhouette
            (on ``MAX_SILHOUETTE`` samples at most); of equal ones the smallest. One cluster where there
            are fewer than three distinct samples, or no silhouette is defined.
        n_init: restarts of k-means++.
        seed: of k-means++, and of the samples that the silhouette is taken on.
        exact_up_to: number of samples above which k-means runs on ``SAMPLE`` random ones, there chooses
            K if it is to, and goes on from its centres in mini-batches of all.

    Returns:
        (N,) int, cluster of each sample.

    Source: Arthur and Vassilvitskii 2007 (k-means++); Rousseeuw 1987 (silhouette); Sculley 2010
        (mini-batches).
    """
    if len(features) > exact_up_to:
        rows = sample_rows(SAMPLE, len(features), seed)
        clusters = cluster_samples(features[rows], n_clusters, n_init, seed, len(rows))
        return _go_on(features, rows, clusters, seed)
    n_distinct = _count_distinct(features, MAX_AUTO if n_clusters == "auto" else n_clusters)
    if n_clusters == "auto":
        return _best_clusters(features, n_distinct, n_init, seed)
    if n_distinct < n_clusters:
        warnings.warn(
            f"only {n_distinct} distinct samples: {n_distinct} instead of {n_clusters} clusters",
            stacklevel=2,
        )
    return _k_means(features, n_distinct, n_init, seed)


def _count_distinct(features: np.ndarray, limit: int) -> int:
    """The number of distinct rows, or ``limit`` where there are more."""
    distinct = features[:0]
    for first in range(0, len(features), BATCH):
        distinct = np.unique(np.concatenate([distinct, features[first : first + BATCH]]), axis=0)
        if len(distinct) >= limit:
            return limit
    return len(distinct)


def _best_clusters(features: np.ndarray, n_distinct: int, n_init: int, seed: int) -> np.ndarray:
    best, best_quality = np.zeros(len(features), dtype=int), -np.inf
    # Two distinct samples would always be two perfect clusters.
    if n_distinct <= MIN_AUTO:
        return best
    for n_clusters in range(MIN_AUTO, n_distinct + 1):
        clusters = _k_means(features, n_clusters, n_init, seed)
        quality = cluster_quality(features, clusters, seed)
        # An undefined silhouette (nan) is never larger; an equal one stays with the smaller K.
        if quality > best_quality:
            best, best_quality = clusters, quality
    return best


def _k_means(features: np.ndarray, n_clusters: int, n_init: int, seed: int) -> np.ndarray:
    kmeans = KMeans(n_clusters, init="k-means++", n_init=n_init, random_state=seed)
    return kmeans.fit_predict(features)


def _go_on(features: np.ndarray, rows: np.ndarray, clusters: np.ndarray, seed: int) -> np.ndarray:
    """From the clusters of the samples at ``rows`` to those of all, by mini-batch k-means."""
    sample = features[rows]
    centres = np.stack([sample[clusters == cluster].mean(axis=0) for cluster in np.unique(clusters)])
    kmeans = MiniBatchKMeans(
        len(centres),
        init=centres,
        n_init=1,
        batch_size=BATCH,
        # Else the centre of a rare cluster may be moved into a common one: rare clusters count here.
        reassignment_ratio=0.0,
        random_state=seed,
    )
    return kmeans.fit_predict(features)
