"""Tables and figures that an experiment's file names."""

import dataclasses

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.experiments.finished import history, measured
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.markup import folded, number
from mindspore_dpus.experiments.show import write_displays
from mindspore_dpus.training.settings import TrainingSettings
from tests.experiments.grids import write_experiment
from tests.support import configuration

# network, depth, seed -> accuracy on validation and on test, seconds.
RUNS = {
    ("big", "20", 0): (0.5, 0.75, 30.0),
    ("big", "50", 0): (0.75, 0.5, 20.0),
    ("small", "20", 0): (0.25, 0.25, 12.0),
    ("small", "20", 1): (0.25, 0.5, 14.0),
    ("small", "50", 0): (0.0, 0.125, 4.0),
}
AXES = {"network": {"big": None, "small": None}, "depth": {20: None, 50: None}}


def finished(folder, network, depth, seed, val, test, seconds):
    """What a finished run has of those files that tables and figures are made of."""
    name = f"{network}-{depth}-seed{seed}"
    for member, loss in (("00", 1.0), ("01", 3.0), ("baseline", 100.0)):
        path = folder / name / "members" / member / "history.csv"
        path.parent.mkdir(parents=True)
        rows = {"epoch": [1, 2], "train_loss": [loss, loss / 2], "train_accuracy": [0.25, 0.5]}
        rows |= {"val_loss": [2.0, 1.5], "val_accuracy": [0.25, val], "seconds": [0.0, 0.0]}
        rows["seconds"][0] = seconds if member == "00" else 0.0
        pd.DataFrame(rows).to_csv(path, index=False)
    per_class = {c: {"precision": 1.0, "recall": test, "f1": None, "support": 4} for c in "ab"}
    hits = round(8 * test)
    metrics = {
        split: {
            "classes": ["a", "b"],
            "confusion_matrix": [[hits, 8 - hits], [0, 8]],
            "per_class": per_class,
            "models": {"fused": {"accuracy": {"value": value}}},
        }
        for split, value in (("val", val), ("test", test))
    }
    write_json(folder / name / "metrics.json", metrics)
    config = configuration(output=str(folder / name))
    return Case(name, {"network": network, "depth": depth}, seed, config)


@pytest.fixture
def cases(tmp_path):
    return [finished(tmp_path / "runs", *key, *values) for key, values in RUNS.items()]


def experiment(folder, **displays):
    path = write_experiment(
        folder, axes=AXES, reference={}, metrics=["accuracy", "training_seconds"], **displays
    )
    return load_experiment(path)


def shown(folder, cases, **displays):
    """The files that an experiment with these tables and figures leaves, by their paths."""
    write_displays(experiment(folder, **displays), cases, folder / "out")
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "out")): path.read_text() for path in files}


def test_a_table_has_the_layout_of_a_printed_one(tmp_path, cases):
    table = {"where": {"network": "big"}, "percent": ["accuracy"], "metrics": ["accuracy"], "fold": 2}
    files = shown(tmp_path, cases, tables={"table3": table})
    assert set(files) == {f"tables/table3.{end}" for end in ("csv", "md", "tex")}
    assert files["tables/table3.md"].splitlines() == [
        "| depth | test accuracy / % | depth | test accuracy / % |",
        "| --- | --- | --- | --- |",
        "| 20 | 75.00 | 50 | 50.00 |",
    ]
    assert r"20 & 75.00 & 50 & 50.00 \\" in files["tables/table3.tex"]
    assert r"test accuracy / \% \\" in files["tables/table3.tex"]
    values = pd.read_csv(tmp_path / "out" / "tables" / "table3.csv")
    assert values["accuracy_mean"].tolist() == [0.75, 0.5]


