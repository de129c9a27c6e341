"""Which domain a vector is of: logistic regression. For vectors that no network with a domain head made."""

from collections.abc import Mapping
from typing import Self

import numpy as np

from mindspore_dpus.core.errors import UserError


class DomainClassifier:
    """Linear, on scaled vectors; both domains weigh the same, however few clips one has.

    Args:
        strength: of the regularisation, as scikit-learn's C: smaller is stronger.
    """

    def __init__(self, strength: float = 0.01) -> None:
        self.strength = strength

    def fit(self, X: np.ndarray, is_target: np.ndarray) -> Self:
        """Learn.

        Args:
            X: (N, D) of normals.
            is_target: (N,) bool; both must occur.
        """
        from sklearn.linear_model import LogisticRegression

        if is_target.all() or not is_target.any():
            raise UserError("domain classifier: it needs normals of both domains")
        deviation = X.std(axis=0)
        self.mean = X.mean(axis=0)
        self.scale = np.where(deviation > 1e-9 * np.maximum(np.abs(self.mean), 1), deviation, 1.0)
        model = LogisticRegression(C=self.strength, class_weight="balanced", max_iter=1000)
        model.fit((X - self.mean) / self.scale, is_target)
        self.weights, self.bias = model.coef_[0], model.intercept_
        return self

    def logits(self, X: np.ndarray) -> np.ndarray:
        """(N, D) -> (N,) float64; above 0: target."""
        return ((np.asarray(X, np.float64) - self.mean) / self.scale) @ self.weights + self.bias[0]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that ``logits`` needs."""
        return {key: getattr(self, key) for key in ("mean", "scale", "weights", "bias")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The classifier that ``to_arrays`` was called on."""
        made = cls()
        for key in ("mean", "scale", "weights", "bias"):
            if key not in arrays:
                raise UserError(f"domain classifier: the array {key!r} is missing")
            setattr(made, key, np.ascontiguousarray(arrays[key]))
        return made
