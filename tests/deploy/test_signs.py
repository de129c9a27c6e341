"""Frames become a table of signs; what an interrupted start has looked at is kept."""

import json
import os
from dataclasses import dataclass, field
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.deploy.signs import as_coco, picture_name, predict
from tests.deploy.conftest import write_grey


@dataclass
class Grey:
    """A detector that sees a sign in every frame that is not black; its process dies after so many."""

    calls: int = 99
    identity: str = "grey"
    seen: list[int] = field(default_factory=list)
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            classes=("stop", "yield"),
            class_numbers=(14, 13),
            max_pixels=10_000,
            to_dict=lambda: {"classes": ["stop", "yield"]},
        )
    )

    def detect(self, image):
        if len(self.seen) == self.calls:
            raise KeyboardInterrupt
        self.seen.append(int(image.mean()))
        number = min(1, self.seen[-1] // 8)
        return SimpleNamespace(
            boxes=np.tile([1.0, 2.0, 5.0, 7.5], (number, 1)),
            classes=np.ones(number, int),
            scores=np.full(number, 0.75),
        )


@pytest.fixture
def footage(tmp_path):
    """A black frame, a broken one, a video of six frames, and two grey frames."""
    folder = tmp_path / "in"
    write_grey(folder / "a.png", 0)
    (folder / "b.png").write_bytes(b"no image")
    video = cv2.VideoWriter(str(folder / "c.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 32))
    for i in range(6):
        video.write(np.full((32, 32, 3), 40 * i, np.uint8))
    video.release()
    for name in ("d", "e"):
        write_grey(folder / f"{name}.png", 200)
    return folder


def run(detector, footage, output, every=1, pictures=None):
    return predict(detector, [str(footage)], output, every=every, pictures=pictures)


@pytest.mark.parametrize("ending", ["csv", "json"])
@pytest.mark.parametrize("calls", [0, 1, 4, 8])
def test_an_interrupted_start_is_gone_on_with(footage, tmp_path, ending, calls):
    output = tmp_path / f"out.{ending}"
    whole = run(Grey(), footage, tmp_path / f"whole.{ending}", pictures=tmp_path / "p")
    assert whole == {"frames": 9, "signs": 7, "errors": 1, "kept": 0}
    with pytest.raises(KeyboardInterrupt):
        run(Grey(calls=calls), footage, output, pictures=tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == calls
    again = Grey()
    done = run(again, footage, output, pictures=tmp_path / "pictures")
    assert len(again.seen) == 9 - calls
    assert done == whole | {"kept": calls + (calls > 0)}
    assert output.read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()
    for name in ("pictures", "p"):
        assert len(list((tmp_path / name).iterdir())) == 9
    assert not list(tmp_path.glob("*.part"))


def test_tables(footage, tmp_path):
    run(Grey(), footage, tmp_path / "out.csv", every=5)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert [path.rpartition("/")[2] for path in table["path"]] == ["b.png", "c.avi#6", "d.png", "e.png"]
    assert table.columns.tolist() == ["path", "error", "x1", "y1", "x2", "y2", "label", "score"]
    assert table.iloc[2, 2:].tolist() == ["1.0", "2.0", "5.0", "7.5", "yield", "0.75"]
    run(Grey(), footage, tmp_path / "out.json", every=5)
    coco = json.loads((tmp_path / "out.json").read_text())
    assert [image["file_name"][-7:] for image in coco["images"]][1:3] == ["c.avi#1", "c.avi#6"]
    assert [box["image_id"] for box in coco["annotations"]] == [3, 4, 5]
    assert coco["annotations"][0]["bbox"] == [1.0, 2.0, 4.0, 5.5]
    # Classes have the numbers of the data that were learnt from.
    assert coco["annotations"][0]["category_id"] == 13
    assert coco["categories"] == [{"id": 14, "name": "stop"}, {"id": 13, "name": "yield"}]
    assert as_coco([], ("stop", "yield"))["categories"][1] == {"id": 2, "name": "yield"}
    assert len(coco["errors"]) == 1


def test_a_picture_is_called_as_its_frame(footage, tmp_path):
    run(Grey(), footage, tmp_path / "out.csv", every=5, pictures=tmp_path / "p")
    assert sorted(file.name for file in (tmp_path / "p").iterdir()) == [
        "000001_a.jpg",
        "000002_c.avi_1.jpg",
        "000003_c.avi_6.jpg",
        "000004_d.jpg",
        "000005_e.jpg",
    ]
    assert picture_name(7, r"C:\x\a b?ü.PNG") == "000007_a_b_ü.jpg"
    assert len(picture_name(7, "a/" + 250 * "ü").encode()) < 250


@pytest.mark.parametrize("change", ["model", "every", "touched"])
def test_what_was_looked_at_otherwise_is_not_kept(footage, tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        run(Grey(calls=4), footage, tmp_path / "out.csv")
    if change == "touched":
        os.utime(footage / "c.avi", (2e9, 2e9))
    detector = Grey(identity="other" if change == "model" else "grey")
    assert run(detector, footage, tmp_path / "out.csv", every=1 + (change == "every"))["kept"] == 0


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_names_that_are_not_utf_8_are_rows(footage, tmp_path, ending):
    for name, new in (("d.png", b"\xb9.png"), ("c.avi", b"\xca.avi")):
        (footage / name).rename(footage / os.fsdecode(new))
    assert run(Grey(), footage, tmp_path / f"out.{ending}")["errors"] == 3
    text = (tmp_path / f"out.{ending}").read_text()
    assert text.count("has a name that is not UTF-8: rename it") == 2
    assert r"\udcca.avi" in text


def test_an_output_that_cannot_be_is_refused_before_anything_is_looked_at(footage, tmp_path):
    (tmp_path / "out.csv").mkdir()
    detector = Grey()
    for name, message in (("out.csv", "is a folder; name a file"), ("out.txt", "must end in .csv or")):
        with pytest.raises(UserError, match=message):
            run(detector, footage, tmp_path / name)
    assert detector.seen == []
