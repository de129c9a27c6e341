"""The live table of a grid: where each run stands."""

import time
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments import finished
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.report.grid_plots import metric_title
from mindspore_dpus.systems import load_system

TODO, RUNNING, DONE, FAILED = "to do", "running", "done", "failed"


class Status:
    """A row for each run of the grid, from the start on.

    Columns: ``run``; ``status`` (to do, running, done, failed); ``minutes`` (of a run that is done: of
    all its stages, whenever they ran); ``<split>_<metric>``; ``message`` (the last line of a run under
    way, what a failed one died of, the folder of a reused one, and what must be said of the measure).

    Args:
        cases: the grid.
        path: where the table is kept.
        split: whose measure it shows.
        metric: which; None: the main one of the system.
    """

    def __init__(self, cases: list[Case], path: Path, split: str, metric: str | None = None) -> None:
        self._cases = {case.name: case for case in cases}
        self._path = path
        self._split = split
        if metric is None:
            metric = load_system(cases[0].config.system).MEASURES.headline if cases else "auc"
        self._metric = metric
        self._started: dict[str, float] = {}
        self._rows: dict[str, dict] = {}
        for case in cases:
            done = finished.is_done(case)
            self._set(case, DONE if done else TODO, f"reused: {case.folder}" if case.reused else "")
        self._write()

    def _set(self, case: Case, status: str, message: str = "") -> None:
        minutes = value = None
        if status == DONE:
            minutes = finished.seconds(case) / 60
            value = finished.measured(case, self._split, self._metric)
            message = message or finished.note(case, self._split, self._metric)
        elif status != TODO:
            now = time.monotonic()
            minutes = (now - self._started.setdefault(case.name, now)) / 60
        self._rows[case.name] = {
            "run": case.name,
            "status": status,
            "minutes": None if minutes is None else round(minutes, 2),
            f"{self._split}_{self._metric}": value,
            "message": message.strip(),
        }

    def _write(self) -> None:
        write_table(self.table(), self._path)

    def running(self, case: Case, line: str) -> None:
        """A run is under way, and says something. (One that is done has nothing to say.)"""
        self._set(case, RUNNING, line)
        self._write()

    def end(self, case: Case, message: str) -> None:
        """A run has ended; ``message`` is what it died of, or empty."""
        self._set(case, FAILED if message else DONE, message)
        self._write()

    def interrupt(self) -> None:
        """The runs under way, if there are any, have been ended."""
        for case in self.having(RUNNING):
            self._set(case, TODO)
        self._write()

    def table(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(list(self._rows.values()))

    def having(self, *status: str) -> list[Case]:
        """The runs that stand there."""
        return [self._cases[name] for name, row in self._rows.items() if row["status"] in status]

    def line(self, case: Case) -> str:
        """The row of a run that has ended, for the terminal."""
        row = self._rows[case.name]
        title = metric_title(self._metric, self._split)
        outcome = said = row["message"]
        if row["status"] != FAILED:
            outcome = f"{title} {row[f'{self._split}_{self._metric}']:.3f}{said and f' ({said})'}"
        return f"{case.title}: {outcome} ({row['minutes']:.1f} min)"
