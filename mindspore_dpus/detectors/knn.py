"""Distance to the nearest normals."""

from typing import ClassVar

import numpy as np

from mindspore_dpus.detectors.base import SizedDetector, check_choice
from mindspore_dpus.detectors.neighbours import nearest


class KNN(SizedDetector):
    """Euclidean distance to the k nearest normals.

    Args:
        size: k.
        distance: ``kth``: to the k-th nearest (Ramaswamy); ``mean``: mean over the k nearest.

    Source: Ramaswamy et al. 2000, section 2 (``kth``); Angiulli and Pizzuti 2002 (the sum over the k).
    """

    name: ClassVar[str] = "knn"
    parameters: ClassVar[tuple[str, ...]] = ("size", "distance")
    fitted: ClassVar[tuple[str, ...]] = ("points",)

    def __init__(self, size: int, *, distance: str = "kth") -> None:
        super().__init__(size)
        self.distance = check_choice(self.name, "distance", distance, ("kth", "mean"))

    def least(self) -> int:
        return max(2, self.size)

    def n_features(self) -> int:
        return self.points.shape[1]

    def _fit(self, X: np.ndarray) -> None:
        self.points = X.copy()

    def _score(self, X: np.ndarray) -> np.ndarray:
        distances, _ = nearest(self.points, X, self.size)
        return distances[:, -1].copy() if self.distance == "kth" else distances.mean(axis=1)
