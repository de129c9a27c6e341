"""Measurements -> medians, ratios and a table. Pure functions, no library to measure here."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

IMAGES_PER_SECOND = "images/s"
SEGMENTS_PER_SECOND = "segments/s"
# Seconds of sound in a second.
REAL_TIME = "x real time"
SECONDS = "s"


@dataclass(frozen=True)
class Sample:
    """What one process measured.

    Args:
        items: images (or vectors) that one call works on.
        seconds: of each call after the warm-up.
        peak_memory_mb: the most memory that the process ever held.
        cpu_seconds: of each call, of all its threads and of its child processes that have ended.
    """

    items: int
    seconds: tuple[float, ...]
    peak_memory_mb: int
    cpu_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """What all processes of one piece of work measured.

    Args:
        rate: items per second, of all processes that ran side by side together.
        seconds: median of a call; of processes side by side, the slowest one's.
        peak_memory_mb: of all processes that ran side by side together.
        calls: how many calls of each the medians are of.
        cpu_seconds: median of a call; of processes side by side, their sum.
    """

    rate: float
    seconds: float
    peak_memory_mb: int
    calls: int
    cpu_seconds: float

    def value(self, unit: str) -> float:
        """The number that a table in this unit shows."""
        return self.seconds if unit == SECONDS else self.rate


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        name: what was measured.
        unit: ``SECONDS``, or one of the rates.
        ours: the product's.
        torch: the same work in torch, or None.
    """

    name: str
    unit: str
    ours: Summary
    torch: Summary | None

    @property
    def ratio(self) -> float | None:
        """Our speed as a multiple of torch's, or None."""
        return None if self.torch is None else ratio(self.ours, self.torch)

    @property
    def cpu_ratio(self) -> float | None:
        """Torch's processor time as a multiple of ours, or None."""
        return None if self.torch is None else self.torch.cpu_seconds / self.ours.cpu_seconds


def deal(repeats: int, rounds: int) -> list[int]:
    """Share repeats out over rounds as evenly as they go, the larger shares first, none of 0."""
    each, left = divmod(repeats, rounds)
    shares = [each + (i < left) for i in range(rounds)]
    return [share for share in shares if share]


def summarise(rounds: Sequence[Sequence[Sample]]) -> Summary:
    """Medians over rounds, sums over processes.

    Args:
        rounds: for each round, the sample of every process that ran side by side in it; the same
            number of processes in every round.
    """
    processes = list(zip(*rounds, strict=True))
    calls = [[s for sample in process for s in sample.seconds] for process in processes]
    medians = [median(seconds) for seconds in calls]
    cpu = [median([s for sample in process for s in sample.cpu_seconds]) for process in processes]
    return Summary(
        sum(sample.items / m for sample, m in zip(rounds[0], medians, strict=True)),
        max(medians),
        max(sum(sample.peak_memory_mb for sample in processes) for processes in rounds),
        min(len(seconds) for seconds in calls),
        sum(cpu),
    )


def ratio(one: Summary, other: Summary) -> float:
    """How many times as fast the one is as the other."""
    return one.rate / other.rate


def number(value: float) -> str:
    """Three significant digits, or all that stand before the point: 0.0123, 1.00, 12345."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def busy(load: float, cores: int) -> str | None:
    """A warning where other programs wanted the cores before the first measurement, else None.

    Args:
        load: mean number of programs that wanted a core during the minute before.
        cores: how many there are.
    """
    # A core's fifth is what a quiet desktop takes.
    if load <= 0.2 * cores:
        return None
    return (
        f"note: load {load:.1f} on {cores} cores before the start: other programs ran, and may have "
        "slowed one line a hundred times as much as another. Measure again on a quiet machine"
    )


def table(lines: Sequence[Line]) -> str:
    """The lines as aligned columns, with a head."""
    head = ["", "unit", "ours", "torch", "ours/torch"]
    head += ["ours CPU s", "torch CPU s", "torch/ours", "ours MB", "torch MB"]
    rows = [head, *(_cells(line) for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            # Words to the left, numbers to the right.
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cells(line: Line) -> list[str]:
    ours, torch = line.ours, line.torch
    value, ratio, cpu, cpu_ratio, memory = 5 * ("-",)
    if torch is not None:
        value, ratio = number(torch.value(line.unit)), f"{line.ratio:.2f}"
        cpu, cpu_ratio = number(torch.cpu_seconds), f"{line.cpu_ratio:.2f}"
        memory = str(torch.peak_memory_mb)
    own = number(ours.value(line.unit)), number(ours.cpu_seconds), str(ours.peak_memory_mb)
    return [line.name, line.unit, own[0], value, ratio, own[1], cpu, cpu_ratio, own[2], memory]
