"""Samples that are drawn anew in every epoch: their order, and batches made while the last is learnt."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mindspore import Tensor


def batches_ahead(
    make: Callable[[int], Sequence[np.ndarray]], n_samples: int, batch_size: int
) -> Iterator[tuple[Tensor, ...]]:
    """Batches in order, each made in a thread while the one before it is used.

    Args:
        make: place of a batch's first sample -> its arrays.
        n_samples: of all batches.
        batch_size: samples of a batch.
    """
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, 0)
        for first in range(0, n_samples, batch_size):
            batch = ahead.result()
            if first + batch_size < n_samples:
                ahead = pool.submit(make, first + batch_size)
            yield tuple(Tensor(part) for part in batch)


def full_batches(things: np.ndarray, batch_size: int, seed: Sequence[int]) -> tuple[np.ndarray, int]:
    """An epoch's order of things, and the size of its batches, of which every one is full.

    Args:
        things: (N,) numbers, each as often as it is to be drawn.
        batch_size: wanted; a smaller set is one batch.
        seed: of the order.

    Returns:
        (M,) numbers, M a multiple of the size; the size.
    """
    order = np.random.default_rng(seed).permutation(things)
    size = min(batch_size, len(order))
    return order[: len(order) // size * size], size
