"""The whole system on a few simulated frames: it runs, goes on, repeats itself, and refuses bad input."""

import dataclasses
import json
import os
import shutil
import unicodedata

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus import systems
from mindspore_dpus.cli import evaluate, predict, simulate
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.images.footage import read_frames
from mindspore_dpus.deploy.detector import Detector
from mindspore_dpus.deploy.signs import look_at
from mindspore_dpus.systems.traffic_signs import evaluation, run_data, system
from mindspore_dpus.systems.traffic_signs.settings import FrameSettings
from tests.support import train

NETWORK = [
    "model={backbone: conv4, pretrained: null, options: {hidden: 16}}",
    "images.size=16",
    "images.channels=3",
    "training.epochs=1",
    "training.batch_size=16",
    "training.select_by=accuracy",
]
TINY = [
    "--system=traffic_signs",
    "--simulate.enabled=true",
    "--simulate.train=4",
    "--simulate.val=3",
    "--simulate.test=2",
    "--simulate.width=160",
    "--simulate.height=112",
    "--simulate.sign_size=[14,30]",
    "--simulate.signs=[1,2]",
    "--proposals.options={width: 0.35}",
    "--proposals.layer=features.8",
    "--proposals.pretrained=null",
    "--proposals.sizes=[16,28]",
    "--proposals.crop=64",
    "--proposals.post_nms_top_k=60",
    "--proposals.keep_maps=true",
    "--proposals.training.epochs=1",
    "--proposals.training.batch_size=2",
    "--proposals.training.select_by=loss",
    "--sweep.enabled=true",
    "--regions.background_per_frame=6",
    "--cascade.background_thresholds=[0.0]",
    # After one epoch no network is sure of anything; something must be found for all that.
    "--cascade.sign_thresholds=[0.0]",
    "--refinement.enabled=true",
    "--refinement.rounds=2",
    "--refinement.boxes_per_sign=2",
    "--refinement.model={backbone: conv4, pretrained: null, options: {hidden: 16}}",
    "--refinement.images.size=16",
    "--refinement.training.epochs=1",
    "--refinement.training.batch_size=8",
    "--evaluation.n_bootstrap=10",
    *(f"--{name}.{item}" for name in ("background", "signs") for item in NETWORK),
]


