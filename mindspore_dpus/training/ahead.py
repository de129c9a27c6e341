"""Batches that are made while the last one is learnt."""

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
