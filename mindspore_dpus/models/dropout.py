"""Dropout that draws from a seed. MindSpore's draws from a state that nobody can set back."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn


class SeededMask(nn.Cell):
    """The primitive that stands inside an ``nn.Dropout``: PyNative mode only.

    Args:
        p: probability that a number is set to 0; the others grow by 1 / (1 - p).
        rank, n_devices: which equal part of the batch this device has, of how many.
    """

    def __init__(self, p: float, rank: int = 0, n_devices: int = 1) -> None:
        super().__init__()
        self.p = p
        self.rank = rank
        self.n_devices = n_devices
        self.rng = np.random.default_rng(0)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        whole = self.rng.random((self.n_devices, *x.shape), np.float32)
        kept = whole[self.rank] >= self.p
        mask = Tensor.from_numpy(np.multiply(kept, np.float32(1 / (1 - self.p)), dtype=np.float32))
        return x * mask.astype(x.dtype), mask


def use_seeded_dropout(net: nn.Cell, rank: int = 0, n_devices: int = 1) -> int:
    """Replace the primitive of every dropout of a network, ours or mindcv's (stochastic depth included).

    Args:
        net: a network that runs in PyNative mode.
        rank, n_devices: which equal part of a batch it gets, of how many.

    Returns:
        How many were replaced.
    """
    cells = [cell for _, cell in net.cells_and_names() if isinstance(cell, nn.Dropout) and cell.p]
    for cell in cells:
        cell.dropout = SeededMask(cell.p, rank, n_devices)
    return len(cells)


def seed_dropout(net: nn.Cell, seed: Sequence[int]) -> None:
    """Let a network's dropouts draw from a seed, each its own numbers.

    Args:
        net: after ``use_seeded_dropout``; of others, nothing happens.
        seed: such as run, member, epoch.
    """
    masks = [cell for _, cell in net.cells_and_names() if isinstance(cell, SeededMask)]
    for i, mask in enumerate(masks):
        # The 1 tells it from other streams of the same seed.
        mask.rng = np.random.default_rng([*seed, 1, i])
