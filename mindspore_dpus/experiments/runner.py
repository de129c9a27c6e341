"""Running a grid: one process a run, finished ones skipped, a failed one reported and passed over."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from mindspore_dpus.config import Config
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.errors import UserError
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.pipeline import train
from mindspore_dpus.run import read_json


def run_grid(cases: list[Case], output: Path, report: Callable[[str], None] = print) -> pd.DataFrame:
    """Run every case that is not done.

    A run that is done checks so in a second or two and changes nothing; an interrupted one goes on. So
    the same call after any interruption ends with the same results.

    Args:
        cases: the grid.
        output: the experiment's folder; ``status.csv`` (run, status, minutes, message) is kept there.
        report: called with a line for every run.

    Returns:
        The status table.
    """
    rows = []
    for i, case in enumerate(cases):
        start = time.perf_counter()
        message = _run_apart(case)
        seconds = time.perf_counter() - start
        status = "failed" if message else "done"
        rows.append(
            {
                "run": case.name,
                "status": status,
                "minutes": round(seconds / 60, 2),
                "message": message,
            }
        )
        write_table(pd.DataFrame(rows), output / "status.csv")
        outcome = message or f"AUC {_auc(case):.3f}"
        left = estimate_seconds(cases[i + 1 :], cases[: i + 1])
        report(
            f"[{i + 1}/{len(cases)}] {case.title}: {outcome} ({seconds / 60:.1f} min); "
            f"{len(cases) - i - 1} left{_about(left)}"
        )
    return pd.DataFrame(rows)


def _run_apart(case: Case) -> str:
    """Run one case in a process of its own; the error's one line, or nothing."""
    context = multiprocessing.get_context("spawn")
    try:
        # A process for each run: its memory is given back, and its crash is not ours.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(_train, case.config).result()
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever a run dies of, the others go on
        return f"{type(error).__name__}: {' '.join(str(error).split()) or 'killed'}"
    return ""


def _train(config: Config) -> None:
    train(config, lambda line: None)


def _auc(case: Case) -> float:
    metrics = read_json(Path(case.config.output) / "metrics.json")
    value = metrics["test"]["models"]["fused"]["auc"]["value"]
    return float("nan") if value is None else value


def is_done(case: Case) -> bool:
    """Whether a case has a report. (Whether it still fits its configuration is seen when it runs.)"""
    return (Path(case.config.output) / "report.html").exists()


def estimate_seconds(todo: list[Case], finished: list[Case]) -> float | None:
    """How long the runs to do will take, by the images that finished ones trained on.

    Args:
        todo: runs ahead; those that are done count nothing.
        finished: runs that may have been done.

    Returns:
        Seconds, or None while no run is finished.
    """
    seconds, work = 0.0, 0.0
    for case in finished:
        folder = Path(case.config.output)
        if is_done(case):
            stages = read_json(folder / "stages.json")
            seconds += sum(stage["seconds"] for stage in stages.values())
            work += len(read_table(folder / "subsets.csv")) * case.config.training.epochs
    if not work:
        return None
    table = next(
        read_table(Path(case.config.output) / "samples.csv") for case in finished if is_done(case)
    )
    labels = table["label"][table["split"] == "train"].value_counts()
    ahead = [case for case in todo if not is_done(case)]
    return sum(_planned_work(case, labels) for case in ahead) * seconds / work


def _planned_work(case: Case, counts: pd.Series) -> float:
    """Training images times epochs of a run that has not begun."""
    sampling = case.config.sampling
    balanced = 2.1 * counts.min()
    a_member = {
        "none": counts.sum(),
        "random_over": len(counts) * counts.max(),
    }.get(sampling.strategy, balanced)
    return (a_member * sampling.n_subsets + balanced * sampling.baseline) * case.config.training.epochs


def _about(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds / 3600:.1f} h" if seconds > 5400 else f", about {seconds / 60:.0f} min"
