"""Grids that run: interrupted, killed, side by side, with failures; and their live table."""

import dataclasses
import os
import shutil
import signal
import threading
import time

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import claimed
from mindspore_dpus.experiments import estimate
from mindspore_dpus.experiments.estimate import estimate_seconds
from mindspore_dpus.experiments.finished import seconds
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.result_tables import write_results
from mindspore_dpus.experiments.runner import check_jobs, run_grid
from mindspore_dpus.experiments.status import Status
from tests.experiments.grids import (
    COMMON,
    RESULTS,
    assert_gone,
    start,
    wait_until,
    write_experiment,
)
from tests.support import logged, on_cpus, started
from tests.tools.test_tools import assert_one_line, tool

COLUMNS = ["run", "status", "minutes", "test_auc", "message"]
needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")


def read_status(output):
    path = output / "status.csv"
    return pd.read_csv(path, keep_default_na=False) if path.exists() else pd.DataFrame(columns=COLUMNS)


def assert_same_results(output, reference):
    for name in RESULTS:
        assert (output / name).read_bytes() == (reference / name).read_bytes(), name


def test_a_grid_goes_on_where_it_stopped(finished):
    assert [line.partition(" (")[0].rpartition(" ")[0] for line in finished.lines] == [
        "[1/2] Under-sample / seed 0: test AUC",
        "[2/2] Ours / seed 0: test AUC",
        "[1/4] Under-sample / seed 0: test AUC",
        "[2/4] Ours / seed 0: test AUC",
        "[3/4] Under-sample / seed 1: test AUC",
        "[4/4] Ours / seed 1: test AUC",
    ]
    status = read_status(finished.output)
    assert status.columns.tolist() == COLUMNS
    assert status["run"].tolist() == [case.name for case in finished.cases]
    assert status["status"].tolist() == ["done"] * 4
    assert status["message"].tolist() == [""] * 4
    # Those that were only checked keep the minutes and the AUC of their training.
    assert status["minutes"].tolist() == [round(seconds(case) / 60, 2) for case in finished.cases]
    auc = pd.read_csv(finished.output / "results.csv").set_index(["method", "seed"])["auc"]
    assert status["test_auc"].tolist() == [
        auc[case.cell["method"], case.seed] for case in finished.cases
    ]


def test_the_status_shows_the_metric_of_the_table(finished, tmp_path):
    status = Status(finished.cases, tmp_path / "status.csv", "val", "accuracy")
    case = finished.cases[0]
    predictions = pd.read_csv(case.folder / "predictions_val.csv")
    expected = (predictions["label"] == predictions["predicted"]).mean()
    assert pd.read_csv(tmp_path / "status.csv")["val_accuracy"][0] == round(expected, 6)
    assert status.line(case).startswith(f"Under-sample / seed 0: val accuracy {expected:.3f} (")


@pytest.mark.parametrize(
    ("metrics", "main"), [(["precision", "auc"], "auc"), (["accuracy", "log_loss"], "accuracy")]
)
def test_the_main_metric_is_the_systems_or_the_first_of_the_table(finished, metrics, main):
    assert dataclasses.replace(finished.experiment, metrics=metrics).main_metric == main


def test_images_and_features_are_shared(finished):
    cache = finished.output / "cache"
    assert sorted(p.name.split("-")[0] for p in cache.iterdir()) == [
        "features",
        "features",
        "hashes.csv",
        "measures",
        "samples",
    ]


