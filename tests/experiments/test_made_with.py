"""Which programs made the runs of a grid."""

import pandas as pd

from mindspore_dpus.core.files import write_json
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.made_with import mixed, write_made_with
from tests.support import configuration


def finished(folder, seed, packages=None, **environment):
    case = Case(
        f"ours-seed{seed}", {"method": "Ours"}, seed, configuration(output=str(folder / f"run{seed}"))
    )
    write_json(
        case.folder / "environment.json",
        environment | {"command": ["train.py"], "seed": seed, "packages": packages or {"numpy": "1.26"}},
    )
    return case


def test_every_run_has_a_row(tmp_path):
    cases = [finished(tmp_path, seed, source="a", commit=f"c{seed}", cpus=1) for seed in (0, 1)]
    write_made_with(cases, tmp_path)
    table = pd.read_csv(tmp_path / "made_with.csv")
    assert table.columns.tolist() == ["run", "folder", "commit", "source", "cpus", "numpy"]
    assert table.to_numpy().tolist() == [
        [f"ours-seed{seed}", str(tmp_path / f"run{seed}"), f"c{seed}", "a", 1, 1.26] for seed in (0, 1)
    ]


def test_equal_sources_of_two_commits_are_one_program(tmp_path):
    write_made_with(
        [finished(tmp_path, seed, source="a", commit=f"c{seed}") for seed in (0, 1)], tmp_path
    )
    assert mixed(tmp_path) == ""


def test_runs_of_different_programs_libraries_or_cores_are_told(tmp_path):
    cases = [
        finished(tmp_path, 0, source="a", cpus=1),
        finished(tmp_path, 1, source="b", cpus=1, packages={"numpy": "2.0"}),
    ]
    write_made_with(cases, tmp_path)
    assert mixed(tmp_path) == (
        f"the runs were not all made with the same source, numpy: see {tmp_path / 'made_with.csv'}"
    )
    assert mixed(tmp_path / "val") == ""


def test_a_run_of_an_older_program_says_less_and_so_differs(tmp_path):
    write_made_with([finished(tmp_path, 0, cpu_count=2), finished(tmp_path, 1, source="b")], tmp_path)
    assert "the same cpu_count, source" in mixed(tmp_path)


def test_a_run_that_has_lost_its_file_is_told_not_refused(tmp_path):
    cases = [finished(tmp_path, seed, source="a") for seed in (0, 1)]
    (cases[0].folder / "environment.json").unlink()
    table = write_made_with(cases, tmp_path)
    assert table["source"].tolist()[1] == "a"
    assert "the same source, numpy" in mixed(tmp_path)


def test_of_nothing_there_is_no_table(tmp_path):
    write_made_with([finished(tmp_path, 0)], tmp_path)
    assert write_made_with([], tmp_path).empty
    assert not (tmp_path / "made_with.csv").exists()
