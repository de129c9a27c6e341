"""Numbers that saw the test clips' labels or scores are marked wherever they are shown."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus import systems
from mindspore_dpus.cli import evaluate
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.result_tables import check_measures, write_results
from mindspore_dpus.experiments.status import Status
from mindspore_dpus.systems.machine_sound import system
from mindspore_dpus.systems.machine_sound.metrics_stage import make_metrics
from tests.systems.machine_sound.conftest import tiny

MARK = "(test data leak in)"
EXPERIMENT = """
output: grid
config: base.yaml
metrics: [official, "source:generalised, ensemble", "source:simple features", domain_auc, "domain_auc:simple"]
axes:
  by: {this: {}, other: {detectors.folds: 3}}
  also: {this: {}}
tables:
  rows: {metrics: ["both:simple features", "both:generalised, ensemble"]}
  across: {metrics: [official], across: by}
"""


def config(folder, root, **changes):
    keys = {"simulate__enabled": False, "data__root": root, "decision__rule": "quantile"}
    keys |= {"extractors__networks": "[]", "extractors__options": "{}", "evaluation__n_bootstrap": 0}
    return tiny(folder / "run", **keys | changes)


@pytest.fixture(scope="module")
def labels(finished, tmp_path_factory):
    """A run whose systems are chosen by test labels, and its configuration."""
    chosen = config(
        *(tmp_path_factory.mktemp("labels"), finished / "data"),
        ensemble__select_by="test_labels",
        ensemble__size=1,
        evaluation__paper=True,
    )
    return systems.train(chosen), chosen


@pytest.fixture(scope="module")
def scaled(finished, tmp_path_factory):
    """A run that standardises by test clips."""
    chosen = config(tmp_path_factory.mktemp("scaled"), finished / "data", standardise__by="test")
    return systems.train(chosen), chosen


def grid(folder, run, chosen, text=EXPERIMENT):
    """The tables of a grid of two axis values, of which that run is the one that is done."""
    (folder / "base.yaml").write_text("system: machine_sound\nsimulate: {enabled: true}\n")
    (folder / "experiment.yaml").write_text(text)
    experiment = load_experiment(folder / "experiment.yaml")
    chosen = dataclasses.replace(chosen, output=str(run.path))
    case = Case("this-seed0", {"by": "this", "also": "this"}, 0, chosen)
    check_measures(experiment, case)
    write_results(experiment, [case], folder / "grid")
    status = Status([case], folder / "grid" / "status.csv", "test")
    assert status.line(case).count(MARK) == status.table()["message"].str.contains("leak").sum()
    return folder / "grid"


def test_metrics_say_which_rows_leak(finished, labels, scaled):
    ensembles = [f"{a}, {n}" for a in ("generalised", "specialised") for n in ("best one", "ensemble")]
    found = {}
    for name, run in (("none", finished), ("labels", labels[0]), ("test", scaled[0])):
        metrics = read_json(run / "metrics.json")["test"]
        found[name] = {row.removesuffix(f" {MARK}") for row in metrics["leaks"]}
        assert set(metrics["leaks"]) <= set(metrics["models"])
    assert found["none"] == set()
    paper = {f"{a}, ensemble, common" for a in ("generalised", "specialised")}
    assert found["labels"] == {"fused", *ensembles, *paper}
    assert found["test"] == {"fused", "simple features", *ensembles}


def test_tables_of_a_grid_mark_them(labels, scaled, tmp_path):
    for n, (run, chosen) in enumerate((labels, scaled)):
        (tmp_path / str(n)).mkdir()
        folder = grid(tmp_path / str(n), run, chosen)
        of_simple = MARK if n else ""
        for ending in ("md", "tex"):
            row = (folder / f"table.{ending}").read_text()
            # The product, one of its rows, the row of simple features, and domains by the product's vectors.
            assert row.count(MARK) == 3 + bool(n)
            rows = (folder / "tables" / f"rows.{ending}").read_text()
            assert rows.count(MARK) == 1 + bool(n)
        assert read_table(folder / "status.csv")["message"][0] == "test data leak in"
        cells = (folder / "table.md").read_text().splitlines()[2].split(" | ")
        assert [MARK in c for c in cells[3:]] == [True, True, bool(of_simple), True, False]
        assert MARK in (folder / "tables" / "across.md").read_text()
        notes = read_table(folder / "table.csv")["notes"][0]
        assert "official: test data leak in" in notes
        assert ("source:simple features: test data" in notes) == bool(n)
        for name in ("results.csv", "tables/rows.csv", "tables/across.csv"):
            assert "test data leak in" in read_table(folder / name)["notes"][0]


def test_tables_without_leaks_have_no_notes(finished, tmp_path):
    folder = grid(tmp_path, finished, tiny(finished.path))
    assert "notes" not in read_table(folder / "table.csv")
    assert read_table(folder / "status.csv")["message"][0] == ""
    assert "leak" not in (folder / "table.md").read_text()


def test_rows_are_found_with_their_mark_and_without(labels):
    run = labels[0].path
    value = system.MEASURES.value(run, "test", "source", "generalised, ensemble")
    assert value == system.MEASURES.value(run, "test", "source", f"generalised, ensemble {MARK}")
    assert value == system.MEASURES.value(run, "test", "source", "")
    with pytest.raises(UserError, match="metrics names source:nothing, and the rows are"):
        system.MEASURES.value(run, "test", "source", "nothing")
    with pytest.raises(UserError, match="metrics names domain_auc:lof, and the vectors are"):
        system.MEASURES.value(run, "test", "domain_auc", "lof")


def test_the_report_and_the_papers_tables_mark_them(labels, finished):
    page = (labels[0] / "report.html").read_text()
    # Three numbers at the top, six rows in their table, the product's sections, and its ROC.
    assert page.count(MARK) == 3 + 6 + 1 + 1
    assert f"The product, section by section {MARK}" in page
    assert f"ROC by section {MARK}" in page
    assert MARK not in (finished / "report.html").read_text()
    text = (labels[0] / "tables" / "table1.md").read_text()
    assert text.count(MARK) == 6


def test_evaluation_marks_them(labels, finished, tmp_path, capsys):
    for run, n in ((labels[0], 6), (finished, 0)):
        folder = tmp_path / str(n)
        evaluate.main([f"--run={run.path}", f"--output={folder}"])
        assert capsys.readouterr().out.count(MARK) == n
        assert read_json(folder / "metrics.json")["test"]["leaks"] == (["fused"] if n else [])


def test_domains_are_told_apart_by_the_vectors_of_the_chosen_systems(finished, tmp_path):
    run = systems.train(config(tmp_path, finished / "data", simple__sets="[simple,level]"), ["metrics"])
    metrics = read_json(run / "metrics.json")["test"]
    table = read_table(run / "domains.csv").astype({"logit": float})
    wide = table.pivot(index="path", columns="vectors", values="logit").mean(axis=1)
    clips = read_table(run / "scores.csv").set_index("path")
    aucs = []
    for _, part in clips.groupby(["machine", "section"]):
        target, source = (wide[part.index[part["domain"] == d]] for d in ("target", "source"))
        aucs.append(np.mean([(t > s) + (t == s) / 2 for t in target for s in source]))
    value = metrics["models"]["fused"]["domain_auc"]["value"]
    assert value == pytest.approx(np.mean(aucs), abs=1e-12)
    assert set(metrics["domain_auc"]) == {"simple", "level", "ensemble"}
    measured = system.MEASURES.value(run.path, "test", "domain_auc", "level")
    assert measured == metrics["domain_auc"]["level"]


def test_vectors_of_no_chosen_system_do_not_count(labels, tmp_path):
    """However well they tell the test clips' domains apart."""
    run, chosen = labels
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    domains = read_table(folder / "domains.csv")
    best = domains.assign(vectors="other", logit=(domains["domain"] == "target").astype(float))
    write_table(pd.concat([domains, best]), folder / "domains.csv")
    make_metrics(folder, chosen.evaluation, "generalised", "per_machine", 0)
    metrics = read_json(folder / "metrics.json")["test"]
    assert metrics["domain_auc"]["other"] == 1
    value = metrics["models"]["fused"]["domain_auc"]["value"]
    assert value == metrics["domain_auc"]["simple"] < 1
