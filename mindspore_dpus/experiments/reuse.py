"""Finished runs of other experiments that a grid need not make again."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import results
from mindspore_dpus.experiments.finished import is_done, stored_config
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


def _finished_runs(folder: Path) -> list[tuple[Path, tuple]]:
    if not folder.is_dir():
        raise UserError(f"reuse {folder}: there is no such folder; give the output of an experiment")
    stored = {path.parent: stored_config(path.parent) for path in sorted(folder.glob("*/config.yaml"))}
    return [(run, _origin(config)) for run, config in stored.items() if config is not None]


def _elsewhere(case: Case, found: list[tuple[Path, tuple]]) -> Case | None:
    if not found or is_done(case):
        return None
    wanted = _origin(case.config)
    for folder, origin in found:
        if origin == wanted:
            moved = dataclasses.replace(case.config, output=str(folder))
            return dataclasses.replace(case, config=moved, reused=True)
    return None


def _origin(config) -> tuple[dict, dict[str, Path | None]]:
    """What a result comes from: settings, and where the data lie (all that tells the data without a
    start of the run)."""
    given = {name: getattr(config.data, name) for name in ("root", "manifest")}
    places = {name: Path(value).resolve() if value else None for name, value in given.items()}
    return results(config), places
