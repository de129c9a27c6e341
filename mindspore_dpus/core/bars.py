"""Progress bars: on a terminal; nothing elsewhere."""

import threading
from collections.abc import Iterable

from tqdm import tqdm

# tqdm's own lock is a semaphore of the system: a process that is killed would leave it behind, and
# Python a warning.
tqdm.set_lock(threading.RLock())


def bar(iterable: Iterable, title: str, total: int | None = None) -> tqdm:
    """Go through an iterable, with a bar that vanishes at the end.

    Args:
        iterable: what to go through.
        title: stands before the bar.
        total: how many; default: the iterable's length.
    """
    return tqdm(iterable, title, total, leave=False, disable=None)
