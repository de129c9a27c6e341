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
    """

    items: int
    seconds: tuple[float, ...]
    peak_memory_mb: int


@dataclass(frozen=True)
class Summary:
    """What all processes of one piece of work measured.

    Args:
        rate: items per second, of all processes that ran side by side together.
        seconds: median of a call; of processes side by side, the slowest one's.
        peak_memory_mb: of all processes that ran side by side together.
        calls: how many calls of each the medians are of.
    """

    rate: float
    seconds: float
    peak_memory_mb: int
    calls: int

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
    calls = [[s for sample in process for s in sample.seconds] for process in zip(*rounds, strict=True)]
    medians = [median(seconds) for seconds in calls]
    return Summary(
        sum(sample.items / m for sample, m in zip(rounds[0], medians, strict=True)),
        max(medians),
        max(sum(sample.peak_memory_mb for sample in processes) for processes in rounds),
        min(len(seconds) for seconds in calls),
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
    head = ["", "unit", "ours", "torch", "ours/torch", "ours MB", "torch MB"]
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
    torch = ("-", "-", "-")
    if line.torch is not None:
        value, memory = line.torch.value(line.unit), line.torch.peak_memory_mb
        torch = (number(value), f"{line.ratio:.2f}", str(memory))
    ours = line.ours
    return [
        line.name,
        line.unit,
        number(ours.value(line.unit)),
        torch[0],
        torch[1],
        str(ours.peak_memory_mb),
        torch[2],
    ]
