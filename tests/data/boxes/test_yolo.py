"""YOLO text: shares of the frame, where the images are, lines that are none."""

import os

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.registry import read_boxes, write_boxes
from tests.data.boxes.helpers import annotations, assert_same, write_images
from tests.support import logged


@pytest.fixture
def labels(tmp_path):
    """images/train/{a,b}.png of 40 x 30 pixels, labels/train/a.txt, labels/classes.txt."""
    write_images(tmp_path / "images", ["train/a.png", "train/b.png"])
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "classes.txt").write_text("stop\nbend\n\n")
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.25 0.2\n\n0 0.1 0.1 .2 .2 0.75\n")
    return tmp_path / "labels"


def test_shares_become_pixels_and_images_are_found_beside(labels):
    for folder, prefix in ((labels, "train/"), (labels / "train", "")):
        found = read_boxes(folder)
        assert found.boxes[EDGES].to_numpy().tolist() == [[15, 12, 25, 18], [0, 0, 8, 6]]
        assert list(found.boxes["label"]) == ["bend", "stop"]
        assert list(found.frames["path"]) == [f"{prefix}a.png", f"{prefix}b.png"]
        assert found.classes == {"stop": 0, "bend": 1}
        assert found.boxes["score"].isna().tolist() == [True, False]


def test_what_is_written_is_in_shares(tmp_path):
    write_boxes(annotations(), tmp_path / "labels", "yolo")
    assert (
        tmp_path / "labels" / "a.txt"
    ).read_text() == "0 0.287500000 0.216666667 0.425000000 0.166666667\n"
    assert (tmp_path / "labels" / "empty.txt").read_text() == ""
    assert (tmp_path / "labels" / "classes.txt").read_text() == "stop\ngive way\nno trucks\n"


def test_whole_pixels_of_large_frames_come_back(tmp_path):
    rows = [
        ("a.png", float(i), float(i + 1), float(2 * i + 3), float(i + 8), "stop")
        for i in range(0, 500, 7)
    ]
    found = annotations(rows, ["a.png"], size=(1361, 811))
    write_boxes(found, tmp_path / "labels", "yolo")
    write_images(tmp_path / "images", ["a.png"], (1361, 811))
    assert_same(read_boxes(tmp_path / "labels"), found)


def test_scores_come_back_exactly(tmp_path):
    found = annotations()
    found.boxes["score"] = [0.1, 1 / 3, 1e-12]
    write_boxes(found, tmp_path / "labels", "yolo")
    write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"])
    assert_same(read_boxes(tmp_path / "labels"), found)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("2 0.5 0.5 0.1 0.1", "the class 2 is unknown; known are 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "the class -1 is unknown"),
        ("0 20 15 8 6", "x, y, width and height must be shares of the frame, not pixels"),
        ("0 0.5 0.5 0.1", "'0 0.5 0.5 0.1' is not class x y width height"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", "'0 0.1 0.1 0.2 0.1 0.2 0.2' is not class x y width height"),
        ("stop 0.5 0.5 0.1 0.1", "'stop' is not a number"),
        ("0 0.95 0.5 0.2 0.1", "the box reaches 2 pixels out of its frame of 40 x 30 pixels"),
        ("0 0.5 0.5 0 0.1", "the box is empty"),
        ("0 0.5 0.5 -0.1 0.1", "the box is inverted"),
    ],
)
def test_a_bad_line_is_a_problem_of_its_frame(labels, line, error):
    file = labels / "train" / "b.txt"
    file.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    found = read_boxes(labels, "yolo", strict=False)
    assert len(found.boxes) == 3
    assert found.problems["path"].tolist() == ["train/b.png"]
    assert found.problems["place"][0] == f"{file} line 2"
    assert found.problems["error"][0].startswith(error)


def test_a_file_that_belongs_to_no_image_or_is_no_text_is_a_problem(labels):
    (labels / "train" / "c.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (labels / "train" / "b.txt").write_bytes(b"\xff\xfe")
    found = read_boxes(labels, "yolo", strict=False)
    assert found.problems["path"].tolist() == ["train/b.png", "train/c"]
    assert "b.txt is not a text file" in found.problems["error"][0]
    assert found.problems["error"][1] == "the frame train/c.txt is not in the folder of the frames"


def test_an_image_without_a_size_is_a_problem(labels):
    (labels.parent / "images" / "train" / "a.png").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"a.txt: the size of train/a.png cannot be read"):
        read_boxes(labels)


