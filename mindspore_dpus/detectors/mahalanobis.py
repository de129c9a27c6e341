"""Distance to the normals' mean in units of their spread."""

from typing import ClassVar

import numpy as np

from mindspore_dpus.detectors.base import Detector


class Mahalanobis(Detector):
    """Mahalanobis distance under one Gaussian whose covariance is shrunk as Ledoit and Wolf do.

    The shrinkage follows from the normals, so there is nothing to choose, and fewer normals than numbers
    in a vector do.

    Source: Ledoit and Wolf 2004.
    """

    name: ClassVar[str] = "mahalanobis"
    fitted: ClassVar[tuple[str, ...]] = ("mean", "whitening")

    def n_features(self) -> int:
        return len(self.mean)

    def _fit(self, X: np.ndarray) -> None:
        from sklearn.covariance import LedoitWolf

        estimate = LedoitWolf().fit(X)
        self.mean = estimate.location_
        self.whitening = np.ascontiguousarray(np.linalg.cholesky(estimate.precision_))

    def _score(self, X: np.ndarray) -> np.ndarray:
        return np.sqrt((((X - self.mean) @ self.whitening) ** 2).sum(axis=1))
