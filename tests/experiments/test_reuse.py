"""Grids that take finished runs from other experiments."""

import dataclasses
import re
import shutil

import pandas as pd
import pytest
import yaml

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.experiments.finished import is_done, stored_config
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.result_tables import write_results
from mindspore_dpus.experiments.reuse import reuse
from mindspore_dpus.experiments.runner import run_grid
from mindspore_dpus.systems import train
from mindspore_dpus.systems.classification import audit_stage
from tests.experiments.grids import RESULTS, write_experiment
from tests.support import logged, on_cpus
from tests.tools.test_tools import tool


@pytest.fixture
def others(finished, castings, tmp_path):
    """The cases of the finished grid in another folder, none of them made."""
    cases = expand(load_experiment(write_experiment(tmp_path)), [f"--data.root={castings}"])
    assert [case.name for case in cases] == [case.name for case in finished.cases]
    return cases


def test_a_finished_run_with_equal_settings_is_reused(finished, others):
    cases = reuse(others, [finished.output])
    assert [case.folder for case in cases] == [case.folder for case in finished.cases]
    assert [(case.name, case.cell, case.seed) for case in cases] == [
        (case.name, case.cell, case.seed) for case in others
    ]
    assert all(case.reused for case in cases)
    assert not any(case.reused for case in reuse(others, []))


def test_a_reused_run_is_only_read(finished, others, tmp_path):
    files = {path: path.stat().st_mtime_ns for path in finished.output.rglob("*")}
    lines = []
    cases = reuse(others, [finished.output])
    with logged(lines.append):
        status = run_grid(cases, tmp_path / "grid")
    write_results(finished.experiment, cases, tmp_path / "grid")
    assert lines == ["4 of 4 runs are finished in other experiments"]
    assert status["status"].tolist() == ["done"] * 4
    assert status["message"].tolist() == [f"reused: {case.folder}" for case in finished.cases]
    for name in RESULTS:
        assert (tmp_path / "grid" / name).read_bytes() == (finished.output / name).read_bytes(), name
    assert {path: path.stat().st_mtime_ns for path in finished.output.rglob("*")} == files


def test_other_settings_data_or_half_a_run_are_not_reused(finished, castings, tmp_path):
    path = write_experiment(tmp_path, seeds=[0])
    shutil.copytree(castings, tmp_path / "moved")
    for root, epochs in ((castings, 2), (tmp_path / "moved", 1)):
        options = [f"--data.root={root}", f"--training.epochs={epochs}"]
        cases = expand(load_experiment(path), options)
        assert reuse(cases, [finished.output]) == cases
    half = tmp_path / "half"
    shutil.copytree(finished.cases[0].folder, half / "run")
    (half / "run" / "stages.json").write_text("{}")
    cases = expand(load_experiment(path), [f"--data.root={castings}"])
    assert reuse(cases, [half]) == cases


@pytest.mark.parametrize(
    ("name", "content"), [("predictions_test.csv", None), ("config.yaml", None), ("config.yaml", "a: [")]
)
def test_a_damaged_run_counts_as_not_done(finished, tmp_path, name, content):
    shutil.copytree(finished.cases[0].folder, tmp_path / "run")
    config = dataclasses.replace(finished.cases[0].config, output=str(tmp_path / "run"))
    case = dataclasses.replace(finished.cases[0], config=config)
    assert is_done(case)
    if content is None:
        (tmp_path / "run" / name).unlink()
    else:
        (tmp_path / "run" / name).write_text(content)
    assert not is_done(case)
    assert reuse([case], [tmp_path]) == [case]


def test_a_key_that_is_newer_than_a_run_has_its_default_there(finished, others, tmp_path):
    shutil.copytree(finished.cases[0].folder, tmp_path / "old" / "run")
    path = tmp_path / "old" / "run" / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    assert stored["training"].pop("steps") is None
    del stored["training"]["augment"]["zoom"], stored["audit"]
    path.write_text(yaml.safe_dump(stored))
    (found,) = [case for case in reuse(others, [tmp_path / "old"]) if case.reused]
    assert found.name == finished.cases[0].name
    # Other values of such a key are other settings.
    changed = dataclasses.replace(
        others[0].config, training=dataclasses.replace(others[0].config.training, steps=9)
    )
    case = dataclasses.replace(others[0], config=changed)
    assert reuse([case], [tmp_path / "old"]) == [case]


