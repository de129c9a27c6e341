"""What a grid leaves behind: tables, paired differences, the figure."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from mindspore_dpus.experiments.finished import is_done
from mindspore_dpus.experiments.grid import expand
from mindspore_dpus.experiments.tables import write_results


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
    experiment = dataclasses.replace(finished.experiment, split=split)
    write_results(experiment, finished.cases, tmp_path)
    expected = {}
    for case in finished.cases:
        images = pd.read_csv(case.folder / f"predictions_{split}.csv")
        truth, score = images["label"] == "defect", images["score"]
        expected[case.cell["method"], case.seed] = [
            precision_score(truth, score >= 0.5, zero_division=0),
            recall_score(truth, score >= 0.5),
            roc_auc_score(truth, score),
        ]
    results = pd.read_csv(tmp_path / "results.csv")
    assert set(results["split"]) == {split}
    for _, row in results.iterrows():
        values = expected[row["method"], row["seed"]]
        assert row[["precision", "recall", "auc"]].tolist() == [round(v, 6) for v in values]
    table = pd.read_csv(tmp_path / "table.csv").set_index("method")
    assert set(table["split"]) == {split}
    aucs = {name: [expected[name, seed][2] for seed in (0, 1)] for name in table.index}
    for name in table.index:
        assert table["auc_mean"][name] == pytest.approx(np.mean(aucs[name]), abs=1e-4)
    difference = np.mean(aucs["Under-sample"]) - np.mean(aucs["Ours"])
    assert table["difference"]["Under-sample"] == pytest.approx(difference, abs=1e-4)
    for name in ("table.md", "table.tex"):
        assert f"{split} AUC difference" in (tmp_path / name).read_text()
    assert f"{split} AUC (mean" in (tmp_path / "figure.svg").read_text()


def test_the_figure_shows_another_metric_where_auc_is_not_asked_for(finished, tmp_path):
    experiment = dataclasses.replace(finished.experiment, metrics=["balanced_accuracy"])
    write_results(experiment, finished.cases, tmp_path)
    assert "test balanced accuracy (mean" in (tmp_path / "figure.svg").read_text()


def test_runs_made_with_other_settings_are_not_in_the_tables(finished, castings, tmp_path):
    options = [f"--data.root={castings}"]
    same = expand(finished.experiment, [*options, "--device.idle_main_thread=true"])
    assert all(is_done(case) for case in same)
    other = expand(finished.experiment, [*options, "--training.epochs=2"])
    assert not any(is_done(case) for case in other)
    assert write_results(finished.experiment, other, tmp_path).empty
