"""The memory in which a network's maps and gradients lie in training: the same for batches of all sizes."""

import numpy as np

from mindspore_dpus.models.kernels.onednn.memory import lasting


class Workspace:
    """Memory of one part of a batch. Whoever asks next gets the same again, or more where it is too small."""

    def __init__(self) -> None:
        self._numbers = np.empty(0, np.float32)

    def numbers(self, size: int) -> np.ndarray:
        """So many uninitialised numbers, (size,) float32, at the beginning of a cache line."""
        if self._numbers.size < size:
            self._numbers = np.empty(0, np.float32)  # Before there is more.
            self._numbers = lasting((size,))
        return self._numbers[:size]


class Workspaces:
    """Those of a network: one for each part of a batch, and as many sets as batches are under way."""

    def __init__(self) -> None:
        self._idle: list[list[Workspace]] = []
        self._banks = _banks()

    def __deepcopy__(self, memo: dict) -> "Workspaces":
        # What is in it is nobody's, and a copied network has its own.
        return Workspaces()

    def take(self, parts: int) -> list[Workspace]:
        """A set of as many as there are parts, or more."""
        own = self._idle.pop() if self._idle else []
        return own + [Workspace() for _ in range(parts - len(own))]

    def give_back(self, own: list[Workspace]) -> None:
        """Let the next batch have a set."""
        self._idle.append(own)

    def release(self) -> None:
        """Give back the memory of all that is not under way."""
        self._idle.clear()
        self._banks = _banks()

    def banks(self, parts: int, size: int) -> list[np.ndarray]:
        """Two uninitialised arrays (parts, size) float32, for the gradients of weights on one way back."""
        return [bank.numbers(parts * size).reshape(parts, size) for bank in self._banks]


def _banks() -> list[Workspace]:
    """Two links' gradients of weights are alive at a time: one is written, one added up."""
    return [Workspace() for _ in range(2)]
