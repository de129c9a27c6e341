"""Finished runs of other experiments that a grid need not make again."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import yaml

from mindspore_dpus.cli import plain
from mindspore_dpus.errors import UserError
from mindspore_dpus.experiments.finished import is_done, result_settings, stored_settings
from mindspore_dpus.experiments.grid import Case


def reuse(cases: Sequence[Case], folders: Sequence[Path]) -> list[Case]:
    """Point cases to finished runs elsewhere that have the same settings and the same data.

    What a grid has finished itself stays its own. A reused run is only read: no start of the grid
    checks it again, or changes it.

    Args:
        cases: the grid.
        folders: of other experiments.

    Returns:
        The same cases in the same order; those found elsewhere have that folder and ``reused``.

    Raises:
        UserError: one of the folders does not exist.
    """
    found = [run for folder in folders for run in _finished_runs(folder)]
    return [_elsewhere(case, found) or case for case in cases]


def _finished_runs(folder: Path) -> list[tuple[Path, dict, dict]]:
    if not folder.is_dir():
        raise UserError(f"--reuse {folder}: there is no such folder; give the output of an experiment")
    runs = []
    for config in sorted(folder.glob("*/config.yaml")):
        if (settings := stored_settings(config.parent)) is not None:
            data = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
            runs.append((config.parent, settings, _source(data)))
    return runs


def _elsewhere(case: Case, found: list[tuple[Path, dict, dict]]) -> Case | None:
    if not found or is_done(case):
        return None
    config = plain(case.config)
    wanted = result_settings(config), _source(config["data"])
    for folder, *run in found:
        if tuple(run) == wanted:
            moved = dataclasses.replace(case.config, output=str(folder))
            return dataclasses.replace(case, config=moved, reused=True)
    return None


def _source(data: dict) -> dict[str, Path | None]:
    """Where a run's images come from: without a start of it, all that tells its data."""
    return {key: Path(data[key]).resolve() if data[key] else None for key in ("root", "manifest")}
