"""The stage on a run folder without networks: what it reads, refuses, skips and leaves behind."""

import json
import shutil

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import fill
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.metrics.fusion import with_fused
from mindspore_dpus.metrics.predictions import predictions_table
from mindspore_dpus.stages.describe import describe
from mindspore_dpus.stages.prediction_stages import make_metrics
from mindspore_dpus.systems.classification import decision_stage as decide
from mindspore_dpus.systems.classification.report import write_report
from mindspore_dpus.systems.classification.system import stages
from tests.support import logged, parse_config

pytestmark = pytest.mark.filterwarnings("ignore:No artists with labels")


def configured(castings, folder, *options):
    return parse_config(
        [
            f"--data.root={castings}",
            f"--output={folder}",
            "--sampling.strategy=random_under",
            "--sampling.n_subsets=3",
            "--sampling.baseline=true",
            "--evaluation.n_bootstrap=0",
            *options,
        ]
    )


def filled(config):
    """A run folder up to its metrics; the scores know something about the labels."""
    run = RunFolder(config.output)
    fill(run, stages(config, run), lambda: describe(run, config), ["samples"])
    decide.check_decision(run, config)
    fill(run, stages(config, run), targets=["subsets"])
    table, classes, labels = read_samples(run / "samples.csv")
    rng = np.random.default_rng(0)
    for split in ("val", "test"):
        rows = np.flatnonzero(table["split"] == split)
        logits = rng.normal(size=(3, len(rows), len(classes))) + 1.5 * np.eye(len(classes))[labels[rows]]
        odds = np.exp(logits).astype(np.float32)
        outputs = with_fused({f"{i:02d}": o / o.sum(1, keepdims=True) for i, o in enumerate(odds)})
        predictions = predictions_table(
            table.iloc[rows][["path", "label"]], classes, "defect", 0.5, outputs
        )
        write_table(predictions, run / f"predictions_{split}.csv")
    make_metrics(run.path, "defect", config.evaluation, config.seed)
    return run


@pytest.fixture
def run(castings, tmp_path):
    config = configured(castings, tmp_path / "run")
    run = filled(config)
    decide.make_decision(run, config)
    return run


def test_the_decision_is_validations_and_the_assessment_tests(run):
    decision = decide.read_decision(run)
    val, test = (read_table(run / f"predictions_{split}.csv") for split in ("val", "test"))
    assert decision.threshold == val["score"][val["label"] == "defect"].min()
    assert decision.recall.count == 6
    called = test[test["score"] >= decision.threshold]
    result = json.loads((run / "decision_test.json").read_text())
    assert result["recall"]["count"] == (called["label"] == "defect").sum()
    assert result["false_calls"]["count"] == (called["label"] == "normal").sum()
    assert result["pod"]["refused"].startswith("6 flaws of known size")
    assert decision.groups is None


def test_the_threshold_of_the_metrics_stays(castings, tmp_path):
    plain = filled(configured(castings, tmp_path / "a"))
    before = (plain / "metrics.json").read_text()
    changed = configured(castings, tmp_path / "a", "--decision.recall=0.5")
    decide.make_decision(plain, changed)
    assert (plain / "metrics.json").read_text() == before


@pytest.mark.parametrize(
    ("options", "prior"),
    [
        ([], 8 / 17),
        (["--sampling.strategy=none", "--sampling.baseline=false"], 8 / 32),
        (["--sampling.strategy=random_over"], 24 / 48),
        (["--loss.name=weighted_cross_entropy"], 0.5),
        (["--loss.name=weighted_cross_entropy", "--loss.options.class_weights=[3,1]"], 24 / 33),
        (["--loss.name=focal", "--loss.options.class_weights=[1,2]"], 8 / 26),
    ],
)
def test_scores_carry_the_share_that_the_members_learnt_from(castings, tmp_path, options, prior):
    config = configured(castings, tmp_path / "run", *options)
    run = filled(config)
    decide.make_decision(run, config)
    # Classes are in alphabetical order: the first weight is the defects'.
    assert decide.read_decision(run).training_prior == pytest.approx(prior)


