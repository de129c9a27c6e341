"""Which program, libraries and cores made the runs of a grid, and whether they are all the same."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.experiments.grid import Case

FILE = "made_with.csv"
# What of a row tells no two programs apart: two commits may have equal sources.
NAMES = ("run", "folder", "commit")


def write_made_with(done: list[Case], output: Path) -> pd.DataFrame:
    """Write ``made_with.csv``.

    Args:
        done: finished runs.
        output: the experiment's folder.

    Returns:
        The table: ``run``, ``folder``, ``commit``, and what else a run's ``environment.json`` says of
        program, libraries and cores; empty where a run does not say it.
    """
    rows = []
    for case in done:
        path = case.folder / "environment.json"
        # Results stand without it, and an empty row is reported as any other difference.
        found = read_json(path) if path.exists() else {}
        packages = found.pop("packages", {})
        kept = {key: value for key, value in found.items() if key not in ("command", "seed")}
        rows.append({"run": case.name, "folder": case.folder, "commit": None} | kept | packages)
    table = pd.DataFrame(rows)
    if rows:
        write_table(table, output / FILE)
    else:
        (output / FILE).unlink(missing_ok=True)
    return table


def mixed(output: Path) -> str:
    """A line that says in what the runs of an experiment's folder differ; empty where in nothing."""
    if not (output / FILE).exists():
        return ""
    table = read_table(output / FILE)
    different = [name for name in table if name not in NAMES and table[name].nunique() > 1]
    if not different:
        return ""
    return f"the runs were not all made with the same {', '.join(different)}: see {output / FILE}"
