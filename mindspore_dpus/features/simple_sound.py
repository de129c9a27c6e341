"""Vectors without a network: mean and deviation of each mel band over time. A baseline that any trained
extractor has to beat."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from mindspore_dpus.core.errors import UserError


def mean_and_deviation(log_mels: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of every band.

    Args:
        log_mels: (..., F, T) of segments or clips, in dB.

    Returns:
        (..., 2 F) float64: F means, then F deviations.
    """
    means = log_mels.mean(axis=-1, dtype=np.float64)
    return np.concatenate([means, log_mels.std(axis=-1, dtype=np.float64)], axis=-1)


class Projection:
    """Scaling and principal components, fitted on normals; applying them needs NumPy alone.

    Args:
        n_components: principal components; None: none, the numbers stay as they are (or scaled).
            A detector sees nothing of what an anomaly changes outside them.
        scaled: divide every number by its deviation over the normals before.
    """

    def __init__(self, n_components: int | None, scaled: bool) -> None:
        if n_components is not None and n_components < 1:
            raise UserError(
                f"simple features: {n_components} principal components; at least 1 are needed"
            )
        self.n_components = n_components
        self.scaled = scaled

    def fit(self, X: np.ndarray) -> Self:
        """Learn means, deviations and components.

        Args:
            X: (N, D) of normals.

        Raises:
            UserError: there are fewer vectors, or numbers in one, than components.
        """
        X = np.asarray(X, np.float64)
        if self.n_components is not None and self.n_components > min(len(X) - 1, X.shape[1]):
            raise UserError(
                f"simple features: {self.n_components} principal components need as many numbers in a "
                f"vector and one vector more; there are {len(X)} vectors of {X.shape[1]}"
            )
        self.mean = X.mean(axis=0)
        deviation = X.std(axis=0)
        # A number that never changes among normals (a band without power) is left as it is.
        steady = deviation <= 1e-9 * np.maximum(np.abs(self.mean), 1)
        self.scale = np.where(steady, 1.0, deviation) if self.scaled else np.ones(X.shape[1])
        self.components = np.empty((X.shape[1], 0))
        if self.n_components is not None:
            from sklearn.decomposition import PCA

            pca = PCA(self.n_components, svd_solver="full").fit((X - self.mean) / self.scale)
            self.components = np.ascontiguousarray(pca.components_.T)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, n_components), or (N, D) without components; float64.

        Raises:
            UserError: D is not that of the normals.
        """
        X = np.asarray(X, np.float64)
        if X.shape[1] != len(self.mean):
            raise UserError(
                f"simple features: vectors of {X.shape[1]} numbers, but the projection was fitted on "
                f"vectors of {len(self.mean)}"
            )
        scaled = (X - self.mean) / self.scale
        return scaled @ self.components if self.components.size else scaled

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that ``transform`` needs."""
        return {"mean": self.mean, "scale": self.scale, "components": self.components}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The projection that ``to_arrays`` was called on."""
        missing = [key for key in ("mean", "scale", "components") if key not in arrays]
        if missing:
            raise UserError(f"simple features: the array {missing[0]!r} is missing")
        components = np.ascontiguousarray(arrays["components"])
        projection = cls(components.shape[1] or None, bool((arrays["scale"] != 1).any()))
        projection.mean, projection.scale = arrays["mean"], arrays["scale"]
        projection.components = components
        return projection
