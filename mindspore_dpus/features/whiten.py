"""PCA -> whiten -> L2: the features that are clustered (section 2.2). No MindSpore here."""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

# Directions with less than this share of the largest deviation are rounding noise, which whitening
# would blow up into signal. scikit-learn's quickest solver is exact to the root of float64's.
TOLERANCE = 1e-7


def whiten(features: np.ndarray, n_components: int = 128, random_state: int | None = None) -> np.ndarray:
    """Reduce features by PCA, scale each component to variance 1, and each vector to length 1.

    Args:
        features: (N, D) real numbers, one row a sample.
        n_components: PCA dimensions. Reduced, with a warning, to the numerical rank of the centred
            features, which is below N and at most D.
        random_state: seed of the randomised PCA that scikit-learn uses on wide data.

    Returns:
        (N, min(n_components, rank)) float64, rows of length 1 (0 for a sample at the mean). Where all
        samples are equal: (N, 1) zeros.

    Source: paper, section 2.2.
    """
    n_samples, n_features = features.shape
    centred = features.astype(np.float64)
    size = np.abs(centred).max()
    centred -= centred.mean(axis=0)
    rank = 0
    if np.abs(centred).max() > TOLERANCE**2 * size:
        limit = min(n_components, n_samples, n_features)
        pca = PCA(limit, whiten=True, random_state=random_state).fit(centred)
        deviations = np.sqrt(pca.explained_variance_)
        rank = int((deviations > TOLERANCE * deviations[0]).sum())
    if rank < n_components:
        warnings.warn(
            f"PCA gives {rank} instead of {n_components} components: {n_samples} samples of "
            f"{n_features} features have no more",
            stacklevel=2,
        )
    if rank == 0:
        return np.zeros((n_samples, 1))
    return normalize(pca.transform(centred)[:, :rank])
