"""What a run of a grid has left behind."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.run_folder import STAGES_FILE
from mindspore_dpus.core.settings import results
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.metrics.by_group import with_groups
from mindspore_dpus.metrics.fusion import BASELINE, FUSED
from mindspore_dpus.metrics.fusion_curve import of_members
from mindspore_dpus.metrics.measures import LEARNING_RATE, OF_RUN, TRAINING_SECONDS
from mindspore_dpus.metrics.predictions import read_predictions
from mindspore_dpus.systems import load_config, load_system
from mindspore_dpus.training.lr_range import suggest_rate


def is_done(case: Case) -> bool:
    """Whether a case has a report made with its settings. (That its data are the same, only a start
    of the run can tell.)"""
    stored = stored_config(case.folder)
    return stored is not None and results(stored) == results(case.config)


def stored_config(folder: Path) -> object | None:
    """The configuration of the run in a folder; None where there is none, or no whole one."""
    stages, config = folder / STAGES_FILE, folder / "config.yaml"
    records = read_json(stages) if stages.exists() and config.exists() else {}
    if "report" not in records:
        return None
    if not all((folder / name).exists() for stage in records.values() for name in stage["artefacts"]):
        return None
    try:
        return load_config(config)
    except UserError:
        return None  # Not what a run of this version wrote. The next start of the run writes it anew.


class Fused(NamedTuple):
    """What a finished run's ensemble says of a split.

    Args:
        paths: (N,) of the images.
        groups: (N,) what they belong to; empty where the data do not say.
        labels: (N,) class indices.
        outputs: model -> (N, C) probabilities.
    """

    paths: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    outputs: dict[str, np.ndarray]

    @property
    def probabilities(self) -> np.ndarray:
        """(N, C) of all members fused."""
        return self.outputs[FUSED]

    @property
    def members(self) -> np.ndarray:
        """(t, N, C) of each member."""
        return of_members(self.outputs)


def fused_output(case: Case, split: str) -> Fused:
    """The fused predictions of a finished run; read once, however many tables show them."""
    file = case.folder / f"predictions_{split}.csv"
    return _read_fused(case.folder, split, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _read_fused(folder: Path, split: str, changed: int) -> Fused:
    samples = read_table(folder / "samples.csv")
    file, classes = folder / f"predictions_{split}.csv", class_names(samples)
    table = with_groups(read_table(file), samples)
    labels, outputs = read_predictions(file, classes)
    return Fused(table["path"].to_numpy(), table["group"].to_numpy(), labels, outputs)


def training_seconds(case: Case) -> float:
    """Time of all epochs of all networks of a finished run, without a baseline."""
    return float(sum(pd.read_csv(path)["seconds"].sum() for path in _histories(case)))


def _histories(case: Case) -> list[Path]:
    files = sorted(case.folder.rglob("history.csv"))
    return [path for path in files if path.parent.name != BASELINE]


def measured(case: Case, split: str, name: str) -> float:
    """What a table shows of a finished run.

    Args:
        case: the run.
        split: whose metric.
        name: one of its system's ``MEASURES``, perhaps ``<name>:<class>``; ``training_seconds``; or
            ``learning_rate``: as given, or as the range test found it.

    Raises:
        UserError: the run has no such class.
    """
    if name == TRAINING_SECONDS:
        return training_seconds(case)
    if name == LEARNING_RATE:
        return learning_rate(case)
    metric, _, label = name.partition(":")
    return load_system(case.config.system).MEASURES.value(case.folder, split, metric, label)


def note(case: Case, split: str, name: str) -> str:
    """What tables must say of a number that ``measured`` gives; empty: nothing."""
    if name in OF_RUN:
        return ""
    metric, _, label = name.partition(":")
    return load_system(case.config.system).MEASURES.note(case.folder, split, metric, label)


def notes(cases: list[Case], axes: list[str], split: str, names: list[str]) -> dict[tuple, str]:
    """(values of the axes, name) -> what tables must say of that cell; empty: nothing."""
    found: dict[tuple, dict[str, None]] = {}
    for case in cases:
        key = tuple(case.cell[axis] for axis in axes)
        for name in names:
            of_cell = found.setdefault((key, name), {})
            if said := note(case, split, name):
                of_cell[said] = None
    return {key: ", ".join(said) for key, said in found.items()}


def val_score(name: str, case: Case) -> float:
    """A measure of a run on validation; nan where the run is not done."""
    return measured(case, "val", name) if is_done(case) else math.nan


def measures(cases: list[Case], split: str, names: list[str]) -> pd.DataFrame:
    """What a table shows of finished runs.

    Args:
        cases: runs of a grid.
        split: whose metrics.
        names: as ``measured`` takes them.

    Returns:
        A row a run: the axes, ``seed``, ``split``, ``names``.
    """
    return pd.DataFrame(
        [
            {**case.cell, "seed": case.seed, "split": split}
            | {name: measured(case, split, name) for name in names}
            for case in cases
        ]
    )


def learning_rate(case: Case) -> float:
    """The rate that a finished run trained with, before its schedule."""
    rate = case.config.training.learning_rate
    return suggest_rate(pd.read_csv(case.folder / "lr_range.csv")) if rate == "auto" else rate


def history(case: Case) -> pd.DataFrame:
    """The epochs of a finished run: the mean over its members, without a baseline."""
    parts = [pd.read_csv(path) for path in _histories(case)]
    return pd.concat(parts).groupby("epoch", as_index=False).mean()


def seconds(case: Case) -> float:
    """Time of all stages of a finished run, whenever they ran."""
    return sum(stage["seconds"] for stage in read_json(case.folder / STAGES_FILE).values())
