"""A list of files becomes a table: whatever is among them, and however often it is interrupted."""

import dataclasses
import os
import shutil
import struct
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.decision.probability import Proportion
from mindspore_dpus.deploy import OnnxPredictor, score_files
from mindspore_dpus.deploy.batch import predict_files
from mindspore_dpus.deploy.bundle import Bundle
from mindspore_dpus.deploy.growing import _already_done
from mindspore_dpus.deploy.scoring import columns
from tests.deploy.conftest import expected_scores, write_grey


@pytest.fixture(scope="session")
def predictor(model):
    return OnnxPredictor(model, threads=1)


@pytest.fixture
def greys(tmp_path):
    """Ten images, from black to white."""
    return [write_grey(tmp_path / "in" / f"{g:03d}.png", g) for g in range(0, 250, 25)]


def bomb(path, side):
    """A PNG of a few bytes that claims ``side * side`` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")):
        parts += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))]
    path.write_bytes(b"".join(parts))


def hostile_files(folder):
    """Files that nobody can score -> words of their error."""
    folder.mkdir()
    good = cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1].tobytes()
    files = {}

    def make(name, content, words):
        (folder / name).write_bytes(content)
        files[folder / name] = words

    make("empty.png", b"", "is empty")
    make("truncated.png", good[: len(good) // 2], "truncated")
    make("text.png", b"hello", "broken or not an image")
    make("line\nbreak\x1b[31m.png", b"hello", "broken or not an image")
    make("deep.tif", cv2.imencode(".tif", np.zeros((4, 4), np.uint16))[1].tobytes(), "images.bits")
    bomb(folder / "bomb.png", 60_000)
    files[folder / "bomb.png"] = "bomb.png"
    with open(folder / "giant.png", "wb") as file:
        file.truncate(10**11)
    files[folder / "giant.png"] = "broken or not an image"
    os.mkfifo(folder / "pipe.png")
    files[folder / "pipe.png"] = "is not a regular file"
    (folder / "folder.png").mkdir()
    files[folder / "folder.png"] = "directory"
    (folder / "loop.png").symlink_to("loop.png")
    files[folder / "loop.png"] = "cannot be read"
    files[folder / "missing.png"] = "does not exist"
    bytes_name = folder / os.fsdecode(b"\xff\xfe.png")
    bytes_name.write_bytes(b"x")
    files[bytes_name] = "not UTF-8"
    return files


def test_rows_hold_the_scores_of_the_graph(predictor, greys, tmp_path):
    summary = predict_files(predictor, greys, tmp_path / "out.csv", batch_size=4)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert table.columns.tolist() == columns(predictor)
    assert table["path"].tolist() == [str(file) for file in greys]
    expected = np.array([expected_scores(int(file.stem)) for file in greys])
    found = table[["score", "00:defect", "01:defect"]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert table["predicted"].tolist() == ["normal"] * 6 + ["defect"] * 4
    assert (summary.images, summary.look, summary.unreadable) == (10, 4, 0)
    assert {file.name for file in tmp_path.iterdir()} == {"in", "out.csv"}


def test_json_lines_hold_the_same(predictor, greys, tmp_path):
    predict_files(predictor, greys, tmp_path / "out.csv")
    predict_files(predictor, greys, tmp_path / "out.jsonl")
    csv = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(pd.read_json(tmp_path / "out.jsonl", lines=True), csv)


def test_no_file_stops_a_batch(predictor, greys, tmp_path):
    bad = hostile_files(tmp_path / "bad")
    mixed = [file for pair in zip(bad, greys * 2, strict=False) for file in pair]
    rows = [row for batch in score_files(predictor, mixed, 5) for row in batch]
    assert len(rows) == 2 * len(bad)
    for row, (file, words) in zip(rows[::2], bad.items(), strict=True):
        assert words in row["error"], file
        assert row["predicted"] is None
    for row, file in zip(rows[1::2], mixed[1::2], strict=True):
        assert row["error"] == ""
        assert row["score"] == pytest.approx(expected_scores(int(file.stem))[0], abs=1e-6)
    summary = predict_files(predictor, mixed, tmp_path / "out.csv")
    assert (summary.unreadable, summary.images) == (len(bad), 2 * len(bad))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 2 * len(bad)
    assert pd.read_csv(tmp_path / "out.csv")["path"].iloc[6].endswith(r"line\nbreak\x1b[31m.png")


@dataclass
class Dying:
    """A scorer whose process dies after so many calls."""

    inner: OnnxPredictor
    calls: int
    seen: list[int] = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def predict(self, images):
        if len(self.seen) == self.calls:
            raise KeyboardInterrupt
        self.seen.append(len(images))
        return self.inner.predict(images)


def test_an_interrupted_batch_goes_on_behind_its_last_row(predictor, greys, tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(Dying(predictor, 2), greys, output, batch_size=3)
    (part,) = tmp_path.glob("out.csv.*.part")
    assert len(part.read_text().splitlines()) == 7
    again = Dying(predictor, 9)
    summary = predict_files(again, greys, output, batch_size=3)
    assert again.seen == [3, 1]
    assert (summary.images, summary.kept, summary.look) == (10, 6, 4)
    assert "6 of them by an earlier start" in summary.lines(output)[0]
    predict_files(predictor, greys, tmp_path / "at_once.csv")
    assert output.read_bytes() == (tmp_path / "at_once.csv").read_bytes()
    assert not part.exists()


def test_a_file_that_changed_meanwhile_is_scored_anew(predictor, greys, tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(Dying(predictor, 2), greys, output, batch_size=3)
    write_grey(greys[0], 255)
    os.utime(greys[0], (2e9, 2e9))
    assert predict_files(predictor, greys, output).kept == 0
    assert pd.read_csv(output)["score"].iloc[0] == pytest.approx(expected_scores(255)[0], abs=1e-6)


@pytest.mark.parametrize(
    ("found", "expected", "result"),
    [
        ([], ["a"], (0, 0, 0)),
        (["a", "b"], ["a", "b", "c"], (2, 2, 0)),
        (["b", "a"], ["a", "b"], (0, 0, 0)),
        (["a", "c"], ["a", "b", "c"], (1, 1, 0)),
        (["a#1", "a#2", "b"], ["a", "b"], (2, 3, 0)),
        (["b", "a#1", "a#2"], ["b", "a", "c"], (1, 1, 2)),
        (["a#1.png"], ["a#1.png", "b"], (1, 1, 0)),
    ],
)
def test_which_files_have_all_their_rows(found, expected, result):
    assert _already_done(found, expected) == result


@dataclass
class Broken:
    """A scorer of three classes whose second image overflows."""

    spec: ImageSettings = field(default_factory=lambda: ImageSettings(size=8))
    classes: tuple = ("a", "b", "c")
    positive: int | None = None
    threshold: float = 0.5
    decision: None = None
    tiles: None = None
    models: tuple = ("fused",)
    identity: str = "broken"
    batch_size: int = 8

    def predict(self, images):
        outputs = np.tile(np.float32([0.2, 0.3, 0.5]), (len(images), 1))
        outputs[1] = np.nan
        return {"fused": outputs}


def test_outputs_that_are_no_numbers_never_pass(greys):
    (rows,) = score_files(Broken(), greys[:3])
    assert [row["predicted"] for row in rows] == ["c", None, "c"]
    assert rows[1]["error"] == "the networks' outputs are not numbers"
    assert "score" not in rows[0]


def test_a_score_at_the_threshold_is_positive(predictor, greys):
    (rows,) = score_files(predictor, [greys[3]], 1)
    at = Dying(predictor, 9)
    at.threshold = float(str(rows[0]["score"]))  # As a person reads it in the table.
    assert next(score_files(at, [greys[3]], 1))[0]["predicted"] == "defect"


def test_a_decision_calls_and_says_how_likely(model, greys, tmp_path):
    half = Proportion(5, 10, 0.2, 0.8)
    decision = Decision(
        "defect", "recall", 0.95, None, None, 0.01, 0.95, half, half, 0.2, 0.7, None,
        0.5, 0.5, 0.01, "none", None, None, None,
    )  # fmt: skip
    decided = tmp_path / "decided.onnx"
    shutil.copy(model, decided)
    dataclasses.replace(Bundle.load(model), threshold=0.01, decision=decision).save(decided)
    predictor = OnnxPredictor(decided)
    assert predictor.decision == decision
    (rows,) = score_files(predictor, greys, 99)
    score = np.array([row["score"] for row in rows], float)
    assert [row["predicted"] == "defect" for row in rows] == (score >= 0.01).tolist()
    assert ((score >= 0.01) & (score < 0.5)).any()
    # A defect rate of 1 %: odds of 1 to 99, where the networks learnt from 1 to 1.
    expected = score / (score + 99 * (1 - score))
    np.testing.assert_allclose([row["probability"] for row in rows], expected, rtol=1e-9)
    assert columns(predictor)[3:5] == ["score", "probability"]


def test_a_folder_as_output_is_refused(predictor, greys, tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        predict_files(predictor, greys, tmp_path)
