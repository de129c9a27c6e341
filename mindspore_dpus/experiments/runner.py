"""Running a grid: some runs side by side, finished ones only checked, failed ones passed over."""

import logging
import os
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Work, available_cpus, side_by_side
from mindspore_dpus.experiments.estimate import duration, estimate_seconds
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.status import DONE, RUNNING, TODO, Status
from mindspore_dpus.systems import train

logger = logging.getLogger(__name__)

# What a run's process needs besides this module; systems import it when they come to it.
NEEDED = (
    "mindspore_dpus.features.extract",
    "mindspore_dpus.models.kernels.install",
    "mindspore_dpus.training.members",
)


def check_jobs(jobs: int) -> None:
    """Refuse a number of runs side by side that makes no sense.

    Raises:
        UserError: it is below 1, or above the number of CPUs.
    """
    n_cpus = len(available_cpus())
    if not 1 <= jobs <= n_cpus:
        raise UserError(f"jobs is {jobs}; it must be between 1 and {n_cpus}, the number of CPUs")


def run_grid(
    cases: list[Case],
    output: Path,
    split: str = "test",
    jobs: int = 1,
    chosen: list[Case] | None = None,
    check: Callable[[Case], None] = lambda case: None,
    metric: str | None = None,
) -> pd.DataFrame:
    """Run every case that is not done or reused.

    A run that is done checks so in some seconds and changes nothing; an interrupted one goes on. So
    the same call after any interruption ends with the same results.

    Args:
        cases: the grid.
        output: the experiment's folder; ``status.csv`` (see ``Status``) is kept there, and in ``logs``
            all that each run says.
        split: whose metric the status shows.
        jobs: runs side by side, each on its own equal share of the CPUs. MindSpore's rounding depends
            on how many CPUs it has: equal results need equal shares.
        chosen: those of the grid that are to be run; None: all.
        check: called with every run that has been finished. What it raises ends the grid: better with
            the first run than with the last.
        metric: that the status shows; None: the main one of the system.

    Returns:
        The status table, of all cases.

    Raises:
        UserError: fewer jobs than one, or more than CPUs; and what ``check`` raises.
    """
    check_jobs(jobs)
    chosen = cases if chosen is None else chosen
    status = Status(cases, output / "status.csv", split, metric)
    for case in status.having(DONE)[:1]:
        check(case)
    logs = output / "logs"
    logs.mkdir(exist_ok=True)
    # A process for each run: its memory is given back, and its crash is not ours.
    own = [case for case in chosen if not case.reused]
    tasks = [
        Work(case.name, _run_apart, (case.config, logs / f"{case.name}.log"), NEEDED) for case in own
    ]
    if len(own) < len(chosen):
        logger.info(
            "%s", f"{len(chosen) - len(own)} of {len(chosen)} runs are finished in other experiments"
        )
    names = {case.name for case in own}
    ended = 0
    try:
        with closing(side_by_side(tasks, jobs, lambda i, line: status.running(own[i], line))) as ends:
            for i, error in ends:
                status.end(own[i], _one_line(error))
                ended += 1
                if error is None:
                    check(own[i])
                ahead = [case for case in status.having(TODO, RUNNING) if case.name in names]
                left = f"{len(own) - ended} left"
                if seconds := estimate_seconds(ahead, status.having(DONE), jobs):
                    left += f", about {duration(seconds)}"
                logger.info("%s", f"[{ended}/{len(own)}] {status.line(own[i])}; {left}")
    finally:
        status.interrupt()
    return status.table()


class _Lines(logging.Handler):
    """What a run logs: into its own log file, which is this process's output, and to the grid."""

    def __init__(self, send: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        print(line, flush=True)
        self.send(line)


def _run_apart(config: object, log: Path, send: Callable[[str], None]) -> None:
    """Fill a run's folder, in a process of its own: what it and its libraries say goes to a file."""
    with open(log, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logger = logging.getLogger("mindspore_dpus")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Lines(send))
    try:
        train(config)
    except UserError:
        raise
    except Exception:
        traceback.print_exc()
        raise


def _one_line(error: Exception | None) -> str:
    """What a run died of, or nothing."""
    if isinstance(error, UserError | OSError):
        return " ".join(str(error).split())
    # Of a traceback, the last line.
    return str(error).strip().splitlines()[-1] if error else ""
