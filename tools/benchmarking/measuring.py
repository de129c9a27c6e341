"""Each piece of work in processes of its own: their memory and their libraries' threads are theirs.

What a process imports before it is measured counts as its memory: no MindSpore and no torch here.
"""

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarking.memory import peak_memory_mb, tree_memory
from benchmarking.results import Sample, deal
from mindspore_dpus.core.nursery import kept_usage
from mindspore_dpus.core.processes import Work as ProcessWork
from mindspore_dpus.core.processes import side_by_side

MODULES = {
    "ours": "benchmarking.ours",
    "torch": "benchmarking.torch_peer",
    "files": "benchmarking.image_files",
}
# A busy neighbour or a warm processor then meets both sides, not one of them.
ROUNDS = 2


@dataclass(frozen=True)
class Work:
    """A piece of work to measure; equal ones are measured once.

    Args:
        side: of ``MODULES``.
        name: of the function in that side's module which prepares it.
        options: that function's keyword arguments.
        processes: how many do it side by side.
        calls: at most so many are measured: what takes minutes needs no median.
    """

    side: str
    name: str
    options: tuple[tuple[str, object], ...]
    processes: int = 1
    calls: int | None = None

    def __str__(self) -> str:
        options = " ".join(f"{key}={value}" for key, value in self.options)
        together = f" x {self.processes} processes" if self.processes > 1 else ""
        return f"{self.side}: {self.name} {options}{together}"


@dataclass(frozen=True)
class Prepared:
    """Work that is ready to be measured.

    Args:
        call: does it once, and returns when it is done.
        items: images (or vectors) that a call works on.
        warm_up: calls before the first one that counts. They compile kernels and fill memory pools.
        tree: whether the memory of processes that a call starts counts, too.
        clock: seconds. Work of one thread can go by the time of the processor, which others disturb less.
    """

    call: Callable[[], None]
    items: int
    warm_up: int = 2
    tree: bool = False
    clock: Callable[[], float] = time.perf_counter


def installed(*packages: str) -> bool:
    """Whether all of them are there. Does not import them."""
    return all(importlib.util.find_spec(name) is not None for name in packages)


def measure(
    works: Iterable[Work], repeats: int, report: Callable[[str], None]
) -> dict[Work, list[list[Sample]]]:
    """Measure every piece of work, one after the other, in two rounds.

    Args:
        works: in the order in which they are measured in each round; equal ones are measured once.
        repeats: calls that count, of each piece of work in all rounds together.
        report: called with a line before each measurement.

    Returns:
        For each piece of work and each round, what its processes measured.

    Raises:
        UserError: a process was killed, or the device cannot be used.
    """
    samples: dict[Work, list[list[Sample]]] = {work: [] for work in works}
    shares = {work: deal(min(repeats, work.calls or repeats), ROUNDS) for work in samples}
    for i in range(ROUNDS):
        for work, rounds in samples.items():
            if i < len(shares[work]):
                report(f"round {i + 1}/{len(shares[work])}, {work}")
                rounds.append(_measure_apart(work, shares[work][i]))
    return samples


def _measure_apart(work: Work, repeats: int) -> list[Sample]:
    with TemporaryDirectory(prefix="benchmark-") as folder:
        return run_apart(
            [
                ProcessWork(str(work), _measure_here, (work, repeats, Path(folder), i))
                for i in range(work.processes)
            ]
        )


def run_apart(tasks: list[Work]) -> list:
    """Run tasks side by side, each in a process of its own; what each of them sent last.

    When it returns or raises, none of them runs any more.

    Raises:
        UserError: a process was killed, or the device cannot be used.
    """
    sent: dict[int, object] = {}
    with closing(side_by_side(tasks, len(tasks), sent.__setitem__)) as ended:
        for _, error in ended:
            if error is not None:
                raise error
    return [sent[i] for i in range(len(tasks))]


def _measure_here(
    work: Work, repeats: int, folder: Path, place: int, send: Callable[[Sample], None]
) -> None:
    """In the process that is measured."""
    own = folder / str(place)
    own.mkdir()
    prepare = getattr(importlib.import_module(MODULES[work.side]), work.name)
    prepared = prepare(own, **dict(work.options))
    for _ in range(prepared.warm_up):
        prepared.call()
    # Side by side means all at once: none begins while another still imports or warms up.
    (own / "ready").touch()
    while len(list(folder.glob("*/ready"))) < work.processes:
        time.sleep(0.01)
    with tree_memory() if prepared.tree else nullcontext() as tree:
        times = [timed(prepared.call, prepared.clock) for _ in range(repeats)]
    memory = tree.peak_mb if tree else peak_memory_mb()
    seconds, cpu_seconds = zip(*times, strict=True)
    send(Sample(prepared.items, seconds, memory, cpu_seconds))


def timed(
    call: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Seconds that a call takes, on a clock and of processors."""
    start, cpu = clock(), _cpu_seconds()
    call()
    return clock() - start, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    """Processor time so far of this process, of its children that have ended, and of those of the one
    that forks members, which stays."""
    times, (_, forked) = os.times(), kept_usage()
    return times.user + times.system + times.children_user + times.children_system + forked
