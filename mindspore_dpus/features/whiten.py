"""PCA -> whiten -> L2: the features that are clustered (section 2.2). No MindSpore here."""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

# Directions with less than this share of the largest deviation are rounding noise, which whitening
# would blow up into signal. scikit-learn's quickest solver is exact to the root of float64's.
TOLERANCE = 1e-7
# Whitening makes every direction equally long. With nearly as many directions as samples, all samples
# are then equally far from each other, and clusters are chance: each direction needs some samples.
SAMPLES_PER_COMPONENT = 10


def whiten(features: np.ndarray, n_components: int = 128, random_state: int | None = None) -> np.ndarray:
    """Reduce features by PCA, scale each component to variance 1, and each vector to length 1.

    Args:
        features: (N, D) real numbers, one row a sample.
        n_components: PCA dimensions. Reduced, with a warning, to one for 10 samples (but 2 at least),
            and to the numerical rank of the centred features, which is below N and at most D.
        random_state: seed of the randomised PCA that scikit-learn uses on wide data.

    Returns:
        (N, min(n_components, max(2, N // 10), rank)) float64, rows of length 1 (0 for a sample at the
        mean). Where all samples are equal: (N, 1) zeros.

    Source: paper, section 2.2.
    """
    n_samples, n_features = features.shape
    centred = features.astype(np.float64)
    size = np.abs(centred).max()
    centred -= centred.mean(axis=0)
    carried = max(2, n_samples // SAMPLES_PER_COMPONENT)
    rank = 0
    if np.abs(centred).max() > TOLERANCE**2 * size:
        limit = min(n_components, carried, n_samples, n_features)
        pca = PCA(limit, whiten=True, random_state=random_state).fit(centred)
        deviations = np.sqrt(pca.explained_variance_)
        rank = int((deviations > TOLERANCE * deviations[0]).sum())
    if rank < n_components:
        reason = "carry" if rank == carried else f"of {n_features} features have"
        warnings.warn(
            f"PCA gives {rank} instead of {n_components} components: {n_samples} samples "
            f"{reason} no more",
            stacklevel=2,
        )
    if rank == 0:
        return np.zeros((n_samples, 1))
    return normalize(pca.transform(centred)[:, :rank])