def test_a_table_has_means_over_the_seeds(tmp_path, cases):
    table = {"where": {"network": ["small"]}, "metrics": ["accuracy", "training_seconds", "recall:b"]}
    files = shown(tmp_path, cases, tables={"t": table})
    assert files["tables/t.md"].splitlines()[:3] == [
        "| depth | test accuracy | training seconds | test recall of b |",
        "| --- | --- | --- | --- |",
        "| 20 | 0.3750 ± 0.1768 | 13.0 ± 1.4 | 0.3750 ± 0.1768 |",
    ]


def test_a_table_across_an_axis_has_its_values_as_columns(tmp_path, cases):
    tables = {
        "seconds": {"across": "network", "metrics": ["training_seconds"]},
        "accuracy": {"across": "depth", "percent": ["accuracy"], "where": {"network": "big"}},
        "f1": {"across": "depth", "metrics": ["f1:b"]},
    }
    files = shown(tmp_path, cases[1:], tables=tables)
    # In the order of the axes, though the run of 20 is missing; the cell of one run says so.
    assert files["tables/seconds.md"].splitlines() == [
        "| depth: training seconds by network | big | small |",
        "| --- | --- | --- |",
        "| 20 |  | 13.0 ± 1.4 |",
        "| 50 | 20.0 (1) | 4.0000 (1) |",
    ]
    assert files["tables/accuracy.md"].splitlines() == [
        "| network: test accuracy / % by depth | 50 |",
        "| --- | --- |",
        "| big | 50.00 |",
    ]
    # An axis of one value has no column, unless there is no other.
    tables = {"a": {"across": "depth", "metrics": ["accuracy"], "where": {"network": "small"}}}
    files = shown(tmp_path, cases, tables=tables)
    assert files["tables/a.md"].splitlines()[2] == "| small | 0.3750 ± 0.1768 | 0.1250 (1) |"
    tables["a"]["where"] = {"depth": "50"}
    files = shown(tmp_path, cases, tables=tables)
    assert files["tables/a.md"].splitlines()[2] == "| big | 0.5000 |"
    # What no run has is empty, without a number of runs.
    assert files["tables/f1.md"].splitlines()[2:] == ["| big |  |  |", "| small |  |  |"]
    values = pd.read_csv(tmp_path / "out" / "tables" / "seconds.csv")
    assert values.columns.tolist()[:3] == ["network", "depth", "runs"]


def test_a_table_across_an_axis_has_a_row_for_each_of_its_metrics(tmp_path, cases):
    metrics = ["training_seconds", "accuracy", "f1:b"]
    table = {"across": "depth", "metrics": metrics, "percent": ["accuracy"]}
    files = shown(tmp_path, cases[1:], tables={"a": table})
    assert files["tables/a.md"].splitlines() == [
        "| network | metric by depth | 20 | 50 |",
        "| --- | --- | --- | --- |",
        "| big | training seconds |  | 20.0 (1) |",
        "| big | test accuracy / % |  | 50.00 (1) |",
        "| big | test F1 of b |  |  |",
        "| small | training seconds | 13.0 ± 1.4 | 4.0000 (1) |",
        "| small | test accuracy / % | 37.50 ± 17.68 | 12.50 (1) |",
        "| small | test F1 of b |  |  |",
    ]
    values = pd.read_csv(tmp_path / "out" / "tables" / "a.csv")
    assert sorted(values["runs"]) == [1, 1, 2]
    assert {"accuracy_mean", "training_seconds_sd", "f1:b_mean"} <= set(values)


def test_folding_fills_up_the_last_part():
    table = pd.DataFrame({"a": list("12345")})
    parts = folded(table, 3).to_numpy().tolist()
    assert parts == [["1", "3", "5"], ["2", "4", ""]]
    assert folded(table, 1).equals(table)


def test_small_and_large_numbers_are_readable():
    nan = float("nan")
    assert [number(1.2345e-5, nan), number(0.0, nan), number(812.34, 5.66)] == [
        "1.23e-05",
        "0.0000",
        "812.3 ± 5.7",
    ]


