"""One finished grid, which most of these tests look at."""

from types import SimpleNamespace

import pytest

from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.result_tables import write_results
from mindspore_dpus.experiments.runner import run_grid
from tests.experiments.grids import write_experiment
from tests.support import logged, on_cpus


@pytest.fixture(scope="package")
def finished(castings, tmp_path_factory):
    """A grid of four runs on one CPU, of which the two of seed 1 were added later; ``first`` holds the
    results of the two of seed 0.

    Tests that run grids do it on one CPU, too: with another number, what forks their runs would have to
    start again, and import MindSpore again."""
    folder = tmp_path_factory.mktemp("experiment")
    output, first = folder / "grid", folder / "first"
    experiment = load_experiment(write_experiment(folder))
    cases = expand(experiment, [f"--data.root={castings}"])
    lines = []
    with on_cpus(1):
        with logged(lines.append):
            run_grid(cases[:2], output)
        write_results(experiment, cases[:2], first)
        with logged(lines.append):
            status = run_grid(cases, output)
    write_results(experiment, cases, output)
    return SimpleNamespace(
        output=output, first=first, experiment=experiment, cases=cases, status=status, lines=lines
    )
