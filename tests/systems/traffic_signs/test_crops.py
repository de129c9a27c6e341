"""Crops of single signs beside the frames: which are used, under what names, and what is refused."""

import dataclasses
import logging

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import COLUMNS, PROBLEM_COLUMNS, Annotations
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.regions import Regions
from mindspore_dpus.systems.traffic_signs.crops import Crops
from mindspore_dpus.systems.traffic_signs.run_data import RunFrames

FLAG = ("seen",)


@pytest.fixture
def folder(tmp_path):
    """Two tables of crops beside the folder of the frames."""
    cut, tracks = tmp_path / "cut", tmp_path / "tracks"
    for place in (cut, tracks):
        place.mkdir()
        for i in range(4):
            image = np.full((8, 10, 3), 50 * i, np.uint8)
            image[2:6, 3:9] = 255 - 50 * i
            cv2.imwrite(str(place / f"{i}.png"), image)
    (cut / "manifest.csv").write_text(
        "path,label,split,group\n"
        "0.png,0,train,00001\n"  # cut out of a frame of the run
        "1.png,give way,train,00007\n"
        "2.png,00014,,\n"
        "3.png,14,test,00008\n"
    )
    (tracks / "manifest.csv").write_text(
        "path,label,split,group,roi_x1,roi_y1,roi_x2,roi_y2,seen\n"
        "0.png,14,train,14_0,3,2,9,6,0\n"
        "1.png,14,train,14_1,3,2,9,6,1\n"
    )
    (tmp_path / "frames").mkdir()
    return tmp_path


def crops(folder, names=("cut", "tracks"), leave_out=FLAG):
    files = tuple(str(folder / name / "manifest.csv") for name in names)
    return Crops(folder / "frames", files, leave_out)


@pytest.fixture
def frames():
    table = pd.DataFrame({"path": ["images/00001.png"], "width": [9], "height": [9], "split": ["val"]})
    nothing = pd.DataFrame(columns=COLUMNS), table, pd.DataFrame(columns=PROBLEM_COLUMNS)
    return RunFrames(Annotations(*nothing, classes={"give way": 0, "stop": 14}))


def test_training_rows(folder, frames, caplog):
    caplog.set_level(logging.INFO)
    table = crops(folder).training_rows(frames)
    assert table.values.tolist() == [
        ["../cut/1.png", "give way", "train", "00007"],
        ["../cut/2.png", "stop", "train", "../cut/2.png"],
        ["../tracks/0.png#xywh=3,2,6,4", "stop", "train", "14_0"],
    ]
    assert "2 of 4 crops are used (left out: 1 of other splits, 0 marked by seen, 1 of" in caplog.text
    assert "1 of 2 crops are used (left out: 0 of other splits, 1 marked by seen, 0 of" in caplog.text


def test_marked_rows_are_used_where_no_column_is_named(folder, frames):
    assert len(crops(folder, leave_out=()).training_rows(frames)) == 4


def test_the_reader_cuts_the_sign_out(folder, frames):
    path = crops(folder, ("tracks",)).training_rows(frames)["path"][0]
    region = Regions(ImageSettings(size=4, channels=3)).load(folder / "frames" / path)
    assert (region == 255).all()


def test_identity_follows_tables_and_files(folder):
    known = crops(folder)
    first = known.identity(folder / "hashes.csv")
    assert known.identity(folder / "hashes.csv") == first
    cv2.imwrite(str(folder / "cut" / "1.png"), np.zeros((9, 9, 3), np.uint8))
    second = known.identity(folder / "hashes.csv")
    assert second != first
    file = folder / "tracks" / "manifest.csv"
    file.write_text(file.read_text().replace("1.png,14", "1.png,0"))
    assert known.identity(folder / "hashes.csv") != second


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("give way", "yield", r"regions.crops: .*manifest.csv has the label 'yield', which is neither"),
        ("00014", "15", "has the label '15'"),
        ("1.png", "9.png", r"regions.crops: .*manifest.csv names .*9.png, which is not there"),
        ("path,", "file,", "has no column 'path'"),
    ],
)
def test_refusals(folder, frames, old, new, error):
    file = folder / "cut" / "manifest.csv"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=error):
        crops(folder).training_rows(frames)


def test_a_number_means_nothing_where_the_frames_classes_have_names_only(folder, frames):
    frames.annotations = dataclasses.replace(frames.annotations, numbered=False)
    with pytest.raises(UserError, match=r"the label '00014', and the classes .* give data.classes"):
        crops(folder, ("cut",)).training_rows(frames)


def test_a_corner_that_is_no_number(folder, frames):
    file = folder / "tracks" / "manifest.csv"
    file.write_text(file.read_text().replace("14_0,3", "14_0,three"))
    with pytest.raises(UserError, match="roi_x1, roi_y1, roi_x2, roi_y2 must be numbers"):
        crops(folder).training_rows(frames)


def test_a_table_that_is_not_there(folder, frames):
    with pytest.raises(UserError, match="none.manifest.csv"):
        crops(folder, ("none",)).training_rows(frames)