def config(output, *more):
    return systems.parse_config([*TINY, f"--output={output}", *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(config(tmp_path_factory.mktemp("signs") / "run"))


def test_every_stage_leaves_what_it_should(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["frames"] == 2
    fused = metrics["test"]["models"]["fused"]
    assert set(fused) >= {"map", "map_50", "map_70", "ap_50_agnostic"}
    table = pd.read_csv(run / "proposals" / "table5.csv")
    assert set(table["split"]) == {"train", "test"}
    recall = json.loads((run / "proposals" / "recall.json").read_text())
    row = table[(table["split"] == "test") & (table["post_nms_top_k"] >= 1000)].iloc[0]
    assert row["recall_50"] >= recall["test"]["recall_50"]
    background = pd.read_csv(run / "background" / "samples.csv")
    assert set(background["label"]) == {"background", "sign"}
    # No frame in two splits.
    assert (background.groupby("group")["split"].nunique() == 1).all()
    for table, name in (("table6", "background"), ("table7", "signs")):
        rows = pd.read_csv(run / "tables" / f"{table}.csv").set_index("split")
        assert rows.index.tolist() == ["train", "val", "test"]
        history = pd.read_csv(run / name / "members" / "00" / "history.csv")
        # One member, one epoch: what its validation said.
        assert rows.loc["train", "loss"] == pytest.approx(history["train_loss"][0], abs=1e-5)
        assert rows.loc["val", "loss"] == pytest.approx(history["val_loss"][0], abs=1e-4)
        assert rows.loc["val", "accuracy"] == pytest.approx(history["val_accuracy"][0], abs=1e-5)
        own = json.loads((run / name / "metrics.json").read_text())["test"]["models"]["fused"]
        if name == "signs":
            assert rows.loc["test", "accuracy"] == pytest.approx(own["accuracy"]["value"], abs=1e-5)
    steps = json.loads((run / "time.json").read_text())["ms_per_frame"]
    networks = ["proposal_network", "background_network", "refinement_network", "sign_network"]
    others = ["proposal_boxes", "place_filter", "suppression", "vote"]
    assert set(steps) == {*networks, *others}
    assert all(steps[name] > steps[other] > 0 for name in networks for other in others[1:])
    page = (run / "report.html").read_text()
    for title in ("Table 5", "Table 6", "Table 7", "Table 8", "What the place filter removes"):
        assert title in page
    assert "Frames with misses and false calls first" in page
    assert page.count("<svg") == 2
    assert "data:image/jpeg;base64," in page


def test_weights_that_cannot_be_had_stop_the_run_before_anything_is_trained(tmp_path):
    wrong = config(tmp_path / "run", "--signs.model.pretrained=nowhere.ckpt")
    with pytest.raises(UserError, match="signs: pretrained: nowhere.ckpt does not exist"):
        train(wrong)
    assert not (tmp_path / "run" / "proposals").exists()


def test_a_second_start_has_nothing_to_do(run):
    assert train(config(run.path)).ran == []


def test_equal_runs_are_equal_and_an_exception_is_gone_on_from(run, tmp_path, monkeypatch):
    def fail(*args):
        raise UserError("no more")

    other = config(tmp_path / "other")
    with monkeypatch.context() as patched:
        patched.setattr(system, "make_detections", fail)
        with pytest.raises(UserError, match="no more"):
            train(other)
    again = train(other, targets=["metrics"])
    assert again.ran == ["detections", "metrics"]
    for name in (
        "boxes.csv",
        "proposals/proposals.csv",
        "background/samples.csv",
        "thresholds.csv",
        "detections_test.csv",
    ):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    for name in (
        "proposals/members/proposals",
        "background/members/00",
        "signs/members/00",
        "refinement/members/refinement",
    ):
        first, second = (evaluation.RunFolder(r.path) / name / "history.csv" for r in (run, again))
        columns = pd.read_csv(first).drop(columns="seconds"), pd.read_csv(second).drop(columns="seconds")
        pd.testing.assert_frame_equal(*columns)


def test_predict_gives_the_runs_detections_and_errors_as_rows(run, tmp_path, capsys):
    folder = tmp_path / "frames"
    shutil.copytree(run / "data" / "test", folder)
    (folder / "broken.png").write_bytes(b"no image")
    table, pictures = tmp_path / "signs.csv", tmp_path / "pictures"
    call = [f"--run={run.path}", str(folder), f"--output={table}", f"--pictures={pictures}"]
    assert predict.main(call) == 1
    found = pd.read_csv(table, keep_default_na=False)
    assert "broken.png" in found["path"][found["error"] != ""].iloc[0]
    expected = pd.read_csv(run / "detections_test.csv")
    found = found[found["error"] == ""]
    assert f"{len(found)} signs in 2 frames, 1 errors" in capsys.readouterr().out
    assert len(list(pictures.iterdir())) == 2
    assert len(found) == len(expected)
    assert np.allclose(found["x1"].astype(float), expected["x1"], atol=0.02)
    assert predict.main([f"--run={run.path}", str(folder), f"--output={tmp_path / 's.json'}"]) == 1
    coco = json.loads((tmp_path / "s.json").read_text())
    numbers = pd.read_csv(run / "classes.csv").set_index("class_name")["class_id"].to_dict()
    assert {row["name"]: row["id"] for row in coco["categories"]}.items() <= numbers.items()
    assert len(coco["annotations"]) == len(expected)
    assert len(coco["errors"]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every=0"], "--every is 0; it must be 1 or more"),
        (["--threads=2"], "--threads is for --model"),
        (["--output=signs.txt"], "the name must end in .csv or .json"),
    ],
)
def test_a_wrong_call_of_predict_is_one_line(run, tmp_path, capsys, options, message):
    assert predict.main([f"--run={run.path}", str(run / "data" / "test"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_frames_that_predict_reads_are_as_large_as_the_runs(run):
    detector = evaluation.load_run(run.path, None)[2]
    settings = dataclasses.replace(detector.settings, max_pixels=100)
    small = Detector(settings, detector.networks, detector.identity)
    frame, *_ = read_frames([str(run / "data" / "test")], max_pixels=settings.max_pixels)
    assert "pixels" in look_at(small, frame)["error"]


def test_evaluate_on_the_runs_own_test_frames_gives_its_metrics(run, tmp_path):
    asked = evaluation.Evaluation(run / "data", split="test", output=tmp_path / "e")
    folder, _ = evaluation.evaluate(run.path, asked)
    own = json.loads((run / "metrics.json").read_text())["test"]["models"]["fused"]["map_50"]
    other = json.loads((folder / "metrics.json").read_text())["models"]["fused"]["map_50"]
    assert other["value"] == pytest.approx(own["value"], abs=1e-6)


def test_evaluate_on_numbers_with_gaps_names_the_classes_of_the_run(run, tmp_path):
    # As of a run whose classes.csv has gaps and does not begin at 0.
    other = tmp_path / "run"
    shutil.copytree(run.path, other)
    for name in ("boxes", "classes"):
        table = pd.read_csv(other / f"{name}.csv")
        table.assign(class_id=5 + 3 * table["class_id"]).to_csv(other / f"{name}.csv", index=False)
    boxes, frames = pd.read_csv(other / "boxes.csv"), tmp_path / "frames"
    boxes = boxes[boxes["path"].str.startswith("test/")]
    lines = [";".join(map(str, row)) for row in boxes.drop(columns="class_name").to_numpy().tolist()]
    shutil.copytree(run / "data" / "test", frames / "test")
    (frames / "gt.txt").write_text("\n".join(lines))
    folder, _ = evaluation.evaluate(other, evaluation.Evaluation(frames, output=tmp_path / "e"))
    own, theirs = (json.loads((f / "metrics.json").read_text()) for f in (run, folder))
    assert theirs["problems"] == 0
    classes = pd.read_csv(folder / "per_class.csv")
    expected = boxes["class_name"].value_counts()
    counts = dict(zip(classes["label"], classes["truths"], strict=True))
    assert {k: v for k, v in counts.items() if v} == expected.to_dict()
    assert theirs["models"]["fused"]["map_50"]["value"] == pytest.approx(
        own["test"]["models"]["fused"]["map_50"]["value"], abs=1e-6
    )


def test_evaluate_of_frames_that_cannot_be_used_says_why(run, tmp_path, capsys):
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "a.png"), np.zeros((60, 80, 3), np.uint8))
    (frames / "boxes").mkdir()
    (frames / "boxes" / "a.xml").write_text(
        "<annotation><filename>a.png</filename><object><name>moon</name><bndbox><xmin>1</xmin>"
        "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    (frames / "boxes" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    call = [f"--run={run.path}", f"--data.root={frames}", f"--data.boxes={frames / 'boxes'}"]
    call += ["--data.list_frames", f"--output={tmp_path / 'e'}"]
    assert evaluate.main(call) == 2
    assert "in the formats voc and yolo; name one (data.format)" in capsys.readouterr().err
    assert evaluate.main([*call, "--data.format=voc"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no sound annotated frame; 1 problems, the first of" in line
    assert "a.xml object 1): the class 'moon' is unknown" in line
    assert pd.read_csv(tmp_path / "e" / "problems.csv")["path"].tolist() == ["a.png"]


def test_an_export_finds_what_the_run_finds(run, tmp_path):
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install -e '.[export]')")
    from mindspore_dpus.deploy.onnx_detector import OnnxDetector
    from mindspore_dpus.systems.traffic_signs.export import export

    folder = tmp_path / "detector"
    path, agreement = export(run.path, folder)
    assert agreement["pixels"] < 0.01
    assert agreement["scores"] < 1e-4
    assert agreement["signs"] > 0
    frames = str(run / "data" / "test")
    for source, output in ((f"--run={run.path}", "a.csv"), (f"--model={folder}", "b.csv")):
        assert predict.main([source, frames, f"--output={tmp_path / output}"]) == 0
    ours, theirs = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    assert len(ours) == agreement["signs"]
    assert ours["label"].tolist() == theirs["label"].tolist()
    assert np.allclose(ours[EDGES], theirs[EDGES], atol=0.011)
    assert np.allclose(ours["score"], theirs["score"], atol=1e-4)
    detector = OnnxDetector(path)
    # Another size than any frame of the run.
    image = np.random.default_rng(0).integers(0, 256, (97, 203, 3), dtype=np.uint8)
    own = evaluation.load_run(run.path, None)[2]
    ours, theirs = own.maps(image), detector.maps(image)
    assert np.allclose(ours.scores, theirs.scores, atol=1e-4)
    assert np.allclose(ours.deltas, theirs.deltas, atol=1e-4)
    graph = path.parent / "signs.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        OnnxDetector(path)


def test_simulated_frames_can_be_written_and_read(tmp_path):
    options = ["--system=traffic_signs", f"--output={tmp_path / 'streets'}", "--train=2", "--val=1"]
    size = ["--test=1", "--width=160", "--height=112", "--sign_size=[14,30]"]
    assert not simulate.main([*options, *size])
    found = run_data.find_annotations(tmp_path / "streets", FrameSettings())
    assert found.frames["split"].tolist() == ["train", "train", "val", "test"]
    assert simulate.main([*options, "--sign_size=[30,14]"]) == 2


@pytest.fixture
def data(tmp_path):
    """Six frames of 80 x 60 pixels, a box in each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((60, 80, 3), 40 * i, np.uint8))
    lines = [f"{i}.png;10;10;29;29;{i % 2}" for i in range(6)]
    (folder / "gt.txt").write_text("\n".join(lines) + "\n")
    return folder


def read(data, **more):
    found = run_data.find_annotations(data, FrameSettings(root=str(data), **more))
    return run_data.readable(found, data, 10**8)


def test_bad_frames_and_boxes_are_rows(data):
    (data / "1.png").write_bytes(b"broken")
    lines = (data / "gt.txt").read_text() + "2.png;70;10;95;20;0\n3.png;1;1;9;9;7\n9.png;1;1;9;9;0\n"
    (data / "gt.txt").write_text(lines)
    found = read(data, classes=("a", "b"))
    errors = dict(zip(found.problems["path"], found.problems["error"], strict=True))
    assert set(errors) == {"1.png", "2.png", "3.png", "9.png"}
    assert "reaches out" in errors["2.png"]
    assert "class 7 is unknown" in errors["3.png"]
    assert "does not exist" in errors["9.png"]
    assert found.sound().frames["path"].tolist() == ["0.png", "4.png", "5.png"]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("name", ["gt.txt", "boxes.csv"])
@pytest.mark.parametrize("listed", [False, True])
def test_an_umlaut_may_be_written_in_another_way_than_on_disk(data, forms, name, listed):
    disk, text = (unicodedata.normalize(form, "größe 1.png") for form in forms)
    (data / "1.png").rename(data / disk)
    lines = (data / "gt.txt").read_text().replace("1.png;", f"{text};")
    (data / "gt.txt").write_text(lines)
    if name == "boxes.csv":
        rows = [line.replace(";", ",") for line in lines.splitlines()]
        (data / name).write_text("\n".join(["path,x1,y1,x2,y2,class_name", *rows]))
        # The table of frames is written in the way of the disk.
        frames = sorted(path.name for path in data.glob("*.png"))
        (data / "frames.csv").write_text("\n".join(["path", *frames]))
    found = read(data, list_frames=listed)
    assert found.problems.empty
    assert disk in found.sound().boxes["path"].tolist()
    assert len(found.frames) == 6


def test_frames_that_lie_elsewhere_are_one_line(data, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"none of the 6 frames of .*gt\.txt is there, such as 0\.png"):
        read(tmp_path / "other", boxes=str(data / "gt.txt"))


def test_a_name_that_no_table_can_hold_is_one_line(data):
    (data / "5.png").rename(data / os.fsdecode(b"\xb9.png"))
    with pytest.raises(UserError, match=r"data/\\udcb9\.png has a name that is not UTF-8.*rename it"):
        read(data, list_frames=True)


@pytest.mark.parametrize("text", ["hello\nworld\n", ""])
def test_annotations_of_no_known_format_are_one_line(data, text):
    (data / "gt.txt").write_text(text)
    with pytest.raises(UserError, match=r"gt\.txt is in no format of boxes that is known"):
        read(data)


def test_without_a_sound_box_there_is_nothing_to_learn(data):
    (data / "gt.txt").write_text("0.png;70;10;95;20;0\n")
    more = ["--simulate.enabled=false", f"--data.root={data}"]
    found = run_data.FoundFrames(RunFolder(data.parent / "r"), config(data.parent / "r", *more))
    found.settings()
    with pytest.raises(UserError, match="no sound box"):
        found.make("")


def test_frames_are_split_as_the_data_say_and_else_by_the_seed():
    named = pd.DataFrame({"path": list("abcdefghij"), "split": ["train"] * 8 + ["test"] * 2})
    split = run_data.assign(named, FrameSettings(val_size=0.25), 0)
    assert split.value_counts().to_dict() == {"train": 6, "val": 2, "test": 2}
    assert split.iloc[8:].tolist() == ["test", "test"]
    free = run_data.assign(named[["path"]], FrameSettings(), 1)
    assert set(free) == {"train", "val", "test"}
    assert free.equals(run_data.assign(named[["path"]], FrameSettings(), 1))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--proposals.crop=60", "multiple of the stride"),
        ("--proposals.training.select_by=auc", "select_by"),
        ("--sweep.enabled=true", "keep_maps"),
        ("--proposals.negative_below=0.9", "negative_below"),
        ("--background.images.channels=1", "channels 3"),
        ("--refinement.images.channels=1", "refinement.images needs channels 3"),
        ("--refinement.training.select_by=auc", "refinement.training.select_by is 'auc'"),
        ("--refinement.training.augment.shift=0.1", "refinement.training.augment moves the sign"),
        ("--refinement.training.augment.horizontal_flip=true", "augment moves the sign"),
        ("--refinement.model.rotate=true", "refinement.model.rotate has no effect"),
        ("--refinement.model.freeze=[nothing.*]", r"^refinement\.model\.freeze: .*nothing"),
        ("--proposals.options={widht: 2}", r"^proposals\.options: the backbone has no option 'widht'"),
        ("--background.model.options={widht: 2}", r"^background\.model\.options: .* no option 'widht'"),
        ("--signs.model.backbone=nothing", r"^signs: unknown backbone 'nothing'"),
        ("--signs.training.select_by=recall", r"^signs\.training\.select_by is 'recall'"),
        ("--regions.crops=[none/manifest.csv]", r"^regions\.crops: none/manifest\.csv"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(tmp_path, more, message):
    args = ["--proposals.keep_maps=false"] if "sweep" in more else []
    with pytest.raises(UserError, match=message):
        train(config(tmp_path / "run", more, *args))
    assert not (tmp_path / "run" / "proposals").exists()