def test_a_run_without_a_decision_has_no_line(castings, tmp_path):
    run = filled(configured(castings, tmp_path / "run"))
    assert decide.decision_lines(run.path, run.path, "test") == []
    table = read_table(run / "samples.csv")
    # What an evaluation left behind before is no news.
    (tmp_path / "decision_test.json").write_text("{}")
    decide.apply_decision(None, configured(castings, run.path), table, tmp_path)
    assert not (tmp_path / "decision_test.json").exists()


def test_an_evaluation_gets_the_decisions_numbers(run, castings, tmp_path):
    table = read_table(run / "samples.csv")
    shutil.copy(run / "predictions_val.csv", tmp_path / "predictions.csv")
    val = table[table["split"] == "val"]
    decision = decide.read_decision(run)
    decide.apply_decision(decision, configured(castings, run.path), val, tmp_path)
    assert Decision.load(tmp_path / "decision.json") == decision
    (line,) = decide.decision_lines(run.path, tmp_path, "mine")
    assert "On validation, 6 of 6 are found" in line
    assert "On mine, 6 of 6 are found" in line


def test_more_classes_have_no_decision_and_say_so(castings, tmp_path):
    root = tmp_path / "three"
    shutil.copytree(castings, root)
    manifest = read_table(root / "manifest.csv")
    manifest.loc[manifest.index % 5 == 0, "label"] = "tear"
    write_table(manifest, root / "manifest.csv")
    config, lines = configured(root, tmp_path / "run"), []
    run = filled(config)
    with logged(lines.append):
        decide.make_decision(run, config)
    assert decide.decision_artefacts(run) == []
    assert lines[-1] == "  none, as there are 3 classes; a threshold is for two"
    assert not (run / "decision.json").exists()
    assert not (run / "decision_test.json").exists()
    assert decide.decision_lines(run.path, run.path, "test") == []
    for option in ("calibration=temperature", "recall=0.9", "defect_rate=0.1"):
        key = option.partition("=")[0]
        with pytest.raises(UserError, match=rf"decision\.{key} is for two classes; there are 3"):
            decide.check_decision(run, configured(root, run.path, f"--decision.{option}"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decision.size_columns=[box_q]"], "names 'box_q', which the manifest does not have"),
        (["--decision.size_columns=[material]"], "manifest: material of .*png is .*number above 0"),
        (
            ["--decision.rule=assured_recall", "--decision.recall=0.9"],
            "with 6 defect images in validation: that takes 29",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_before_training(castings, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        filled(configured(castings, tmp_path / "run", *options))


def test_of_several_size_columns_the_largest_counts(castings, tmp_path):
    config = configured(castings, tmp_path / "run", "--decision.size_columns=[box_w,box_h]")
    table = read_table(castings / "manifest.csv")
    columns = config.decision.size_columns
    sizes = decide.flaw_sizes(table, columns, "defect")
    is_defect = table["label"] == "defect"
    assert np.isnan(sizes[~is_defect]).all()
    # The simulator's flaw_size is the larger side of the box.
    assert (sizes[is_defect] == table["flaw_size"][is_defect].astype(float)).all()
    table.loc[table.index[is_defect][0], ["box_w", "box_h"]] = ["", "7"]
    assert decide.flaw_sizes(table, columns, "defect")[np.flatnonzero(is_defect)[0]] == 7
    assert decide.flaw_sizes(table[["path", "label"]], columns, "defect") is None


def test_images_without_a_group_stand_alone(run, castings, tmp_path):
    config = configured(castings, run.path)
    table = read_table(run / "samples.csv")
    val = np.flatnonzero((table["split"] == "val") & (table["label"] == "defect"))
    table["group"] = ""
    table.loc[val[:4], "group"] = ["a", "a", "b", "a"]
    write_table(table, run / "samples.csv")
    decide.make_decision(run, config)
    assert Decision.load(run / "decision.json").groups == 4


def test_the_report_has_its_section(run, castings):
    write_report(run.path, castings, configured(castings, run.path))
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "Of 6 defect images in validation, 6 are found at this threshold" in html
    assert "On test, which had no part in the choice" in html
    assert "Reliability on test" in html
    assert "No curve: 6 flaws of known size; MIL-HDBK-1823A asks for 60 or more." in html
    for name in ("decision.json", "decision_test.json"):
        (run / name).unlink()
    write_report(run.path, castings, configured(castings, run.path))
    assert "<h2>Decision</h2>" not in (run / "report.html").read_text(encoding="utf-8")
