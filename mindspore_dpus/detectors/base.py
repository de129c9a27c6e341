"""What every inlier model does: fit, score, become arrays and come back. No MindSpore here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from mindspore_dpus.core.errors import UserError


class Detector(ABC):
    """A model of normal vectors. Scoring needs NumPy alone, so that it runs where nothing else is.

    Class attributes:
        name: its row in ``DETECTORS``.
        parameters: names of the constructor's arguments that scoring needs again.
        fitted: names of the arrays that ``fit`` makes.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ()
    fitted: ClassVar[tuple[str, ...]]

    def fit(self, X: np.ndarray) -> Self:
        """Learn what normal is.

        Args:
            X: (N, D) float, vectors of normals.

        Raises:
            UserError: a value is not finite, all vectors are equal, or there are fewer than the size
                needs.
        """
        X = _vectors(X, self.name)
        if len(X) < self.least():
            raise UserError(
                f"detector {self.name}: {self.described()} needs at least {self.least()} normals, there "
                f"are {len(X)}; choose a smaller size or give more normals"
            )
        if (X[0] == X).all():
            raise UserError(f"detector {self.name}: all {len(X)} normals are the same vector")
        self._fit(X)
        return self

    def score(self, X: np.ndarray) -> np.ndarray:
        """How anomalous vectors are.

        Args:
            X: (M, D) float.

        Returns:
            (M,) float64, higher is more anomalous.

        Raises:
            UserError: a value is not finite, or D is not that of the normals.
        """
        if not hasattr(self, self.fitted[0]):
            raise RuntimeError(f"detector {self.name}: fit comes before score")
        X = _vectors(X, self.name)
        if X.shape[1] != self.n_features():
            raise UserError(
                f"detector {self.name}: vectors of {X.shape[1]} numbers, but it was fitted on vectors "
                f"of {self.n_features()}"
            )
        return self._score(X)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that ``score`` needs, as plain arrays."""
        return {key: np.asarray(getattr(self, key)) for key in (*self.parameters, *self.fitted)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The detector that ``to_arrays`` was called on; its scores are the same bit for bit."""
        missing = [key for key in (*cls.parameters, *cls.fitted) if key not in arrays]
        if missing:
            raise UserError(f"detector {cls.name}: the array {missing[0]!r} is missing")
        detector = cls(**{key: arrays[key].item() for key in cls.parameters})
        for key in cls.fitted:
            # The same layout in memory: it decides the order in which products are summed up.
            setattr(detector, key, np.ascontiguousarray(arrays[key]))
        return detector

    def least(self) -> int:
        """The fewest normals that it can be fitted on."""
        return 2

    def described(self) -> str:
        """The size in words, for messages."""
        return "it"

    @abstractmethod
    def n_features(self) -> int:
        """D of the normals."""

    @abstractmethod
    def _fit(self, X: np.ndarray) -> None: ...

    @abstractmethod
    def _score(self, X: np.ndarray) -> np.ndarray: ...


class SizedDetector(Detector):
    """A detector with one number that says how fine it is.

    Args:
        size: at least 1; ``DETECTORS`` says what it counts.
    """

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise UserError(f"detector {self.name}: size {size!r} must be a whole number from 1 up")
        self.size = int(size)

    def described(self) -> str:
        return f"size {self.size}"


def _vectors(X: np.ndarray, name: str) -> np.ndarray:
    """Checked, as contiguous float64."""
    X = np.ascontiguousarray(X, np.float64)
    if X.ndim != 2:
        raise ValueError(f"detector {name}: vectors must be (N, D), not of shape {X.shape}")
    if not np.isfinite(X).all():
        raise UserError(f"detector {name}: a vector holds a value that is not finite")
    return X


def check_choice(name: str, option: str, value: object, allowed: tuple[str, ...]) -> str:
    """The value, when it is one of those allowed.

    Raises:
        UserError: it is not.
    """
    if value not in allowed:
        raise UserError(f"detector {name}: {option} {value!r}; it must be {' or '.join(allowed)}")
    return str(value)
