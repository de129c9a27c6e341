"""Where arrays lie in one piece of memory: two share a place if one is dead before the other is born."""

from collections.abc import Sequence
from dataclasses import dataclass

# Numbers in a cache line: every array begins with one.
LINE = 16


@dataclass(frozen=True)
class Lifetime:
    """When an array is needed.

    Args:
        size: in numbers.
        first, last: the events between which it holds something, both included.
    """

    size: int
    first: int
    last: int


def places(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Lay arrays into one piece of memory, the largest first, each as low as those that live with it allow.

    Args:
        lifetimes: of the arrays.

    Returns:
        Where each begins, and the size of the whole, both in numbers and multiples of ``LINE``.

    Source: Pisarchyk and Lee, Efficient memory management for deep neural net inference, 2020, section 5.2
    (greedy by size).
    """
    starts = [0] * len(lifetimes)
    laid: list[int] = []
    total = 0
    for i in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        own = lifetimes[i]
        size = _lines(own.size)
        start = 0
        for k in sorted(laid, key=starts.__getitem__):
            other = lifetimes[k]
            if other.last < own.first or own.last < other.first:
                continue
            if start + size <= starts[k]:
                break
            start = max(start, starts[k] + _lines(other.size))
        starts[i] = start
        total = max(total, start + size)
        laid.append(i)
    return starts, total


def _lines(size: int) -> int:
    return -(-size // LINE) * LINE
