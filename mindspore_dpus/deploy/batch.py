"""Score a list of files into one file of results; what an interrupted start has scored is kept."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mindspore_dpus.deploy.growing import going_on
from mindspore_dpus.deploy.result_file import format_of
from mindspore_dpus.deploy.rule import rule_mark
from mindspore_dpus.deploy.scoring import Scorer, columns, score_files, to_look_at


@dataclass
class Summary:
    """What was scored.

    Attributes:
        counts: predicted class -> rows.
        unreadable: rows with an error.
        look: rows that somebody should look at.
        kept: rows of an earlier, interrupted start.
        seconds: since the start.
    """

    counts: Counter = field(default_factory=Counter)
    unreadable: int = 0
    look: int = 0
    kept: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add(self, scorer: Scorer, rows: Sequence[dict]) -> None:
        """Count rows."""
        for row in rows:
            self.look += to_look_at(scorer, row)
            if row["error"]:
                self.unreadable += 1
            else:
                self.counts[row["predicted"]] += 1

    @property
    def images(self) -> int:
        """All rows."""
        return self.counts.total() + self.unreadable

    @property
    def rate(self) -> float:
        """Images a second of this start."""
        return (self.images - self.kept) / max(time.perf_counter() - self.started, 1e-9)

    def lines(self, output: Path) -> list[str]:
        """What a person wants to know at the end."""
        kept = f", {self.kept} of them by an earlier start" if self.kept else ""
        lines = [
            f"{output}: {self.images} images{kept}, {self.unreadable} of them unreadable "
            f"(see the column error); {self.rate:.1f} images/s"
        ]
        lines += [f"{name}: {count}" for name, count in sorted(self.counts.items())]
        return [*lines, f"to look at: {self.look}"]


def predict_files(
    scorer: Scorer,
    files: Sequence[Path],
    output: Path,
    kind: str | None = None,
    batch_size: int | None = None,
) -> Summary:
    """Score files into a table.

    Rows are written to ``<output>.<model>.part`` batch by batch, and that file gets its final name when
    the last row is in it. Started again after a crash, the same call goes on behind the last row.

    Args:
        scorer: what scores.
        files: images, each once.
        output: the table: ``deploy.scoring.columns``, a row for every image.
        kind: ``csv`` or ``jsonl``; None: by the name's ending.
        batch_size: images scored and written at a time; None: the scorer's.

    Raises:
        UserError: the output cannot be written there.
        OSError: the disk is full.
    """
    kind = kind or format_of(output)
    summary = Summary()
    bar = _Bar(len(files))
    with going_on(output, columns(scorer), files, rule_mark(scorer), kind=kind) as (results, done):
        summary.add(scorer, results.found)
        summary.kept = summary.images
        try:
            for rows in score_files(scorer, files[done:], batch_size):
                results.append(rows)
                summary.add(scorer, rows)
                bar.show(summary)
        finally:
            bar.clear()
        results.path.replace(output)
    return summary


class _Bar:
    """One line on a terminal; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.live = sys.stderr.isatty()
        self.shown = 0.0

    def show(self, summary: Summary) -> None:
        """At most ten times a second."""
        if self.live and time.perf_counter() - self.shown > 0.1:
            self.shown = time.perf_counter()
            left = (self.total - summary.images) / max(summary.rate, 1e-9)
            print(
                f"\r\x1b[K{summary.images}/{self.total} images, {summary.rate:.1f} images/s, "
                f"{left:.0f} s left, {summary.look} to look at",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        """Take the line away."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
