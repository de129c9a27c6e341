"""What a grid leaves behind: tables, paired differences, the figure."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from mindspore_dpus.core.configuration import dump_config
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.displays import Table
from mindspore_dpus.experiments.finished import is_done
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.markup import rounded
from mindspore_dpus.experiments.result_tables import check_measures, write_results


def test_the_tables_hold_mean_and_deviation_over_the_seeds(finished):
    output = finished.output
    results, table = pd.read_csv(output / "results.csv"), pd.read_csv(output / "table.csv")
    assert len(results) == 4
    ours = results[results["method"] == "Ours"]["auc"]
    row = table[table["method"] == "Ours"].iloc[0]
    assert row["auc_mean"] == pytest.approx(ours.mean(), abs=1e-4)
    assert row["auc_sd"] == pytest.approx(ours.std(ddof=1), abs=1e-4)
    other = table[table["method"] == "Under-sample"].iloc[0]
    assert other["difference"] == pytest.approx(other["auc_mean"] - row["auc_mean"], abs=2e-4)
    assert other["difference_low"] <= other["difference"] <= other["difference_high"]
    markdown = (output / "table.md").read_text()
    assert markdown.splitlines()[0] == (
        "| method | runs | test precision | test recall | test AUC | test AUC difference |"
    )
    assert "| Ours | 2 |" in markdown
    assert "| reference |" in markdown
    assert (output / "table.tex").read_text().count(r"\\") == 3


@pytest.mark.parametrize("split", ["test", "val"])
def test_everything_is_about_the_experiments_split(finished, tmp_path, split):
    output = finished.output
    if split != finished.experiment.split:
        output = tmp_path
        write_results(dataclasses.replace(finished.experiment, split=split), finished.cases, output)
    expected = {}
    for case in finished.cases:
        images = pd.read_csv(case.folder / f"predictions_{split}.csv")
        truth, score = images["label"] == "defect", images["score"]
        expected[case.cell["method"], case.seed] = [
            precision_score(truth, score >= 0.5, zero_division=0),
            recall_score(truth, score >= 0.5),
            # Of outputs that hardly differ, the difference tells images apart that the score cannot.
            roc_auc_score(truth, images["fused:defect"] - images["fused:normal"]),
        ]
    results = pd.read_csv(output / "results.csv")
    assert set(results["split"]) == {split}
    for _, row in results.iterrows():
        values = expected[row["method"], row["seed"]]
        assert row[["precision", "recall", "auc"]].tolist() == [round(v, 6) for v in values]
    table = pd.read_csv(output / "table.csv").set_index("method")
    assert set(table["split"]) == {split}
    aucs = {name: [expected[name, seed][2] for seed in (0, 1)] for name in table.index}
    for name in table.index:
        assert table["auc_mean"][name] == pytest.approx(np.mean(aucs[name]), abs=1e-4)
    difference = np.mean(aucs["Under-sample"]) - np.mean(aucs["Ours"])
    assert table["difference"]["Under-sample"] == pytest.approx(difference, abs=1e-4)
    for name in ("table.md", "table.tex"):
        assert f"{split} AUC difference" in (output / name).read_text()
    assert f"{split} AUC (mean" in (output / "figure.svg").read_text()


def test_the_figure_shows_another_metric_where_auc_is_not_asked_for(finished, tmp_path):
    experiment = dataclasses.replace(finished.experiment, metrics=["balanced_accuracy"])
    write_results(experiment, finished.cases, tmp_path)
    assert "test balanced accuracy (mean" in (tmp_path / "figure.svg").read_text()


AXES = {"method": {"Under-sample": {}, "Ours": {}}}


def without(cases, *names):
    """The cases, some of them not finished: their folders are not there."""
    return [
        dataclasses.replace(case, config=dataclasses.replace(case.config, output="nowhere"))
        if case.name in names
        else case
        for case in cases
    ]


def test_what_is_missing_changes_no_order_and_is_no_reference(finished, tmp_path):
    # The seeds as a second axis: with one value of it, the reference is missing.
    experiment = dataclasses.replace(finished.experiment, axes={"part": {"0": {}, "1": {}}, **AXES})
    cases = [
        dataclasses.replace(case, cell={"part": str(case.seed), **case.cell}, seed=0)
        for case in without(finished.cases, "under_sample-seed0", "ours-seed1")
    ]
    table = write_results(experiment, cases, tmp_path)
    assert table[["part", "method"]].to_numpy().tolist() == [["0", "Ours"], ["1", "Under-sample"]]
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0].endswith(" | test AUC |")
    cases[0] = dataclasses.replace(cases[0], config=finished.cases[0].config)
    table = write_results(experiment, cases, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2].startswith("| 0 | Under-sample | 1 | ")
    assert lines[2].endswith("], images only |")
    assert lines[3].endswith(" | reference |")
    assert lines[4].startswith("| 1 | Under-sample | 1 | ")
    assert lines[4].endswith(" |  |")
    assert table["pairs"].tolist()[::2] == [1, 0]
    table = write_results(finished.experiment, without(finished.cases, "ours-seed1"), tmp_path)
    assert table["pairs"].tolist()[0] == 1
    assert "], images only (1 of 2 runs) |" in (tmp_path / "table.md").read_text()


def test_of_other_images_there_is_no_difference(finished, tmp_path):
    cases = []
    for case in finished.cases:
        folder = tmp_path / case.name
        shutil.copytree(case.folder, folder)
        cases.append(
            dataclasses.replace(case, config=dataclasses.replace(case.config, output=str(folder)))
        )
    path = tmp_path / "under_sample-seed0" / "predictions_test.csv"
    shuffled = pd.read_csv(path, keep_default_na=False).iloc[::-1]
    shuffled.to_csv(path, index=False)
    table = write_results(finished.experiment, cases, tmp_path / "grid")
    assert table["pairs"].tolist()[0] == 1
    assert "(1 of 2 runs)" in (tmp_path / "grid" / "table.md").read_text()


def test_numbers_for_other_programs_have_significant_digits(finished, tmp_path):
    table = rounded(pd.DataFrame({"rate": [1.234567891e-5, np.nan], "n": [3, 4], "name": ["a", "b"]}))
    assert table["rate"].tolist()[0] == 1.23457e-5
    assert np.isnan(table["rate"][1])
    assert (table["n"].tolist(), table["name"].tolist()) == ([3, 4], ["a", "b"])
    experiment = dataclasses.replace(finished.experiment, metrics=["learning_rate"])
    rate = dataclasses.replace(finished.cases[0].config.training, learning_rate=3e-5)
    config = dataclasses.replace(finished.cases[0].config, training=rate, output=str(tmp_path / "run"))
    shutil.copytree(finished.cases[0].folder, tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_text(dump_config(config))
    case = dataclasses.replace(finished.cases[0], config=config)
    write_results(experiment, [case], tmp_path / "grid")
    assert pd.read_csv(tmp_path / "grid" / "table.csv")["learning_rate_mean"].tolist() == [3e-5]


def test_a_class_that_no_run_has_is_told_of_the_first(finished):
    experiment = dataclasses.replace(finished.experiment, tables={"a": Table(metrics=["recall:trash"])})
    check_measures(finished.experiment, finished.cases[0])
    with pytest.raises(UserError, match="recall:trash, and the classes are defect, normal"):
        check_measures(experiment, finished.cases[0])


def test_runs_made_with_other_settings_are_not_in_the_tables(finished, castings, tmp_path):
    options = [f"--data.root={castings}"]
    same = expand(finished.experiment, [*options, "--device.idle_main_thread=true"])
    assert all(is_done(case) for case in same)
    other = expand(finished.experiment, [*options, "--training.epochs=2"])
    assert not any(is_done(case) for case in other)
    # What the others had is not left beside tables of nothing.
    for path in finished.output.glob("*.*"):
        if path.name != "status.csv":
            shutil.copy(path, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    assert write_results(finished.experiment, other, tmp_path).empty
    empty = {"results.csv", "table.csv", "table.md", "table.tex"}
    assert {path.name for path in tmp_path.glob("*.*")} == empty
    assert before >= empty | {"figure.svg", "classes.csv", "fusion.md", "preserved.tex"}
