"""Frames that are scored tile by tile: pooled scores, where tiles lie, by which rule they call."""

import dataclasses
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.rule_options import add_rule_options, read_tiles
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.tiles import Tiles
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.probability import Proportion
from mindspore_dpus.deploy import OnnxPredictor, score_files
from mindspore_dpus.deploy.batch import predict_files
from mindspore_dpus.deploy.rule import go_by, rule_lines
from tests.deploy.conftest import expected_scores, write_grey

HALF = Proportion(5, 10, 0.2, 0.8)
DECISION = Decision(
    "defect", "recall", 0.95, None, None, 0.3, 0.95, HALF, HALF, 0.2, 0.7, None,
    0.5, 0.5, None, "none", None, None, None,
)  # fmt: skip


@pytest.fixture
def predictor(model):
    return OnnxPredictor(model, threads=1)


@pytest.fixture
def frame(tmp_path):
    """48 x 32 pixels of six grey tiles."""
    greys = np.array([[100, 110, 120], [90, 200, 80]], np.uint8)
    path = tmp_path / "frame.png"
    assert cv2.imwrite(str(path), np.kron(greys, np.ones((16, 16), np.uint8)))
    return path, greys


def scored(predictor, path):
    ((row,),) = score_files(predictor, [path])
    return row


@pytest.mark.parametrize(("pool", "top_k", "best"), [("max", 3, [200]), ("top_k", 2, [200, 120])])
def test_a_frame_has_the_pooled_score_of_its_tiles(predictor, frame, pool, top_k, best):
    path, greys = frame
    go_by(predictor, None, Tiles(16, 0, pool, top_k))
    row = scored(predictor, path)
    expected = np.mean([expected_scores(grey) for grey in best], axis=0)
    found = [row["score"], row["00:defect"], row["01:defect"]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for model in ("fused", "00", "01"):
        assert row[f"{model}:defect"] + row[f"{model}:normal"] == pytest.approx(1)
    assert [row[f"tile_{n}"] for n in ("x", "y", "width", "height")] == [16, 16, 16, 16]
    boxes = [[x, y, 16, 16] for y in (0, 16) for x in (0, 16, 32)]
    assert [tile[:4] for tile in row["tiles"]] == boxes
    scores = [expected_scores(grey)[0] for grey in greys.ravel()]
    np.testing.assert_allclose([tile[4] for tile in row["tiles"]], scores, atol=1e-6)


def test_one_tile_over_a_square_frame_gives_the_score_of_the_whole(predictor, tmp_path):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    assert cv2.imwrite(str(path), noise)
    whole = scored(predictor, path)
    go_by(predictor, None, Tiles(40))
    assert scored(predictor, path)["score"] == pytest.approx(whole["score"], abs=1e-7)
    assert "tiles" not in whole


def test_frames_of_all_sizes_and_broken_ones_in_one_batch(predictor, frame, tmp_path):
    small, broken = write_grey(tmp_path / "small.png", 220), tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    go_by(predictor, None, Tiles(16, 0))
    files = [small, broken, frame[0], small]
    rows = [row for batch in score_files(predictor, files, 4) for row in batch]
    assert [row["path"] for row in rows] == [str(file) for file in files]
    assert "broken.png" in rows[1]["error"]
    assert rows[1]["tiles"] is None
    assert [len(rows[i]["tiles"]) for i in (0, 2, 3)] == [1, 6, 1]
    assert rows[0]["score"] == rows[3]["score"] == pytest.approx(expected_scores(220)[0], abs=1e-6)


def test_the_tables_hold_the_tiles(predictor, frame, tmp_path):
    go_by(predictor, None, Tiles(16, 0))
    predict_files(predictor, [frame[0]], tmp_path / "p.csv")
    predict_files(predictor, [frame[0]], tmp_path / "p.jsonl")
    as_csv = pd.read_csv(tmp_path / "p.csv").iloc[0]
    as_json = json.loads((tmp_path / "p.jsonl").read_text())
    assert json.loads(as_csv["tiles"]) == as_json["tiles"]
    assert len(as_json["tiles"]) == 6
    assert (as_csv["tile_x"], as_json["tile_x"]) == (16, 16)


def test_a_table_begun_without_tiles_is_not_gone_on_with(predictor, frame, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: None)
    predict_files(predictor, [frame[0]], tmp_path / "p.csv")
    go_by(predictor, None, Tiles(16, 0))
    predict_files(predictor, [frame[0]], tmp_path / "p.csv")
    go_by(predictor, None, Tiles(16, 0.5))
    predict_files(predictor, [frame[0]], tmp_path / "p.csv")
    assert len(list(tmp_path.glob("p.csv.*.part"))) == 3


def test_a_scorer_goes_by_another_decision(predictor, frame):
    assert rule_lines(predictor) == []
    tiled = dataclasses.replace(DECISION, tiles=Tiles(16, 0))
    go_by(predictor, tiled, None)
    assert (predictor.threshold, predictor.tiles) == (0.3, Tiles(16, 0))
    assert rule_lines(predictor) == []
    assert scored(predictor, frame[0])["probability"] == pytest.approx(expected_scores(200)[0])
    go_by(predictor, None, Tiles(16, 0.5))
    (line,) = rule_lines(predictor)
    assert "the threshold 0.3 was chosen on tiles of 16 pixels (overlap 0, the highest)" in line


def test_a_threshold_of_whole_images_is_said(predictor):
    go_by(predictor, DECISION, None)
    assert rule_lines(predictor) == []
    go_by(predictor, None, Tiles(16))
    assert "was chosen on whole images" in rule_lines(predictor)[0]


def test_a_decision_about_another_class_is_refused(predictor):
    with pytest.raises(UserError, match="about 'crack', the networks about 'defect'"):
        go_by(predictor, dataclasses.replace(DECISION, positive="crack"), None)


def test_a_decision_of_another_run_is_refused(predictor):
    predictor.members = "mine"
    go_by(predictor, dataclasses.replace(DECISION, members="mine"), None)
    go_by(predictor, DECISION, None)
    with pytest.raises(UserError, match="for the members of another run"):
        go_by(predictor, dataclasses.replace(DECISION, members="theirs"), None)


def test_thousands_of_tiles_fit_a_table(predictor, tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    assert cv2.imwrite(str(path), np.zeros((1024, 1024), np.uint8))
    go_by(predictor, None, Tiles(16))
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: None)
    for _ in range(2):
        summary = predict_files(predictor, [path], tmp_path / "p.csv")
    assert summary.kept == 1
    (part,) = tmp_path.glob("p.csv.*.part")
    assert len(part.read_text()) > 2**17


def test_too_many_tiles_are_one_line(predictor, tmp_path):
    path = tmp_path / "large.png"
    assert cv2.imwrite(str(path), np.zeros((512, 512), np.uint8))
    go_by(predictor, None, Tiles(16, 0.99))
    assert "would give more than 100000 tiles" in scored(predictor, path)["error"]


def test_a_changed_file_of_several_pages_is_scored_anew(predictor, tmp_path):
    path, output = tmp_path / "stack.tif", tmp_path / "p.csv"
    assert cv2.imwritemulti(str(path), [np.full((8, 8), grey, np.uint8) for grey in (10, 240)])
    files = [Path(f"{path}#1"), Path(f"{path}#2"), tmp_path / "missing.png"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: None)
        predict_files(predictor, files, output)
    assert cv2.imwritemulti(str(path), [np.full((8, 8), grey, np.uint8) for grey in (240, 10)])
    os.utime(path, (time.time() + 9, time.time() + 9))
    assert predict_files(predictor, files, output).kept == 0
    assert pd.read_csv(output)["predicted"].iloc[:2].tolist() == ["defect", "normal"]


def test_more_classes_have_no_tiles(predictor):
    predictor.bundle.positive = None
    with pytest.raises(UserError, match="for two classes"):
        go_by(predictor, None, Tiles(16))
    go_by(predictor, None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tile_overlap=0.5"], "--tile_overlap has no effect without --tile_size"),
        (["--tile_size=32", "--tile_top_k=2"], "--tile_top_k has no effect without --tile_pool top_k"),
        (["--tile_size=15"], "tile size is 15; it must be from 16 to 16384"),
        (["--tile_size=32", "--tile_overlap=1"], "tile overlap is 1.0; it must be 0 or more, below 1"),
        (["--tile_size=32", "--tile_pool=top_k", "--tile_top_k=0"], "tile top_k is 0"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(UserError, match=words):
        read_tiles(parsed(options))


def test_options():
    assert read_tiles(parsed([])) is None
    assert read_tiles(parsed(["--tile_size=32"])) == Tiles(32)
    options = ["--tile_size=32", "--tile_pool=top_k", "--tile_top_k=5", "--tile_overlap=0.5"]
    assert read_tiles(parsed(options)) == Tiles(32, 0.5, "top_k", 5)


def parsed(options):
    parser = OneLineParser()
    add_rule_options(parser)
    return parser.parse_args(options)


def test_a_decision_keeps_its_tiles_in_the_file(tmp_path):
    for decision in (DECISION, dataclasses.replace(DECISION, tiles=Tiles(64, 0.5, "top_k", 4))):
        decision.save(tmp_path / "decision.json")
        assert Decision.load(tmp_path / "decision.json") == decision
    values = decision.to_json()
    values["tiles"]["pool"] = "mean"
    with pytest.raises(ValueError, match="tile pool is mean; it must be max or top_k"):
        Decision.from_json(values)
    # As decisions were before there were tiles.
    del values["tiles"]
    assert Decision.from_json(values) == DECISION


def test_pages_that_arrive_together_have_rows_of_their_own(predictor, tmp_path):
    path = tmp_path / "stack.tif"
    pages = [np.full((8, 8), grey, np.uint8) for grey in (10, 240)]
    assert cv2.imwritemulti(str(path), pages)
    ((first, second),) = score_files(predictor, [path])
    assert [first["path"], second["path"]] == [f"{path}#1", f"{path}#2"]
    assert [first["predicted"], second["predicted"]] == ["normal", "defect"]
