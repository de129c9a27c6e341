"""Which numbers of a run saw the test clips' labels or scores, and how tables say so. No MindSpore here."""

from collections.abc import Iterable

from mindspore_dpus.systems.machine_sound.configuration import Configuration

# What is said of such a number, and what stands behind the name of such a row.
LEAK = "test data leak in"
MARK = f" ({LEAK})"


def mark(config: Configuration, selected: bool) -> str:
    """The mark of a row; ``selected``: whether systems were chosen for it. Baselines of the challenge have
    none: nothing of theirs is chosen or standardised."""
    by_labels = selected and config.ensemble.select_by == "test_labels"
    return MARK if by_labels or config.standardise.by == "test" else ""


def unmarked(row: str) -> str:
    """A row's name without its mark: which row it is."""
    return row.removesuffix(MARK)


def leaking(rows: Iterable[str]) -> list[str]:
    """Those of some rows that are marked."""
    return [row for row in rows if row.endswith(MARK)]


def find_row(rows: Iterable[str], name: str) -> str | None:
    """The row of that name, marked or not; None: there is none."""
    return next((row for row in rows if unmarked(row) == unmarked(name)), None)
