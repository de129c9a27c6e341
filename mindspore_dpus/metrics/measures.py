"""What tables over several runs can show of a finished run: every system says it of its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mindspore_dpus.core.files import read_json

# Of a run, not of a split: time of all its epochs, which every system has; and the rate of its training.
TRAINING_SECONDS, LEARNING_RATE = "training_seconds", "learning_rate"
OF_RUN = (TRAINING_SECONDS, LEARNING_RATE)


@dataclass(frozen=True)
class Measures:
    """The measures of a system's runs.

    Args:
        names: of a split (``auc``).
        headline: that which a grid shows while it runs, and draws unless it is told otherwise.
        value: (run folder, split, name, label) -> number; nan where it is undefined. The label is empty
            but for ``labelled`` names.
        labelled: names of which ``<name>:<label>`` is one class's, or one row's.
        of_run: names of the run as a whole besides ``TRAINING_SECONDS``.
        note: what tables must say of a number, of the same arguments as ``value``; empty: nothing.
        has_predictions: whether runs leave class probabilities of every image, from which grids compute
            paired differences, fusion curves and tables by group.
    """

    names: tuple[str, ...]
    headline: str
    value: Callable[[Path, str, str, str], float]
    labelled: tuple[str, ...] = ()
    of_run: tuple[str, ...] = ()
    note: Callable[[Path, str, str, str], str] = lambda folder, split, name, label: ""
    has_predictions: bool = False

    def has(self, name: object) -> bool:
        """Whether a table can show it."""
        metric, colon, label = str(name).partition(":")
        known = self.labelled if colon else (*self.names, *self.of_run, TRAINING_SECONDS)
        return metric in known and (not colon or label != "")

    def in_words(self) -> str:
        """What a table can show, for a message."""
        rows = [f"{name}:<{'class' if self.has_predictions else 'row'}>" for name in self.labelled]
        return ", ".join([*self.names, *self.of_run, TRAINING_SECONDS, *rows])


def value_of(metrics: dict, name: str) -> float:
    """A value of ``metrics.json``: a number, or ``{"value": number, ...}``; nan where there is none."""
    found = metrics.get(name)
    found = found.get("value") if isinstance(found, dict) else found
    return math.nan if found is None else float(found)


def split_metrics(folder: Path, split: str) -> dict:
    """What a run's ``metrics.json`` says of a split; empty where it does not know that split."""
    return read_json(folder / "metrics.json").get(split, {})
