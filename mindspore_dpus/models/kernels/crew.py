"""Threads that work side by side on the parts of a batch.

oneDNN without a threadpool computes in the thread that calls it, and our blocked loops do, too. Into
which parts a batch is cut is fixed when it is first asked for; how many threads work on them is not, so
that a process that is given more cores later computes the same bits.
"""

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from mindspore_dpus.core.processes import available_cpus

FEWEST_PARTS = 2
Item = TypeVar("Item")


@functools.cache
def n_parts() -> int:
    """Into how many parts a batch is cut: one for each core, as they are when this is first asked."""
    return max(FEWEST_PARTS, len(available_cpus()))


def cut(n: int) -> list[slice]:
    """The parts of a batch of ``n``, as equal as possible, none empty."""
    parts = min(n, n_parts())
    edges = [n * i // parts for i in range(parts + 1)]
    return [slice(*edge) for edge in itertools.pairwise(edges)]


@functools.cache
def _others() -> ThreadPoolExecutor:
    # Threads are made when they are needed; there are never more than cores.
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="crew")


def side_by_side(function: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Call a function for every item, in as many threads as there are cores, this one among them.

    Args:
        function: what it does must not depend on who calls it, nor in which order.
        items: what it is called with; each thread takes the next.

    Raises:
        BaseException: what the function has raised in this thread, else in another, when all are done.
    """
    left = iter(items)

    def work() -> None:
        for item in left:
            function(item)

    others = min(len(items), len(available_cpus())) - 1
    futures = [_others().submit(work) for _ in range(others)]
    try:
        work()
    finally:
        # They write into arrays that the caller may drop.
        wait(futures)
    for future in futures:
        future.result()
