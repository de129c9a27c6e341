"""How much memory a process, and those that it has started, held at most."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.2


def peak_memory_mb() -> int:
    """The most memory that this process ever held."""
    # Not ru_maxrss where the kernel says better: across the start of a new program Linux keeps the
    # parent's, so that of a small process would be that of whoever started it.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class TreeMemory:
    """The most memory that this process and all below it held together, looked at five times a second.

    What several of them share, such as a library's code, counts once (Linux: the proportional set size).

    Attributes:
        peak_mb: so far.
    """

    def __init__(self) -> None:
        self.peak_mb = 0
        self._over = threading.Event()

    def watch(self) -> None:
        """Look until ``stop``."""
        while True:
            self.peak_mb = max(self.peak_mb, sum(map(_shared_out_kb, _tree())) // 1024)
            if self._over.wait(PAUSE):
                return

    def stop(self) -> None:
        self._over.set()


@contextmanager
def tree_memory() -> Iterator[TreeMemory]:
    """Watch the memory of this process and of all that it starts meanwhile."""
    tree = TreeMemory()
    thread = threading.Thread(target=tree.watch, daemon=True)
    thread.start()
    try:
        yield tree
    finally:
        tree.stop()
        thread.join()


def _tree() -> list[str]:
    """The numbers of this process and of all below it."""
    below: dict[str, list[str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; behind it: state, parent.
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        below.setdefault(parent, []).append(stat.parent.name)
    numbers = [Path("/proc/self").resolve().name]
    for number in numbers:
        numbers += below.get(number, [])
    return numbers


def _shared_out_kb(number: str) -> int:
    """Memory of a process, of what it shares its share; 0 where it has ended."""
    try:
        lines = Path("/proc", number, "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
