"""The whole way through, on tiny castings: stages, resuming, evaluating and predicting.

Most runs have the smallest network, as they are about everything else; ResNet18 goes from DICOM files to
the exported graph.
"""

import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.deploy import OnnxPredictor
from mindspore_dpus.deploy.batch import predict_files
from mindspore_dpus.deploy.rule import go_by
from mindspore_dpus.systems.classification import evaluation
from mindspore_dpus.systems.classification.evaluation import (
    Evaluation,
    export,
    load_scorer,
    write_heatmaps,
)
from mindspore_dpus.systems.classification.summary import localisation_line, summary
from mindspore_dpus.training.checkpoint import load_checkpoint
from tests.support import parse_config, train


def evaluate(path, root=None, manifest=None, split="auto", output=None, **more):
    """Evaluate a run as the command does."""
    asked = Evaluation(root=root, manifest=manifest, split=split, output=output, **more)
    return evaluation.evaluate(path, asked)


def predict(path, images, output):
    """Score images that nobody has labelled."""
    return predict_files(load_scorer(path), expand_paths(images), output)


LEARNING = ["members", "predictions", "metrics", "heatmaps", "decision", "report"]


def tiny(castings, output, *options):
    return parse_config(
        [
            f"--data.root={castings}",
            f"--output={output}",
            "--images.size=32",
            "--features.pretrained=null",
            "--features.layer=layer2",
            "--features.n_components=4",
            "--sampling.n_clusters=2",
            "--sampling.n_subsets=2",
            "--sampling.baseline=true",
            "--model.backbone=lenet5",
            "--model.pretrained=null",
            "--training.epochs=2",
            "--evaluation.n_bootstrap=20",
            "--device.target=CPU",
            "--device.processes=1",  # Starting others would take longer than the training.
            *options,
        ]
    )


def quiet(line):
    """Swallow progress lines."""


def best(folder, member):
    return load_checkpoint(folder / "members" / member / "best.safetensors")[0]