def test_missing_images_or_names_are_said(labels):
    (labels / "classes.txt").rename(labels / "classes.csv")
    with pytest.raises(UserError, match=r"there is no classes.txt with the names of the classes"):
        read_boxes(labels)
    assert read_boxes(labels, classes=["x", "y"]).boxes["label"].tolist() == ["y", "x"]
    (labels / "classes.txt").write_text("stop\nstop\n")
    with pytest.raises(
        UserError, match=r"classes.txt must have a class a line, none empty and none twice"
    ):
        read_boxes(labels)
    (labels.parent / "images").rename(labels.parent / "frames")
    with pytest.raises(UserError, match="no images lie in .*images or .*labels; name their folder"):
        read_boxes(labels)
    with pytest.raises(UserError, match="is not a folder; YOLO has a text file a frame"):
        read_boxes(labels / "classes.txt", "yolo")


def test_what_yolo_cannot_hold_is_refused(tmp_path):
    with pytest.raises(UserError, match="the size of a.png is not known, but YOLO's shares need it"):
        write_boxes(annotations(size=(None, None)), tmp_path, "yolo")
    with pytest.raises(UserError, match="a.jpg and another frame would have the same text file"):
        write_boxes(annotations([], ["a.png", "a.jpg"]), tmp_path, "yolo")
    with pytest.raises(UserError, match="cannot stand in a line of classes.txt"):
        write_boxes(annotations([], classes={"a\nb": 0}), tmp_path, "yolo")


def test_files_of_any_capitals_and_in_linked_folders_are_read(labels):
    elsewhere = labels.parent / "elsewhere"
    elsewhere.mkdir()
    write_images(labels.parent / "images", ["more/c.png", "more/d.png"])
    (labels / "train" / "b.TXT").write_text("0 0.5 0.5 0.25 0.2\n")
    (elsewhere / "c.txt").write_text("0 0.5 0.5 0.25 0.2\n")
    (labels / "more").symlink_to(elsewhere)
    (elsewhere / "d.txt").symlink_to("/not/mounted.txt")
    (labels / "classes.txt").rename(labels / "Classes.TXT")
    found = read_boxes(labels, strict=False)
    assert found.boxes["path"].tolist() == ["more/c.png", "train/a.png", "train/a.png", "train/b.png"]
    assert found.problems["path"].tolist() == ["more/d.png"]
    assert "d.txt" in found.problems["error"][0]


def test_two_files_of_a_frame_are_a_problem(labels):
    (labels / "train" / "a.TXT").write_text("0 0.5 0.5 0.25 0.2\n")
    found = read_boxes(labels, strict=False)
    assert found.problems["path"].tolist() == ["train/a.png"]
    assert found.problems["error"][0] == f"{labels}/train/a.TXT is also the file of train/a.png"


def test_what_is_passed_over_among_the_frames_is_said(labels):
    (labels.parent / "images" / "train" / "c.webp").write_bytes(b"x")
    lines = []
    with logged(lines.append):
        read_boxes(labels)
    assert lines == [f"{labels.parent}/images: passed over: 1 .webp"]


def test_classes_that_look_alike_are_refused(labels):
    (labels / "classes.txt").write_text("stop\nStop\n")
    with pytest.raises(UserError, match="the classes .* differ in capitals or spaces only"):
        read_boxes(labels)


def test_pipes_among_images_and_labels_are_not_waited_for(labels):
    os.mkfifo(labels.parent / "images" / "train" / "c.png")
    os.mkfifo(labels / "train" / "b.txt")
    found = read_boxes(labels, strict=False)
    assert list(found.frames["path"]) == ["train/a.png", "train/b.png", "train/c.png"]
    file = labels / "train" / "b.txt"
    assert found.problems.to_numpy().tolist() == [
        ["train/b.png", str(file), f"{file} cannot be read: it is not a regular file"]
    ]
    assert len(found.boxes) == 2


@pytest.mark.parametrize(("images", "folder"), [(".", "labels"), (".", "."), ("images", "labels")])
def test_the_folder_of_the_frames_may_hold_both_images_and_labels(labels, images, folder):
    root = labels.parent
    (labels / "classes.txt").rename(root / "classes.txt")
    found = read_boxes(root / folder, images=root / images, strict=False)
    assert found.problems.empty
    (path,) = set(found.boxes["path"])
    assert (root / images / path).samefile(root / "images" / "train" / "a.png")
    assert len(found.frames) == 2


def test_no_file_that_finds_an_image_is_one_line(labels):
    other = write_images(labels.parent / "other", ["x/1.png", "x/2.png"])
    with pytest.raises(
        UserError,
        match=r"labels: none of the 1 files finds its image: a.txt belongs to no image such as x/1.png",
    ):
        read_boxes(labels, images=other, strict=False)
