"""PCA -> whiten -> L2: the features that are clustered (section 2.2). No MindSpore here."""

import warnings
from collections.abc import Callable

import numpy as np

from mindspore_dpus.features.settings import DEFAULT_COMPONENTS
from mindspore_dpus.features.streamed import blocks, dense_rows, principal_components

# Directions with less than this share of the largest deviation are rounding noise, which whitening
# would blow up into signal. scikit-learn's quickest solver is exact to the root of float64's.
TOLERANCE = 1e-7
# Whitening makes every direction equally long. With nearly as many directions as samples, all samples
# are then equally far from each other, and clusters are chance: each direction needs some samples.
SAMPLES_PER_COMPONENT = 10

# Numbers of components of which the user knows that there are fewer.
_told: set[int] = set()

# Samples of a class up to which PCA and k-means are scikit-learn's, on float64 copies of them all.
# Beyond, the class is read in blocks.
EXACT_UP_TO = 50_000


def whiten(
    features: np.ndarray,
    n_components: int = DEFAULT_COMPONENTS,
    random_state: int | None = None,
    rows: np.ndarray | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> np.ndarray:
    """Reduce features by PCA, scale each component to variance 1, and each vector to length 1.

    Args:
        features: (N, D) real numbers, one row a sample; an array, a memory map or a scipy sparse matrix.
        n_components: PCA dimensions. Reduced to one for 10 samples (but 2 at least), and to the numerical
            rank of the centred features, which is below N and at most D; with a warning, once in a process
            for each number, where it is not the default.
        random_state: seed of the randomised PCA that scikit-learn uses on wide data.
        rows: (M,) sorted indices of the samples meant, or None for all N.
        exact_up_to: number of samples above which the covariance is summed up in blocks of rows, so that
            no copy of the features is made. It gives the same components; their signs are free.

    Returns:
        (M, min(n_components, max(2, M // 10), rank)), rows of length 1 (0 for a sample at the mean);
        float64, above ``exact_up_to`` float32. Where all samples are equal: (M, 1) zeros.

    Example:
        >>> import numpy as np
        >>> from mindspore_dpus.features import whiten
        >>> features = np.random.default_rng(0).normal(size=(100, 6))
        >>> whitened = whiten(features, n_components=4, random_state=0)
        >>> whitened.shape
        (100, 4)

    Source: paper, section 2.2.
    """
    n_samples, n_features = features.shape
    if rows is not None:
        n_samples = len(rows)
    carried = max(2, n_samples // SAMPLES_PER_COMPONENT)
    limit = min(n_components, carried, n_samples, n_features)
    if n_samples > exact_up_to:
        deviations, project = _streamed(features, rows, limit)
    else:
        deviations, project = _exact(dense_rows(features, rows), limit, random_state)
    rank = int((deviations > TOLERANCE * deviations.max(initial=0.0)).sum())
    if rank < n_components != DEFAULT_COMPONENTS and n_components not in _told:
        _told.add(n_components)
        reason = "carry" if rank == carried else f"of {n_features} features have"
        warnings.warn(
            f"PCA gives {rank} instead of {n_components} components: {n_samples} samples "
            f"{reason} no more",
            stacklevel=2,
        )
    if rank == 0:
        return np.zeros((n_samples, 1))
    return project(rank)


# Both give the deviations along the components, none where all samples are equal, and a function from a
# number of components to the whitened samples.


def _exact(
    features: np.ndarray, limit: int, random_state: int | None
) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    # Imported late, as scoring sound imports this package's other modules where there is no scikit-learn.
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    centred = features.astype(np.float64)
    size = np.abs(centred).max()
    centred -= centred.mean(axis=0)
    pca = PCA(limit, whiten=True, random_state=random_state)
    deviations = np.empty(0)
    if np.abs(centred).max() > TOLERANCE**2 * size:
        deviations = np.sqrt(pca.fit(centred).explained_variance_)
    return deviations, lambda rank: normalize(pca.transform(centred)[:, :rank])


def _streamed(
    features: np.ndarray, rows: np.ndarray | None, limit: int
) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    from sklearn.preprocessing import normalize

    mean, axes, deviations = principal_components(features, rows, limit)
    if deviations[0] <= TOLERANCE**2 * np.abs(mean).max():
        deviations = np.empty(0)

    def project(rank: int) -> np.ndarray:
        n_samples = features.shape[0] if rows is None else len(rows)
        whitened = np.empty((n_samples, rank), np.float32)
        scale = axes[:, :rank] / deviations[:rank]
        for place, block in blocks(features, rows):
            block -= mean
            whitened[place] = normalize(block @ scale, copy=False)
        return whitened

    return deviations, project