@pytest.fixture(scope="module")
def run(castings, tmp_path_factory):
    return train(tiny(castings, tmp_path_factory.mktemp("runs") / "tiny"), quiet)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.backbone=resnet81", "unknown backbone"),
        ("--model.pretrained={weights}", "of another network"),
        ("--model.freeze_layers=99", "layers before the classifier"),
        (
            "--loss={{name: focal, options: {{class_weights: [1, 2, 3]}}}}",
            "class_weights has 3 numbers for 2 classes",
        ),
        ("--sampling.proportion=0.01", "proportion=0.01 of the 24 samples of class 'normal' is none"),
        (
            "--data={{majority: defect, positive: normal}}",
            "data.majority is 'defect', but train has 24 of 'normal' and 8 of 'defect': the larger",
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_told_before_the_long_stages(
    castings, tmp_path, option, message
):
    weights = tmp_path / "other.safetensors"
    save_file({"features.0.weight": np.zeros((3, 3), np.float32)}, weights)
    with pytest.raises(UserError, match=message):
        train(tiny(castings, tmp_path / "run", option.format(weights=weights)), quiet)
    assert list(RunFolder.open(tmp_path / "run").stages()) == ["samples"]


def test_epochs_are_not_selected_by_what_validation_cannot_give(castings, tmp_path):
    table = pd.read_csv(castings / "manifest.csv")
    table.loc[(table["split"] == "val") & (table["label"] == "defect"), "split"] = "train"
    manifest = tmp_path / "manifest.csv"
    table.to_csv(manifest, index=False)
    options = [f"--data.manifest={manifest}", "--split.every_class=false", "--sampling.strategy=none"]
    options += ["--sampling.n_subsets=1", "--sampling.baseline=false"]
    message = r"auc, and no validation image shows 'defect'; name accuracy, loss or last$"
    with pytest.raises(UserError, match=message):
        train(tiny(castings, tmp_path / "run", *options), quiet)


def test_fills_the_run_folder(run):
    names = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    members = {
        f"members/{m}/{file}"
        for m in ("00", "01", "baseline")
        for file in ("best.safetensors", "last.safetensors", "history.csv")
    }
    pictures = {f"heatmaps/test/{name}" for name in pd.read_csv(run / "heatmaps/test.csv")["heatmap"]}
    assert names == members | pictures | {
        ".lock",
        "audit.csv",
        "config.yaml",
        "decision.json",
        "decision_test.json",
        "diagnostics.csv",
        "embedding.csv",
        "environment.json",
        "features.npz",
        "fusion_test.csv",
        "fusion_val.csv",
        "clusters.csv",
        "heatmaps/test.csv",
        "metrics.json",
        "predictions_test.csv",
        "predictions_val.csv",
        "report.html",
        "samples.csv",
        "stages.json",
        "subsets.csv",
    }
    assert run.ran == ["samples", "audit", "features", "subsets", "diagnostics", *LEARNING]
    kinds = pd.read_csv(run / "diagnostics.csv")["kind"].value_counts().to_dict()
    assert kinds == {"random": 20, "drawn": 2}
    assert len(pd.read_csv(run / "embedding.csv")) == 24


def test_every_member_gets_its_share_of_normals_and_every_defect(run):
    samples = pd.read_csv(run / "samples.csv").set_index("path")
    for _, part in pd.read_csv(run / "subsets.csv", dtype=str).groupby("member"):
        chosen = samples.loc[part["path"]]
        assert chosen["split"].unique().tolist() == ["train"]
        assert chosen["label"].value_counts().to_dict() == {"normal": 9, "defect": 8}
        assert chosen.index.is_unique


def test_the_fused_score_is_the_mean_of_the_members_without_the_baseline(run):
    table = pd.read_csv(run / "predictions_test.csv")
    assert len(table) == 12
    fused = (table["00:defect"] + table["01:defect"]) / 2
    np.testing.assert_allclose(table["score"], fused, atol=1e-6)
    np.testing.assert_allclose(table["fused:defect"] + table["fused:normal"], 1, atol=1e-6)
    assert (table["predicted"] == np.where(table["score"] >= 0.5, "defect", "normal")).all()
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics["test"]["models"]) == ["fused", "00", "01", "baseline"]
    assert metrics["test"]["counts"] == [6, 6]


def test_a_second_run_does_nothing(run, castings):
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("members/*/*")}
    lines = []
    again = train(tiny(castings, run.path), lines.append)
    assert again.ran == []
    assert lines == ["nothing to do: every stage is done for this configuration and data"]
    assert "fused: auc" in summary(again)
    assert before == {p: p.stat().st_mtime_ns for p in run.path.rglob("members/*/*")}


@pytest.mark.parametrize(
    ("option", "stages"),
    [
        ("--evaluation.threshold=0.4", ["predictions", "metrics", "heatmaps", "decision", "report"]),
        ("--heatmaps.method=grad_cam", ["heatmaps", "report"]),
        ("--decision.recall=0.5", ["decision", "report"]),
        ("--audit.near_distance=4", ["audit", "report"]),
        ("--training.epochs=1", LEARNING),
        ("--sampling.proportion=0.5", ["subsets", "diagnostics", *LEARNING]),
        ("--features.n_components=3", ["features", "subsets", "diagnostics", *LEARNING]),
    ],
)
def test_a_changed_key_runs_its_stage_and_those_to_its_right(run, castings, tmp_path, option, stages):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    # Drawing takes longest, and is the same for all: it is seen that the old report is forgotten.
    changed = train(tiny(castings, copy, option), quiet, ["audit", "diagnostics", *LEARNING[:-1]])
    assert [*changed.ran, "report"] == stages
    assert list(run.stages())[-1] == "report"
    assert "report" not in changed.stages()