def test_a_start_with_other_settings_that_ends_halfway_is_not_done(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.cases[0].folder, tmp_path / "run")
    before = finished.cases[0].config
    config = dataclasses.replace(
        before,
        output=str(tmp_path / "run"),
        audit=dataclasses.replace(before.audit, saturation=0.5),
        training=dataclasses.replace(before.training, epochs=2),
    )
    case = dataclasses.replace(finished.cases[0], config=config)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_stage, "audit", stop)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert stored_config(tmp_path / "run") is None
    assert not is_done(case)


def test_what_the_grid_has_made_itself_stays_its_own(finished):
    assert reuse(finished.cases, [finished.output]) == finished.cases


def test_only_the_rest_is_made(finished, castings, tmp_path):
    axes = {
        "draws": {
            "by groups": {"sampling.strategy": "dpus"},
            "covering": {"sampling.strategy": "dpus", "sampling.draw": "covering"},
        }
    }
    path = write_experiment(tmp_path, axes=axes, reference={}, seeds=[1])
    options = (f"--config={path}", f"--data.root={castings}", f"--reuse={finished.output}")
    with on_cpus(1):  # As the reused ones.
        result = tool("experiment", *options)
    assert result.stderr == ""
    first, second = result.stdout.splitlines()[:2]
    assert first == "1 of 2 runs are finished in other experiments"
    assert re.match(r"\[1/1\] covering / seed 1: test AUC 0\.\d+ .*; 0 left$", second)
    assert not (tmp_path / "grid" / "by_groups-seed1").exists()
    auc = pd.read_csv(finished.output / "results.csv").set_index(["method", "seed"])["auc"]
    assert pd.read_csv(tmp_path / "grid" / "results.csv")["auc"].tolist()[0] == auc["Ours", 1]
    # The reused run keeps saying what made it; so would one of another program.
    made = tmp_path / "grid" / "covering-seed1" / "environment.json"
    write_json(made, read_json(made) | {"source": "another"})
    with on_cpus(1):
        result = tool("experiment", *options)
    assert result.stderr == (
        f"the runs were not all made with the same source: see {tmp_path / 'grid' / 'made_with.csv'}\n"
    )


def test_a_folder_that_is_not_there_is_named(others, tmp_path):
    with pytest.raises(UserError, match=f"reuse {tmp_path}/none: there is no such folder"):
        reuse(others, [tmp_path / "none"])


def test_the_same_runs_are_shown_on_another_split(finished, castings, tmp_path):
    path = write_experiment(tmp_path)
    options = (
        f"--config={path}",
        f"--data.root={castings}",
        f"--reuse={finished.output}",
        "--split=val",
    )
    result = tool("experiment", *options)
    assert result.stderr == ""
    assert (
        "| method | runs | val precision | val recall | val AUC | val AUC difference |" in result.stdout
    )
    write_results(
        dataclasses.replace(finished.experiment, split="val"), finished.cases, tmp_path / "val"
    )
    # The grid's own table of runs stays as it is.
    assert "test_auc" in pd.read_csv(tmp_path / "grid" / "status.csv")
    for name in RESULTS:
        assert (tmp_path / "grid" / "val" / name).read_bytes() == (tmp_path / "val" / name).read_bytes()
        # Those of the experiment's own split are not written over.
        assert not (tmp_path / "grid" / name).exists()


def test_a_dry_run_lists_what_is_to_do_and_makes_nothing(finished, castings, tmp_path):
    path = write_experiment(tmp_path, seeds=[0])
    options = ["--config", path, f"--data.root={castings}", "--dry-run"]
    result = tool("experiment", *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "to do  under_sample-seed0",
        "to do  ours-seed0",
        "2 runs, 0 done; time left: unknown until one is done",
    ]
    part = tool("experiment", *options, "--only", "method=Ours").stdout.splitlines()
    assert part == ["to do  ours-seed0", "1 runs, 0 done; time left: unknown until one is done"]
    assert not (tmp_path / "grid").exists()
    # One of the two is done in another experiment: from it, the other's time.
    finished_part = tmp_path / "part"
    shutil.copytree(finished.cases[0].folder, finished_part / finished.cases[0].name)
    lines = tool("experiment", *options, "--reuse", finished_part).stdout.splitlines()
    assert lines[:2] == ["done  under_sample-seed0", "to do  ours-seed0"]
    assert re.fullmatch(r"2 runs, 1 done; time left: about \d+ (s|min)", lines[2])
    assert not (tmp_path / "grid").exists()
