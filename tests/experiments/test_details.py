"""Curves, confusion matrices and tables of classes of a grid's runs."""

import dataclasses

import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from mindspore_dpus.core.files import write_json
from mindspore_dpus.experiments.details import write_details
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.metrics.predictions import compute_metrics
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.training.settings import TrainingSettings
from tests.support import configuration

CLASSES = ["glass", "metal", "trash"]
TRUE = ["glass", "glass", "metal", "metal", "metal", "trash"]
CALLED = ["glass", "metal", "metal", "metal", "trash", "trash"]


def finished(folder, name):
    """The files of a finished run that are read."""
    config = configuration(output=str(folder / name))
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5]})
    history[["val_auc", "val_accuracy"]] = 0.5, 0.25
    (folder / name / "members" / "00").mkdir(parents=True)
    history.to_csv(folder / name / "members" / "00" / "history.csv", index=False)
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(6)], "label": TRUE, "predicted": CALLED})
    for label in CLASSES:
        table[f"fused:{label}"] = (table["predicted"] == label) * 0.8 + 0.1 * (
            table["predicted"] != label
        )
    table.to_csv(folder / name / "p.csv", index=False)
    metrics = compute_metrics(
        folder / name / "p.csv", CLASSES, "glass", EvaluationSettings(n_bootstrap=0), 0
    )
    write_json(folder / name / "metrics.json", {"test": metrics, "val": metrics})
    return Case(name, {"network": name.upper()}, 3, config)


def test_every_run_gets_its_figures_and_its_classes(tmp_path):
    cases = [finished(tmp_path, name) for name in ("a", "b")]
    table = write_details(cases, "test", tmp_path / "grid")
    names = {path.name for path in (tmp_path / "grid" / "details").iterdir()}
    assert names == {f"{name}-{figure}.svg" for name in "ab" for figure in ("curves", "confusion")}
    text = (tmp_path / "grid" / "details" / "a-confusion.svg").read_text()
    assert all(f">{label}<" in text for label in CLASSES)
    assert (
        "Accuracy (dashed: validation)" in (tmp_path / "grid" / "details" / "b-curves.svg").read_text()
    )
    stored = pd.read_csv(tmp_path / "grid" / "classes.csv")
    pd.testing.assert_frame_equal(stored, table)
    assert stored["network"].tolist() == ["A"] * 3 + ["B"] * 3
    expected = precision_recall_fscore_support(TRUE, CALLED, labels=CLASSES)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert stored[name][:3].tolist() == [round(float(v), 6) for v in values]


def test_the_classes_are_readable_and_averaged_over_the_seeds(tmp_path):
    cases = [finished(tmp_path, name) for name in ("a", "b")]
    cases[1].cell["network"] = "A"
    write_details(cases, "test", tmp_path / "grid")
    lines = (tmp_path / "grid" / "classes.md").read_text().splitlines()
    assert lines[0] == "| network | class | precision | recall | f1 | support |"
    assert lines[2] == ("| A | glass | 1.0000 ± 0.0000 | 0.5000 ± 0.0000 | 0.6667 ± 0.0000 | 2 |")
    assert len(lines) == 5
    assert (tmp_path / "grid" / "classes.tex").read_text().count(r"\\") == 4


def test_the_range_test_of_a_run_that_made_one_is_there(tmp_path):
    cases = [finished(tmp_path, name) for name in ("a", "b")]
    training = TrainingSettings(learning_rate="auto")
    config = dataclasses.replace(cases[0].config, training=training)
    cases[0] = dataclasses.replace(cases[0], config=config)
    (cases[0].folder / "lr_range.svg").write_text("<svg/>")
    write_details(cases, "test", tmp_path / "grid")
    found = [path.name for path in (tmp_path / "grid" / "details").glob("*-lr_range.svg")]
    assert found == ["a-lr_range.svg"]


def test_nothing_is_written_of_no_runs(tmp_path):
    assert write_details([], "test", tmp_path).empty
    assert list(tmp_path.iterdir()) == []
