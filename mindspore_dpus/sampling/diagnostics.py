"""How far is a subset from the distribution that it stands for? No MindSpore here.

Every measure of a subset is 0 where it mirrors the whole exactly, and is computed for random draws of
equal size as well, since a small sample is never exact. Two measures are of the clusters themselves.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, silhouette_score

# Pairwise distances grow with the square: larger classes and subsets are represented by a random sample.
MAX_REFERENCE = 4000
MAX_SUBSET = 2000
MAX_EMBEDDED = 1500
MAX_SILHOUETTE = 2000
# t-SNE compares the distances to several neighbours.
MIN_EMBEDDED = 4


def share_deviation(labels: np.ndarray, subset: np.ndarray) -> float:
    """Largest difference between a cluster's share in the subset and in the whole.

    Args:
        labels: (N,) cluster of each sample of the whole.
        subset: indices into ``labels``.

    Returns:
        0..1.
    """
    whole, part = _counts(labels, subset)
    return float(np.abs(part / part.sum() - whole / whole.sum()).max())


def chi_squared(labels: np.ndarray, subset: np.ndarray) -> float:
    """Pearson's chi-squared of the subset's cluster counts against those expected from the whole."""
    whole, part = _counts(labels, subset)
    expected = whole / whole.sum() * part.sum()
    return float(((part - expected) ** 2 / expected).sum())


def _counts(labels: np.ndarray, subset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse, clusters = pd.factorize(labels, sort=True)
    whole = np.bincount(inverse)
    return whole, np.bincount(inverse[subset], minlength=len(clusters))


class FeatureDistances:
    """Energy distance and maximum mean discrepancy of subsets from the whole, in feature space.

    Args:
        features: (N, D) of the whole class.
        random_state: seed of the reference sample where N is above ``MAX_REFERENCE``, and of that of a
            subset above ``MAX_SUBSET``: what such subsets differ by is then mostly chance.

    Source: Szekely and Rizzo 2013 (energy); Gretton et al. 2012, Eq. 5 (MMD, biased estimate, Gaussian
    kernel as wide as the median distance).
    """

    def __init__(self, features: np.ndarray, random_state: int = 0) -> None:
        self.features = features
        self.random_state = random_state
        self.reference = features[sample_rows(MAX_REFERENCE, len(features), random_state)]
        distances = cdist(self.reference, self.reference)
        self.width = float(np.median(distances)) or 1.0
        self.mean_distance = distances.mean()
        self.mean_kernel = self._kernel(distances).mean()

    def _kernel(self, distances: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (distances / self.width) ** 2)

    def __call__(self, subset: np.ndarray) -> tuple[float, float]:
        """(energy distance, squared MMD) of the samples at ``subset``."""
        part = self.features[subset[sample_rows(MAX_SUBSET, len(subset), self.random_state)]]
        across, within = cdist(part, self.reference), cdist(part, part)
        energy = 2 * across.mean() - within.mean() - self.mean_distance
        mmd = self._kernel(within).mean() + self.mean_kernel - 2 * self._kernel(across).mean()
        return float(energy), float(mmd)


def diagnose(
    features: np.ndarray,
    labels: np.ndarray,
    subsets: dict[str, np.ndarray],
    truth: np.ndarray | None = None,
    n_random: int = 20,
    random_state: int = 0,
) -> pd.DataFrame:
    """Measure every subset of one class, and random draws of the first one's size.

    Args:
        features: (N, D) of the class, as they were clustered.
        labels: (N,) cluster of each sample.
        subsets: member -> indices into the class.
        truth: (N,) true sub-population of each sample, where it is known (simulated data).
        n_random: random draws to compare with.
        random_state: seed.

    Returns:
        A row a subset: ``subset`` (member, or random-0 ...), ``kind`` (drawn or random),
        ``share_deviation``, ``chi_squared``, ``energy``, ``mmd``, ``silhouette`` (``cluster_quality``, the
        same in every row) and, with ``truth``, ``agreement`` (``cluster_agreement``, the same in every
        row) and ``true_share_deviation``.
    """
    quality = cluster_quality(features, labels, random_state)
    agreement = None if truth is None else cluster_agreement(labels, truth)
    rng = np.random.default_rng(random_state)
    distances = FeatureDistances(features, random_state)
    size = len(next(iter(subsets.values())))
    cases = [(name, "drawn", subset) for name, subset in subsets.items()]
    for i in range(n_random):
        cases.append((f"random-{i}", "random", rng.choice(len(labels), size, replace=False)))
    rows = []
    for name, kind, subset in cases:
        energy, mmd = distances(subset)
        row = {
            "subset": name,
            "kind": kind,
            "share_deviation": share_deviation(labels, subset),
            "chi_squared": chi_squared(labels, subset),
            "energy": energy,
            "mmd": mmd,
            "silhouette": quality,
        }
        if truth is not None:
            row["agreement"] = agreement
            row["true_share_deviation"] = share_deviation(truth, subset)
        rows.append(row)
    return pd.DataFrame(rows)


def cluster_agreement(labels: np.ndarray, truth: np.ndarray) -> float:
    """Adjusted Rand index of the clusters against known sub-populations.

    Args:
        labels: (N,) cluster of each sample.
        truth: (N,) true sub-population of each sample.

    Returns:
        1 where both part the samples alike, whatever the parts are called; about 0 for chance; negative
        for less than chance.

    Source: Hubert and Arabie 1985.
    """
    return float(adjusted_rand_score(truth, labels))


def cluster_quality(features: np.ndarray, labels: np.ndarray, random_state: int = 0) -> float:
    """Mean silhouette of the clusters: near 1 they lie well apart, near 0 they are cut out of one cloud.

    Args:
        features: (N, D) of the class, as they were clustered.
        labels: (N,) cluster of each sample.
        random_state: seed of the sample that stands for a class above ``MAX_SILHOUETTE``.

    Returns:
        -1..1; nan where there is one cluster only, or every sample is a cluster.

    Source: Rousseeuw 1987.
    """
    rows = sample_rows(MAX_SILHOUETTE, len(labels), random_state)
    if not 1 < len(set(labels[rows].tolist())) < len(rows):
        return float("nan")
    return float(silhouette_score(features[rows], labels[rows]))


def sample_rows(limit: int, n: int, random_state: int) -> np.ndarray:
    """All of ``n`` indices, or a sorted random sample of ``limit`` of them."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).choice(n, limit, replace=False))


def embed(features: np.ndarray, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Place samples in the plane for a picture (t-SNE).

    Returns:
        Indices of the samples shown (all, or a random ``MAX_EMBEDDED``), and their (n, 2) places: all 0
        below ``MIN_EMBEDDED``.
    """
    rows = sample_rows(MAX_EMBEDDED, len(features), random_state)
    if len(rows) < MIN_EMBEDDED:
        return rows, np.zeros((len(rows), 2))
    perplexity = min(30.0, (len(rows) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="random", random_state=random_state)
    return rows, tsne.fit_transform(features[rows])
