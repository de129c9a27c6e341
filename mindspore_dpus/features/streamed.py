"""Principal components of features too many to copy: a block of rows at a time. No MindSpore here."""

from collections.abc import Iterator

import numpy as np
from scipy import linalg, sparse

# Rows that are in memory as float64: 16 MB at 512 features.
BLOCK = 4096


def dense_rows(features, rows: np.ndarray | None) -> np.ndarray:
    """Some rows of a matrix as an array.

    Args:
        features: (N, D) array, memory map or scipy sparse matrix.
        rows: (M,) sorted indices, or None for all.

    Returns:
        (M, D); a view where the rows are neighbours in an array, else a copy.
    """
    if rows is not None:
        neighbours = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
        features = features[rows[0] : rows[-1] + 1] if neighbours else features[rows]
    return features.toarray() if sparse.issparse(features) else np.asarray(features)


def blocks(features, rows: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
    """``dense_rows``, ``BLOCK`` at a time: each one's place among the rows, and a float64 copy."""
    n = features.shape[0] if rows is None else len(rows)
    for first in range(0, n, BLOCK):
        place = slice(first, min(first + BLOCK, n))
        part = features[place] if rows is None else dense_rows(features, rows[place])
        yield place, dense_rows(part, None).astype(np.float64)


def moments(features, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in one pass, in float64.

    Args:
        features: (N, D) array, memory map or scipy sparse matrix.
        rows: (M,) sorted indices of two samples or more, or None for all.

    Returns:
        (D,) mean, and (D, D) covariance with ``M - 1`` degrees of freedom.

    Source: Chan, Golub and LeVeque 1983: blocks centred on their own means lose no digits.
    """
    n, n_features = 0, features.shape[1]
    mean, scatter = np.zeros(n_features), np.zeros((n_features, n_features))
    for _, block in blocks(features, rows):
        own = block.mean(axis=0)
        block -= own
        together = n + len(block)
        step = own - mean
        scatter += block.T @ block
        scatter += np.outer(step, step * (n * len(block) / together))
        mean += step * (len(block) / together)
        n = together
    return mean, scatter / (n - 1)


def principal_components(
    features, rows: np.ndarray | None, n_components: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading principal components, from the covariance: exact, and D x D of memory.

    Args:
        features, rows: as for ``moments``.
        n_components: how many, at most D.

    Returns:
        (D,) mean; (D, n_components) unit vectors, the longest direction first; (n_components,)
        standard deviations along them.
    """
    mean, covariance = moments(features, rows)
    last = len(mean) - 1
    variances, vectors = linalg.eigh(
        covariance, subset_by_index=[last - n_components + 1, last], overwrite_a=True
    )
    return mean, vectors[:, ::-1], np.sqrt(np.maximum(variances[::-1], 0.0))
