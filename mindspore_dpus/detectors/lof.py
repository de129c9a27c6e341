"""How much sparser a vector lies than the normals around it."""

from typing import ClassVar

import numpy as np

from mindspore_dpus.detectors.base import SizedDetector
from mindspore_dpus.detectors.neighbours import nearest

# Keeps the density of copies of one vector finite; scikit-learn's number.
TINY = 1e-10


class LOF(SizedDetector):
    """Local outlier factor of new vectors: mean density of the k nearest normals over one's own.

    Ties beyond the k-th neighbour do not widen the neighbourhood, as in scikit-learn.

    Args:
        size: k.

    Source: Breunig et al. 2000, Definitions 5 to 7, for new data (scikit-learn's ``novelty=True``).
    """

    name: ClassVar[str] = "lof"
    parameters: ClassVar[tuple[str, ...]] = ("size",)
    fitted: ClassVar[tuple[str, ...]] = ("points", "reach", "density")

    def least(self) -> int:
        # A normal is no neighbour of its own.
        return self.size + 1

    def n_features(self) -> int:
        return self.points.shape[1]

    def _fit(self, X: np.ndarray) -> None:
        self.points = X.copy()
        distances, places = nearest(X, X, self.size, leave_self_out=True)
        self.reach = distances[:, -1].copy()
        self.density = self._density(distances, places)

    def _score(self, X: np.ndarray) -> np.ndarray:
        distances, places = nearest(self.points, X, self.size)
        return self.density[places].mean(axis=1) / self._density(distances, places)

    def _density(self, distances: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Local reachability density (Definition 6)."""
        return 1 / (np.maximum(distances, self.reach[places]).mean(axis=1) + TINY)