def test_the_best_run_is_chosen_on_validation(tmp_path, cases):
    # On test, the other depth is better.
    figures = {kind: {"kind": kind, "best": "accuracy"} for kind in ("curves", "confusion")}
    files = shown(tmp_path, cases, figures=figures)
    for kind in figures:
        assert ">big / 50 / seed 0<" in files[f"figures/{kind}.svg"]
        assert "seed 1" not in files[f"figures/{kind}.svg"]
    assert files["figures/confusion.svg"].count(">4<") == 2
    where = {"network": "small", "depth": [20]}
    files = shown(tmp_path, cases, figures={"curves": {"kind": "curves", "where": where}})
    assert [f">small / 20 / seed {i}<" in files["figures/curves.svg"] for i in (0, 1)] == [True, True]
    assert "big" not in files["figures/curves.svg"]


def test_without_a_validation_of_that_metric_no_run_is_the_best(tmp_path, cases):
    with pytest.raises(UserError, match="figures: best: auc is undefined on validation in every run"):
        shown(tmp_path, cases, figures={"f": {"kind": "curves", "best": "auc"}})


def test_bars_and_lines_show_the_metric_that_they_name(tmp_path, cases):
    figures = {
        "bars": {"kind": "bars", "metric": "recall:a"},
        "lines": {"kind": "lines", "x": "depth", "metric": "training_seconds"},
    }
    files = shown(tmp_path, cases, figures=figures)
    words = [">big / 20<", ">small / 50<", ">0.375<", ">test recall of a<"]
    assert [word in files["figures/bars.svg"] for word in words] == [True] * 4
    words = [">big<", ">depth<", ">training seconds (mean ± standard deviation)<"]
    assert [word in files["figures/lines.svg"] for word in words] == [True] * 3


def test_what_has_no_finished_run_is_left_out(tmp_path, cases):
    displays = {
        "tables": {"t": {"where": {"network": "big"}}},
        "figures": {"f": {"kind": "curves", "where": {"network": "big"}}},
    }
    assert shown(tmp_path, cases[2:], **displays) == {}
    whole = shown(tmp_path, cases, **displays)
    assert set(whole) == {"tables/t.csv", "tables/t.md", "tables/t.tex", "figures/f.svg"}
    assert shown(tmp_path, cases[2:], **displays) == {}


def test_the_history_of_a_run_is_the_mean_of_its_members(cases):
    table = history(cases[0])
    assert table["epoch"].tolist() == [1, 2]
    assert table["train_loss"].tolist() == [2.0, 1.0]


def test_measures_of_a_run(cases, tmp_path):
    assert measured(cases[0], "test", "recall:a") == 0.75
    assert measured(cases[0], "test", "f1:a") != measured(cases[0], "test", "f1:a")  # nan
    assert measured(cases[0], "test", "training_seconds") == 30.0
    assert measured(cases[0], "test", "learning_rate") == cases[0].config.training.learning_rate
    with pytest.raises(UserError, match="metrics names recall:c, and the classes are a, b"):
        measured(cases[0], "test", "recall:c")
    training = TrainingSettings(learning_rate="auto")
    config = dataclasses.replace(cases[0].config, training=training)
    cases[0] = dataclasses.replace(cases[0], config=config)
    falling = {"rate": [1e-4, 1e-3, 1e-2, 1e-1, 1.0], "loss": 0.0, "smoothed": [5, 4.9, 3, 1, 9]}
    pd.DataFrame(falling).to_csv(cases[0].folder / "lr_range.csv", index=False)
    assert measured(cases[0], "test", "learning_rate") == 1e-1