def test_a_changed_model_that_cannot_be_built_leaves_the_run_as_it_was(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    options = ("--model.backbone=resnet81", "--features.n_components=3")
    with pytest.raises(UserError, match="unknown backbone"):
        train(tiny(castings, copy, *options), quiet)
    assert RunFolder.open(copy).stages() == run.stages()


def test_other_numbers_of_groups_are_compared_beside_the_run(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    config = tiny(castings, copy, "--sampling.cluster_range=[2, 4]")
    assert train(config, quiet, ["cluster_range"]).ran == ["cluster_range"]
    table = pd.read_csv(copy / "cluster_range.csv")
    assert table[["label", "n_clusters"]].to_numpy().tolist() == [["normal", k] for k in (1, 2, 4)]
    clusters = pd.read_csv(copy / "clusters.csv")["cluster"]
    assert table["largest_cluster"][1] == pytest.approx(clusters.value_counts(normalize=True).max())
    # The true sub-populations of the simulator are what images come from.
    assert table["share_deviation"].notna().all()
    assert "of a random draw" in (copy / "cluster_range.svg").read_text()
    assert train(tiny(castings, copy), quiet).ran == []


def test_what_is_called_follows_the_threshold(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    score = pd.read_csv(copy / "predictions_test.csv")["score"].sort_values().iloc[2]
    train(tiny(castings, copy, f"--evaluation.threshold={score}"), quiet, ["metrics"])
    called = pd.read_csv(copy / "predictions_test.csv")["predicted"] == "defect"
    assert called.sum() == 10
    confusion = json.loads((copy / "metrics.json").read_text())["test"]["confusion_matrix"]
    assert sum(row[0] for row in confusion) == 10


@pytest.mark.parametrize("output", ["runs/mine", "."])
def test_an_output_that_would_become_a_class_is_refused(castings, tmp_path, output):
    root = tmp_path / "root"
    shutil.copytree(castings / "train", root)
    with pytest.raises(UserError, match="lies in data.root|holds other files"):
        train(tiny(root, root / output), quiet)


def test_equal_configurations_give_equal_runs(run, castings, tmp_path):
    again = train(tiny(castings, tmp_path / "again"), quiet, ["metrics"])
    for name in ("subsets.csv", "clusters.csv", "predictions_test.csv", "metrics.json"):
        assert (run / name).read_bytes() == (again / name).read_bytes()
    for member in ("00", "01", "baseline"):
        first, second = best(run.path, member), best(again.path, member)
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_an_interrupted_run_goes_on_where_it_was(run, castings, tmp_path):
    lines = []

    def stop_in_the_second_member(line):
        lines.append(line)
        if "01 epoch 1/2" in line:
            raise KeyboardInterrupt

    config = tiny(castings, tmp_path / "torn")
    with pytest.raises(KeyboardInterrupt):
        train(config, stop_in_the_second_member)
    lines.clear()
    finished = train(config, lines.append, ["metrics"])
    assert [line.split(":")[0].strip() for line in lines if "epoch" in line] == [
        "01 epoch 2/2",
        "baseline epoch 1/2",
        "baseline epoch 2/2",
    ]
    assert (finished / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()


def test_evaluating_the_own_test_split_gives_the_same_numbers(run):
    _, metrics, _ = evaluate(run.path)
    trained = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["models"]["fused"]["auc"] == trained["models"]["fused"]["auc"]


def test_every_error_that_the_report_shows_has_its_heatmap(run):
    table = pd.read_csv(run / "heatmaps/test.csv")
    predictions = pd.read_csv(run / "predictions_test.csv").set_index("path")
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    assert sorted(table["path"]) == sorted(wrong.index) != []
    html = (run / "report.html").read_text()
    shown = re.findall(r'alt="heatmap of (.*?)" src="data:image/jpeg;base64,', html)
    assert shown == table["path"].tolist()


def test_a_backbone_without_a_map_is_noted_and_the_run_goes_on(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    lines = []
    again = train(tiny(castings, copy, "--heatmaps.layer=classifier"), lines.append)
    assert again.ran == ["heatmaps", "report"]
    (note,) = [line for line in lines if "note" in line]
    assert "no heatmaps: heatmaps.layer: 'classifier' gives no map of places" in note
    assert pd.read_csv(copy / "heatmaps/test.csv").empty
    again = train(tiny(castings, copy, "--heatmaps.report=false"), quiet)
    assert again.ran == ["report"]
    assert not [path for path in (copy / "heatmaps").rglob("*") if path.is_file()]
    assert "heatmap of" not in (copy / "report.html").read_text()


def test_peaks_are_held_against_the_boxes_of_the_manifest(run, castings):
    folder, metrics, _ = evaluate(run.path, localisation=True)
    table = pd.read_csv(folder / "localisation.csv")
    samples = pd.read_csv(run / "samples.csv").set_index("path").loc[table["path"]]
    assert (samples["split"] == "test").all()
    assert (table["label"] == "defect").all()
    assert len(table) == 6
    x, y = table["peak_x"] - table["box_x"], table["peak_y"] - table["box_y"]
    hit = (x >= 0) & (x < table["box_w"]) & (y >= 0) & (y < table["box_h"])
    assert table["inside"].tolist() == hit.tolist()
    np.testing.assert_allclose(table["covered"], table["box_w"] * table["box_h"] / 32**2, atol=1e-6)
    found = json.loads((folder / "metrics.json").read_text())["localisation"]
    assert found == metrics["localisation"]
    assert (found["images"], found["hits"]) == (6, hit.sum())
    assert f"{hit.sum()} of 6 peaks lie in the annotated box" in localisation_line(found)


def test_boxes_that_are_not_there_are_named_before_anything_runs(run, castings, tmp_path):
    shutil.copytree(castings / "test" / "defect", tmp_path / "data" / "defect")
    options = {"root": str(tmp_path / "data"), "output": tmp_path / "out", "localisation": True}
    with pytest.raises(UserError, match="the manifest has no column 'box_x'"):
        evaluate(run.path, **options)
    assert not (tmp_path / "out").exists()
    manifest = tmp_path / "data" / "manifest.csv"
    name = sorted(p.name for p in (tmp_path / "data" / "defect").iterdir())[0]
    columns = "path,label,box_x,box_y,box_w,box_h"
    manifest.write_text(f"{columns}\ndefect/{name},defect,40,0,5,5\n")
    with pytest.raises(UserError, match=f"box of defect/{name} lies outside its image of 32 x 32"):
        evaluate(run.path, **options)


def test_evaluating_other_images(run, castings, tmp_path):
    other = tmp_path / "other"
    for label in ("normal", "defect"):
        shutil.copytree(castings / "val" / label, other / label)
    folder, metrics, _ = evaluate(run.path, root=str(other), output=tmp_path / "out")
    assert metrics["counts"] == [6, 6]
    scores = pd.read_csv(folder / "predictions.csv").set_index("path")["score"]
    trained = pd.read_csv(run / "predictions_val.csv").set_index("path")["score"]
    np.testing.assert_allclose(scores.sort_values(), trained.sort_values(), atol=1e-6)


def test_evaluating_normal_images_only_leaves_auc_undefined(run, castings):
    _, metrics, _ = evaluate(run.path, root=str(castings / "val"), split="all")
    assert metrics["models"]["fused"]["auc"]["value"] is not None
    only = castings.parent / "only"
    shutil.copytree(castings / "val" / "normal", only / "normal", dirs_exist_ok=True)
    _, metrics, _ = evaluate(run.path, root=str(only))
    assert metrics["counts"] == [0, 6]
    assert metrics["models"]["fused"]["auc"]["value"] is None


def test_evaluating_an_unknown_class_names_it(run, castings, tmp_path):
    shutil.copytree(castings / "val" / "normal", tmp_path / "data" / "porosity")
    with pytest.raises(UserError, match="'porosity', which the run never saw"):
        evaluate(run.path, root=str(tmp_path / "data"))


def test_predict_has_a_row_for_every_input_in_order(run, castings, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    output = tmp_path / "out" / "predictions.csv"
    summary = predict(
        run.path, [str(broken), str(castings / "test"), str(tmp_path / "missing.png")], output
    )
    assert (summary.images, summary.unreadable) == (14, 2)
    table = pd.read_csv(output)
    assert len(table) == 14
    assert table["path"].iloc[0] == str(broken)
    assert "broken.png" in table["error"].iloc[0]
    assert "does not exist" in table["error"].iloc[-1]
    assert table["score"].isna().tolist() == [True] + 12 * [False] + [True]
    trained = pd.read_csv(run / "predictions_test.csv")
    expected = {
        str(castings / path): score
        for path, score in zip(trained["path"], trained["score"], strict=True)
    }
    scored = table.iloc[1:-1]
    np.testing.assert_allclose(scored["score"], [expected[p] for p in scored["path"]], atol=1e-5)
    assert table.columns[:5].tolist() == ["path", "error", "predicted", "score", "probability"]
    assert table.columns[5:].tolist() == trained.columns[4:].tolist()


def test_predict_with_nothing_readable_still_has_its_rows(run, tmp_path):
    predict(run.path, [str(tmp_path / "missing.png")], tmp_path / "predictions.csv")
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["error"].str.contains("does not exist").tolist() == [True]
    assert table["predicted"].isna().all()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_is_called_is_shown(run, castings, tmp_path, kind):
    scorer, output = load_scorer(run.path), tmp_path / f"p.{kind}"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    files = expand_paths([str(castings / "test" / "defect"), str(broken)])
    two_lines = tmp_path / "two\nlines.png"
    shutil.copy(files[0], two_lines)
    files.append(two_lines)
    summary = predict_files(scorer, files, output, kind)
    assert write_heatmaps(scorer, output, kind, tmp_path / "maps", files) == summary.counts["defect"] > 0
    table = pd.read_csv(tmp_path / "maps" / "heatmaps.csv")
    assert set(table["path"]) < {str(file) for file in files}
    assert all((tmp_path / "maps" / name).is_file() for name in table["heatmap"])
    assert table["peak_x"].dropna().between(0, 31).all()


def test_the_exported_graph_gives_the_runs_scores(run, castings, tmp_path):
    pytest.importorskip("onnx")
    path, bundle = export(run.path, "onnx", tmp_path / "model.onnx")
    assert bundle.agreement["images"] == 12
    assert bundle.prior == {
        "data": {"defect": 0.25, "normal": 0.75},
        "members": {"defect": pytest.approx(8 / 17), "normal": pytest.approx(9 / 17)},
    }
    files = expand_paths([str(castings / "test")])
    predict_files(OnnxPredictor(path), files, tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv").set_index("path")
    trained = pd.read_csv(run / "predictions_test.csv")
    rows = table.loc[[str(castings / name) for name in trained["path"]]]
    for column in ("score", "00:defect", "01:defect"):
        np.testing.assert_allclose(rows[column], trained[column], atol=1e-4)
    called = trained["score"] >= bundle.threshold
    assert (rows["predicted"] == "defect").tolist() == called.tolist()
    assert bundle.decision == Decision.load(run / "decision.json")


def test_a_threshold_for_tiles_goes_from_labelled_frames_to_the_line(run, castings, tmp_path):
    frames = castings / "test"
    with pytest.raises(UserError, match="choosing a decision needs a split"):
        evaluate(run.path, choose=True)
    with pytest.raises(UserError, match="the run was trained on train/"):
        evaluate(run.path, split="train", choose=True)
    shutil.copytree(castings / "train", tmp_path / "copied")
    with pytest.raises(UserError, match="the run was trained on defect/"):
        evaluate(run.path, str(tmp_path / "copied"), None, "all", choose=True)
    shutil.copytree(castings / "val" / "defect", tmp_path / "one" / "defect")
    with pytest.raises(UserError, match="needs images of both classes; .* has none of 'normal'"):
        evaluate(run.path, str(tmp_path / "one"), None, "all", choose=True)
    tiles = Tiles(16, 0.5)
    folder, metrics, lines = evaluate(
        run.path, str(frames), None, "all", tmp_path / "frames", tiles=tiles, choose=True
    )
    assert metrics["tiles"] == {"size": 16, "overlap": 0.5, "pool": "max", "top_k": 3}
    assert json.loads((folder / "metrics.json").read_text())["tiles"] == metrics["tiles"]
    assert not (folder / "decision_test.json").exists()
    assert any("chosen on frames: " in line for line in lines)
    decision = Decision.load(folder / "decision.json")
    assert decision.tiles == tiles
    assert decision.recall.total == 6
    assert sum("decision" in line for line in lines) == 1
    assert not any("note" in line for line in lines)
    table = pd.read_csv(folder / "predictions.csv").set_index("path")["score"]
    cut = pd.read_csv(folder / "tiles.csv").groupby("path")
    assert set(cut.size()) == {9}
    np.testing.assert_allclose(cut["score"].max()[table.index], table, atol=1e-6)
    _, _, lines = evaluate(run.path, str(frames), None, "all", tmp_path / "note", tiles=tiles)
    assert "was chosen on whole images" in lines[-1]

    scorer = load_scorer(run.path)
    go_by(scorer, decision, None)
    predict_files(scorer, [frames / name for name in table.index], tmp_path / "p.csv")
    predicted = pd.read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(predicted["score"], table, atol=1e-5)
    assert (predicted["predicted"] == "defect").tolist() == decision.called(table).tolist()

    pytest.importorskip("onnx")
    path, bundle = export(run.path, "onnx", tmp_path / "model.onnx", decision=decision)
    assert bundle.decision == decision
    predict_files(OnnxPredictor(path), [frames / name for name in table.index], tmp_path / "o.csv")
    np.testing.assert_allclose(pd.read_csv(tmp_path / "o.csv")["score"], table, atol=1e-4)


def test_sixteen_bits_and_dicom_have_one_score_everywhere(castings, tmp_path):
    from tests.data.dicom_files import write_dicom

    manifest = pd.read_csv(castings / "manifest.csv")
    for i, path in enumerate(manifest["path"]):
        values = cv2.imread(str(castings / path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 15 + 7
        new = (tmp_path / "data" / path).with_suffix((".png", ".tif", ".dcm", ".DCM")[i % 4])
        new.parent.mkdir(parents=True, exist_ok=True)
        if new.suffix.lower() == ".dcm":
            shown = {} if i % 4 == 3 else {"RescaleSlope": 2, "RescaleIntercept": -14}
            stored = values if i % 4 == 3 else values // 2 + 7
            write_dicom(new, stored, BitsStored=12, **shown)
        else:
            assert cv2.imwrite(str(new), values)
        manifest.loc[i, "path"] = new.relative_to(tmp_path / "data").as_posix()
    manifest.to_csv(tmp_path / "data" / "manifest.csv", index=False)
    options = ["--images.bits=16", "--images.value_range=window", "--images.window=[0,4095]"]
    options += ["--sampling.strategy=random_under", "--sampling.baseline=false", "--training.epochs=1"]
    options += ["--model.backbone=resnet18", "--sampling.n_subsets=1"]
    run = train(tiny(tmp_path / "data", tmp_path / "run", *options), quiet, ["decision"])
    trained = pd.read_csv(run / "predictions_test.csv")
    assert set(trained["path"].str[-4:]) == {".png", ".tif", ".dcm", ".DCM"}
    assert trained["score"].nunique() > 6

    folder, _, _ = evaluate(run.path)
    evaluated = pd.read_csv(folder / "predictions.csv")
    np.testing.assert_allclose(evaluated["score"], trained["score"], atol=1e-6)
    files = [tmp_path / "data" / path for path in trained["path"]]
    predict_files(load_scorer(run.path), files, tmp_path / "p.csv")
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["score"], trained["score"], atol=1e-5)
    pytest.importorskip("onnx")
    path, _ = export(run.path, "onnx", tmp_path / "model.onnx")
    predict_files(OnnxPredictor(path), files, tmp_path / "o.csv")
    np.testing.assert_allclose(pd.read_csv(tmp_path / "o.csv")["score"], trained["score"], atol=1e-4)


def test_a_graph_that_does_not_agree_is_not_written(run, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setattr("mindspore_dpus.export.agreement.LIMIT", 0.0)
    with pytest.raises(UserError, match="differs from the run"):
        export(run.path, "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "output", "images", "words"),
    [
        ("onnx", "model.bin", None, "the name must end in .onnx"),
        ("onnx", "model.onnx", ["/nowhere.png"], "nowhere.png does not exist: the graph must agree"),
    ],
)
def test_what_cannot_be_exported_is_said(run, tmp_path, kind, output, images, words):
    with pytest.raises(UserError, match=words):
        export(run.path, kind, tmp_path / output, images)


def test_after_a_failure_no_stage_of_the_old_configuration_is_left(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    config = tiny(castings, copy, "--images.size=48", "--model.pretrained=/nowhere.ckpt")
    with pytest.raises(UserError, match="nowhere.ckpt does not exist"):
        train(config, quiet)
    with pytest.raises(UserError, match="its stage 'members' is missing"):
        evaluate(copy)


def test_another_strategy_leaves_no_groups_behind(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    train(tiny(castings, copy, "--sampling.strategy=random_under", "--training.epochs=1"), quiet)
    sizes = pd.read_csv(copy / "subsets.csv", dtype=str)["member"].value_counts()
    assert sizes.to_dict() == {"00": 17, "01": 17, "baseline": 17}
    assert not {"clusters.csv", "features.npz", "embedding.csv"} & {p.name for p in copy.iterdir()}
    assert "Clusters of" not in (copy / "report.html").read_text()


def test_a_folder_with_other_files_is_not_taken_over(castings, tmp_path):
    (tmp_path / "members" / "alice").mkdir(parents=True)
    with pytest.raises(UserError, match="holds other files"):
        train(tiny(castings, tmp_path), quiet)


def test_the_own_data_in_another_place_keeps_its_splits(castings, tmp_path):
    flat = tmp_path / "flat"
    for label in ("normal", "defect"):
        for file in castings.glob(f"*/{label}/*.png"):
            (flat / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, flat / label)
    options = ("--training.epochs=1", "--sampling.baseline=false", "--sampling.n_subsets=1")
    run = train(tiny(flat, tmp_path / "run", *options), quiet, ["decision"])
    of_test = pd.read_csv(run / "predictions_test.csv")["path"].tolist()

    def scored(root):
        folder, _, _ = evaluate(run.path, root=str(root))
        return pd.read_csv(folder / "predictions.csv")["path"].tolist()

    assert scored(shutil.copytree(flat, tmp_path / "copy")) == of_test
    # Images that only have the names of the run's are others: all are scored.
    mirrored = shutil.copytree(flat, tmp_path / "mirrored")
    for path in mirrored.rglob("*.png"):
        cv2.imwrite(str(path), np.fliplr(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    assert len(scored(mirrored)) == 56
    assert scored(flat.rename(tmp_path / "moved")) == of_test


def test_evaluating_a_manifest_without_a_root_is_refused(run):
    with pytest.raises(UserError, match="data.manifest needs data.root"):
        evaluate(run.path, manifest="x.csv")


def test_a_torn_member_is_named(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    path = copy / "members" / "01" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="01/best.safetensors is damaged"):
        evaluate(copy)


def test_a_member_of_another_run_is_named(run, castings, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    other = train(tiny(castings, tmp_path / "other", "--training.epochs=1"), quiet, ["members"])
    name = "members/00/best.safetensors"
    shutil.copyfile(other / name, copy / name)
    with pytest.raises(UserError, match="belongs to another configuration or data set"):
        evaluate(copy)


@pytest.mark.parametrize("strategy", ["random_over", "none"])
def test_every_other_strategy_runs(castings, tmp_path, strategy):
    options = [f"--sampling.strategy={strategy}", "--sampling.n_subsets=1", "--training.epochs=1"]
    run = train(tiny(castings, tmp_path / "run", *options, "--sampling.baseline=false"), quiet)
    expected = {"random_over": 48, "none": 32}[strategy]
    assert len(pd.read_csv(run / "subsets.csv")) == expected
    assert "clusters.csv" not in {p.name for p in run.path.iterdir()}
