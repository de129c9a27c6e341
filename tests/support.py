"""Shared by tests: configurations of a classification run, what is logged, and small members."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mindspore_dpus import systems
from mindspore_dpus.core.nursery import Forked
from mindspore_dpus.losses.settings import LossSettings
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.training.settings import TrainingSettings


def parse_config(args: Sequence[str]) -> Configuration:
    """As the command line reads it, for the system classification."""
    return systems.parse_config(["--system=classification", *args])


def configuration(**sections) -> Configuration:
    """A configuration of these sections, unchecked."""
    return Configuration(system="classification", **sections)


class _Told(logging.Handler):
    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        self.told(record.getMessage())

    def handleError(self, record: logging.LogRecord) -> None:
        raise


@contextmanager
def on_cpus(n: int) -> Iterator[None]:
    """Bind this process, and those that it starts, to n cores: their number changes the rounding."""
    before = os.sched_getaffinity(0)
    # Not all test processes to the same one.
    first = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, [sorted(before)[(first + i) % len(before)] for i in range(n)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def held(state: dict[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
    """A start of a member that gives these weights whenever it is asked for."""
    return lambda: state


@contextmanager
def logged(told: Callable[[str], None]) -> Iterator[None]:
    """Call a function with every line that the package logs."""
    logger, handler = logging.getLogger("mindspore_dpus"), _Told(told)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def started(monkeypatch) -> dict[str, int]:
    """name -> number of every process that is forked from now on."""
    numbers, start = {}, Forked.start

    def note(self) -> None:
        start(self)
        numbers[self.name] = self.pid

    monkeypatch.setattr(Forked, "start", note)
    return numbers


@dataclass
class MemberData:
    """What one member of two classes learns from."""

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray

    def task(self, training: TrainingSettings, loss: LossSettings | None = None):
        """As a task with these settings."""
        from mindspore_dpus.training.classification_task import Classification, ClassificationTask

        common = Classification(2, loss or LossSettings(), training.augment, training.batch_size)
        return ClassificationTask(common, self.images, self.labels, self.train, self.val)


def train(config: Configuration, told: Callable[[str], None] = lambda line: None, targets=None):
    """Fill a run folder; the folder has the attribute ``ran``: the stages that this start has run."""
    lines = []

    def tell(line: str) -> None:
        lines.append(line)
        told(line)

    with logged(tell):
        run = systems.train(config, targets)
    run.ran = [line.removesuffix(" ...") for line in lines if line.endswith(" ...") and line[0] != " "]
    return run