def test_a_killed_grid_ends_with_the_results_of_one_that_was_not(finished, castings, tmp_path):
    path, output = write_experiment(tmp_path), tmp_path / "grid"
    options = (f"--data.root={castings}", "--seeds", "0")
    with on_cpus(1):
        process = start(path, *options)
        wait_until((output / "ours-seed0" / "members" / "00").exists, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert_gone(process.pid)
    assert read_status(output)["status"].tolist() == ["done", "running"]
    assert not (output / "ours-seed0" / "report.html").exists()
    trained = output / "under_sample-seed0" / "members" / "00" / "best.safetensors"
    before = trained.stat().st_mtime_ns
    with on_cpus(1):
        result = tool("experiment", f"--config={path}", *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert trained.stat().st_mtime_ns == before
    assert_same_results(output, finished.first)


@needs_two_cpus
def test_runs_side_by_side_give_the_results_of_runs_in_turn(finished, castings, tmp_path):
    path, output = write_experiment(tmp_path), tmp_path / "grid"
    seen, ended = [], threading.Event()

    def watch():
        while not ended.wait(0.02):
            seen.append(read_status(output)["status"].tolist())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with on_cpus(2):
            options = (f"--data.root={castings}", "--seeds=0", "--jobs=2")
            result = tool("experiment", f"--config={path}", *options)
    finally:
        ended.set()
        watcher.join()
    assert ["running", "running"] in seen
    assert (result.returncode, result.stderr) == (0, "")
    assert "[2/2] " in result.stdout
    assert_same_results(output, finished.first)
    for case in finished.cases[:2]:
        own = output / case.name / "predictions_test.csv"
        assert own.read_bytes() == (case.folder / "predictions_test.csv").read_bytes()


@needs_two_cpus
def test_ctrl_c_ends_all_runs_and_is_one_line(castings, tmp_path):
    path, output = write_experiment(tmp_path), tmp_path / "grid"
    process = start(path, f"--data.root={castings}", "--jobs", "2", "--training.epochs=50")
    wait_until(lambda: read_status(output)["status"].tolist()[:2] == ["running"] * 2, process)
    os.killpg(process.pid, signal.SIGINT)
    lines, errors = process.communicate(timeout=60)
    assert (process.returncode, lines) == (130, "")
    assert errors == "interrupted: start the same command again to go on\n"
    assert_gone(process.pid)
    assert read_status(output)["status"].tolist() == ["to do"] * 4


def test_a_run_that_is_killed_is_a_failed_run(finished, tmp_path, monkeypatch):
    pids = started(monkeypatch)

    def kill_the_first():
        while not pids:
            time.sleep(0.01)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    threading.Thread(target=kill_the_first).start()
    lines = []
    with on_cpus(1), logged(lines.append):
        status = run_grid(finished.cases[:2], tmp_path)
    assert status["status"].tolist() == ["failed", "done"]
    assert "its process was killed" in status["message"][0]
    assert "its process was killed" in lines[0]


def test_a_failed_run_is_reported_and_the_rest_goes_on(castings, tmp_path):
    axes = {
        "rate": {
            "absurd": {"training.learning_rate": 1.0e38, "training.epochs": 2},
            "sane": {"training.learning_rate": 1.0e-3},
        }
    }
    common = COMMON | {"sampling.strategy": "random_under", "sampling.n_subsets": 1}
    path = write_experiment(tmp_path, axes=axes, reference={}, seeds=[0], common=common, x="rate")
    experiment, output = load_experiment(path), tmp_path / "grid"
    cases = expand(experiment, [f"--data.root={castings}"])
    seen = []
    with on_cpus(1), logged(lambda line: seen.append((line, read_status(output)))):
        run_grid(cases, output)
    (line, halfway), (_, end) = seen
    assert halfway["status"].tolist() == ["failed", "to do"]
    assert halfway[["minutes", "test_auc", "message"]].iloc[1].tolist() == ["", "", ""]
    assert end["status"].tolist() == ["failed", "done"]
    assert "the outputs are not numbers" in line
    assert "the outputs are not numbers" in end["message"][0]
    assert end["test_auc"].tolist()[0] == ""
    assert 0 <= float(end["test_auc"].tolist()[1]) <= 1
    table = write_results(experiment, cases, output)
    assert table["rate"].tolist() == ["sane"]
    assert "val AUC" in (output / "logs" / "sane-seed0.log").read_text()


def test_a_part_of_a_grid_keeps_what_is_done_of_the_rest(finished, castings, tmp_path):
    path = write_experiment(tmp_path, seeds=[0])
    reuse = ("--reuse", str(finished.output))
    result = tool(
        "experiment", f"--config={path}", f"--data.root={castings}", *reuse, "--only=method=Ours"
    )
    assert result.stderr == ""
    assert result.stdout.startswith("1 of 1 runs are finished in other experiments\n")
    assert pd.read_csv(tmp_path / "grid" / "table.csv")["method"].tolist() == ["Under-sample", "Ours"]


def test_the_rest_of_a_grid_is_left_to_do(finished, tmp_path):
    folders = [
        dataclasses.replace(case.config, output=str(tmp_path / case.name)) for case in finished.cases
    ]
    cases = [
        dataclasses.replace(case, config=config)
        for case, config in zip(finished.cases, folders, strict=True)
    ]
    shutil.copytree(finished.cases[0].folder, tmp_path / cases[0].name)
    lines = []
    with on_cpus(1), logged(lines.append):
        status = run_grid(cases, tmp_path, chosen=cases[:1])
    assert status["status"].tolist() == ["done", "to do", "to do", "to do"]
    assert [line.partition(";")[2] for line in lines] == [" 0 left"]


def test_what_a_check_finds_ends_the_grid_with_the_first_run(finished, tmp_path):
    def check(case):
        raise UserError(f"{case.name} has no such class")

    with on_cpus(1), pytest.raises(UserError, match="under_sample-seed0 has no such class"):
        run_grid(finished.cases, tmp_path, check=check)
    assert read_status(tmp_path)["status"].tolist() == ["done"] * 4


def test_two_grids_in_one_folder_are_refused(castings, tmp_path):
    path, output = write_experiment(tmp_path), tmp_path / "grid"
    output.mkdir()
    with claimed(output):
        result = tool("experiment", f"--config={path}", f"--data.root={castings}")
    assert_one_line(result, f"{output} is being filled by another process: wait for it")


@pytest.mark.parametrize("jobs", [0, -1, 10**6])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(jobs):
    with pytest.raises(UserError, match=f"jobs is {jobs}; it must be between 1 and [0-9]+, the number"):
        check_jobs(jobs)


def test_a_wrong_call_is_one_line(castings, tmp_path):
    path = write_experiment(tmp_path)
    result = tool("experiment", f"--config={path}", f"--data.root={castings}", "--jobs=0")
    assert_one_line(result, "jobs is 0; ")
    assert result.stdout == ""


def test_time_is_estimated_from_what_is_done(finished, castings):
    done, experiment = finished.cases, finished.experiment
    assert estimate_seconds([], done) == 0
    assert estimate_seconds(done, []) is None
    took = sum(seconds(case) for case in done)
    assert estimate_seconds(done, done) == pytest.approx(took, rel=0.1)
    assert estimate_seconds(done, done, jobs=2) == pytest.approx(took / 2, rel=0.1)
    # One run is not sooner done because another could run beside it.
    assert estimate_seconds(done[:1], done, jobs=2) == estimate_seconds(done[:1], done)
    options = [f"--data.root={castings}", "--sampling.n_clusters=1"]
    half = expand(experiment, [*options, "--split.minority_fraction=0.5"])
    assert estimate_seconds(half, done) == pytest.approx(estimate_seconds(done, done) / 2)
    third = expand(experiment, [*options, "--split.minority_fraction=0.35"])
    assert estimate_seconds(done, third) > estimate_seconds(done, done)
    few, many = (expand(experiment, [*options, f"--sampling.proportion={p}"]) for p in (0.1, 0.8))
    assert estimate_seconds(few, done) < took < estimate_seconds(many, done)
    # By steps, members of small and of large sets take equally long.
    options += ["--training.steps=6"]
    few, many = (expand(experiment, [*options, f"--sampling.proportion={p}"]) for p in (0.1, 0.8))
    assert estimate_seconds(few, done) == estimate_seconds(many, done)


def test_a_network_takes_the_time_of_its_own_kind(finished, monkeypatch):
    def with_backbone(case, backbone):
        model = dataclasses.replace(case.config.model, backbone=backbone)
        return dataclasses.replace(case, config=dataclasses.replace(case.config, model=model))

    small, large = finished.cases[:2], [with_backbone(c, "resnet18") for c in finished.cases[2:]]
    took = {"lenet5": 10.0, "resnet18": 70.0}
    monkeypatch.setattr(estimate.finished, "seconds", lambda case: took[case.config.model.backbone])
    assert estimate_seconds(small, small + large) == pytest.approx(20, rel=0.1)
    assert estimate_seconds(large, small + large) == pytest.approx(140, rel=0.1)
    # Of a network that none has trained yet: as all together.
    new = [with_backbone(case, "vgg16") for case in small]
    assert estimate_seconds(new, small + large) == pytest.approx(80, rel=0.1)
