"""gt.txt: inclusive edges, classes by number, lines that are none."""

import re

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.registry import read_boxes, write_boxes
from tests.data.boxes.helpers import annotations


def test_a_box_is_one_pixel_wider_than_the_difference_of_its_edges(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_bytes(b"\xef\xbb\xbf00001.ppm;983;388;1024;432;40\r\n00003.ppm;5;6;5;6;4\r\n")
    found = read_boxes(path)
    assert found.boxes[EDGES].to_numpy().tolist() == [[983, 388, 1025, 433], [5, 6, 6, 7]]
    assert list(found.boxes["label"]) == ["40", "4"]
    assert list(found.classes.items()) == [("4", 4), ("40", 40)]
    write_boxes(found, path, "gtsdb")
    assert path.read_text() == "00001.ppm;983;388;1024;432;40\n00003.ppm;5;6;5;6;4\n"


def test_fractions_are_rounded_on_writing(tmp_path):
    rows = [("a.png", 1.4, 2.6, 5.4, 7.6, "stop")]
    write_boxes(annotations(rows), tmp_path / "gt.txt", "gtsdb")
    assert (tmp_path / "gt.txt").read_text() == "a.png;1;3;4;7;0\n"


def test_a_class_beyond_the_names_is_unknown(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("a.ppm;1;2;3;4;1\na.ppm;1;2;3;4;2\n")
    found = read_boxes(path, classes=["stop", "bend"], strict=False)
    assert list(found.boxes["label"]) == ["bend"]
    assert list(found.problems["error"]) == ["the class 2 is unknown; known are 0 to 1"]
    assert found.classes == {"stop": 0, "bend": 1}


@pytest.mark.parametrize(
    "line", ["a.ppm;1;2;3;4", "a.ppm;1;2;3;4;x", "a.ppm;1.5;2;3;4;0", "0 .5 .5 .1 .1"]
)
def test_a_line_of_another_kind_is_named(tmp_path, line):
    path = tmp_path / "gt.txt"
    path.write_text(f"a.ppm;1;2;3;4;1\n{line}\nb.ppm;1;2;3;4;1\n")
    message = f"{path} line 2: {line!r} is not file;x1;y1;x2;y2;class"
    with pytest.raises(UserError, match=re.escape(message)):
        read_boxes(path, "gtsdb")
    found = read_boxes(path, "gtsdb", strict=False)
    assert (found.problems["place"] + ": " + found.problems["error"]).tolist() == [message]
    # Where the line names a frame, that is left out.
    assert found.sound().frames["path"].tolist() == (["b.ppm"] if ";" in line else ["a.ppm", "b.ppm"])
    # No line at all is of the format: the file is another.
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(UserError, match=re.escape(message.replace("line 2", "line 1"))):
        read_boxes(path, "gtsdb", strict=False)


def test_a_name_with_a_semicolon_is_refused(tmp_path):
    found = annotations([("a;b.png", 1.0, 2.0, 3.0, 4.0, "stop")], ["a;b.png"])
    with pytest.raises(UserError, match="the name 'a;b.png' cannot stand in this format"):
        write_boxes(found, tmp_path / "gt.txt", "gtsdb")