@pytest.mark.parametrize(
    ("displays", "message"),
    [
        ({"tables": ["a"]}, "tables must map each name to its keys"),
        ({"figures": {"a": None}}, "figures must map each name to its keys"),
        ({"figures": {"a/b": {"kind": "bars"}}}, "figures: a/b: it names a file; use letters"),
        ({"figures": {"a": {}}}, "figures: a: missing 1 required positional argument: 'kind'"),
        ({"tables": {"a": {"kind": "bars"}}}, "tables: a: got an unexpected keyword argument 'kind'"),
        ({"figures": {"a": {"kind": "pie"}}}, "a: kind is 'pie'; it must be curves, confusion, bars, "),
        ({"tables": {"a": {"where": {"depth": 30}}}}, "a: where names depth: 30, which the axes"),
        ({"tables": {"a": {"where": ["depth"]}}}, "a: where is .'depth'.; it must map axes"),
        ({"tables": {"a": {"fold": 0}}}, "a: fold is 0; it must be a whole number from 1 up"),
        ({"tables": {"a": {"percent": ["speed"]}}}, "a: percent is .'speed'.; it must be of auc"),
        ({"tables": {"a": {"metrics": ["auc:b"]}}}, "a: metrics is .'auc:b'.; it must be of"),
        ({"figures": {"a": {"kind": "bars", "best": "auc"}}}, "a: best has no effect with kind bars"),
        ({"figures": {"a": {"kind": "bars", "x": "depth"}}}, "a: x has no effect with kind bars"),
        ({"figures": {"a": {"kind": "curves", "metric": "auc"}}}, "a: metric has no effect with kind c"),
        (
            {"figures": {"a": {"kind": "curves", "best": "recall:b"}}},
            "a: best is 'recall:b'; it must be",
        ),
        ({"tables": {"a": {"across": "share"}}}, "a: across names the axis 'share', which the axes"),
        ({"figures": {"a": {"kind": "lines"}}}, "a: x names the axis None, which the axes"),
    ],
)
def test_a_display_that_makes_no_sense_is_named(tmp_path, displays, message):
    with pytest.raises(UserError, match=f"experiment.yaml: .*{message}"):
        experiment(tmp_path, **displays)


def test_a_papers_numbers_are_the_first_row(tmp_path, cases):
    table = {"metrics": ["accuracy", "training_seconds"], "percent": ["accuracy"]}
    grid = experiment(tmp_path, tables={"a": table | {"printed": {"accuracy": 81.5}}})
    write_displays(grid, cases, tmp_path)
    text = (tmp_path / "tables" / "a.md").read_text().splitlines()
    assert text[2] == "| the paper |  | 81.5 |  |"
    assert text[3].startswith("| big | 20 | 75.00 |")
    values = pd.read_csv(tmp_path / "tables" / "a.csv")
    assert values.loc[0, ["network", "runs", "accuracy_mean"]].tolist() == ["the paper", 0, 0.815]
    assert values["accuracy_mean"][1] == 0.75
    assert len(values) == 5
    for wrong, message in (
        ({"printed": {"auc": 1}}, "printed names 'auc', which its metrics do not"),
        ({"printed": {"accuracy": "high"}}, "it must map metrics to numbers"),
        ({"printed": {"accuracy": 1}, "across": "depth", "metrics": ["accuracy"]}, "has no effect"),
    ):
        with pytest.raises(UserError, match=message):
            experiment(tmp_path, tables={"a": table | wrong})


def test_a_table_across_the_only_axis_has_no_rows(tmp_path):
    path = write_experiment(
        tmp_path, axes={"depth": {20: None}}, reference={}, tables={"a": {"across": "depth"}}
    )
    with pytest.raises(UserError, match="tables: a: across needs another axis, for the rows"):
        load_experiment(path)


@pytest.mark.parametrize("system", ["traffic_signs", "machine_sound"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("curves", "kind curves is the mean over the members of an ensemble; the networks of this"),
        ("confusion", "kind confusion is of class probabilities, which this system lacks"),
    ],
)
def test_pictures_of_ensembles_are_refused_where_there_are_none(tmp_path, system, kind, message):
    path = write_experiment(
        tmp_path, reference={}, metrics=["training_seconds"], figures={"a": {"kind": kind}}
    )
    (tmp_path / "base.yaml").write_text(f"system: {system}\n")
    with pytest.raises(UserError, match=f"experiment.yaml: figures: a: {message}"):
        load_experiment(path)
