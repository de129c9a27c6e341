"""boxes.csv, frames.csv and classes.csv; gt.txt says the same of the real frames."""

from pathlib import Path

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.manifest import beside
from mindspore_dpus.data.boxes.registry import read_boxes, write_boxes
from tests.data.boxes.helpers import annotations, assert_same
from tests.support import logged

REAL = Path(__file__).parents[4] / "shared" / "data" / "gtsdb"
HEADER = "path,x1,y1,x2,y2,class_id,class_name\n"


def test_edges_are_inclusive_in_the_file_and_files_lie_beside(tmp_path):
    write_boxes(annotations(), tmp_path / "boxes.csv", "boxes")
    assert (tmp_path / "boxes.csv").read_text() == (
        HEADER + "b.png,0,0,39,29,1,give way\na.png,3,4,19,8,0,stop\nb.png,7,8,7,9,0,stop\n"
    )
    assert (tmp_path / "frames.csv").read_text().startswith("path,width,height\na.png,40,30\n")
    assert (tmp_path / "classes.csv").read_text() == (
        "class_id,class_name\n0,stop\n1,give way\n2,no trucks\n"
    )
    assert beside(Path("d/test_boxes.csv"), "frames") == Path("d/test_frames.csv")
    assert beside(Path("d/found.csv"), "frames") == Path("d/found_frames.csv")


def test_scores_and_further_columns_are_kept(tmp_path):
    found = annotations()
    found.boxes["score"] = [0.25, 1.0, 1e-9]
    found.boxes["category"] = ["x", "y", ""]
    found.frames["split"] = ["train", "val", "test"]
    write_boxes(found, tmp_path / "boxes.csv", "boxes")
    assert_same(read_boxes(tmp_path / "boxes.csv"), found)


def test_boxes_alone_are_enough(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("path,x1,y1,x2,y2,class_name\na.png,1,2,3,4,stop\nb.png,1,2,3,4,bend\n")
    found = read_boxes(path)
    assert found.classes == {"bend": 0, "stop": 1}
    assert list(found.frames["path"]) == ["a.png", "b.png"]
    path.write_text(HEADER + "a.png,1,2,3,4,14,stop\nb.png,1,2,3,4,3,bend\n")
    assert read_boxes(path).classes == {"bend": 3, "stop": 14}
    path.write_text("path,x1,y1,x2,y2,class_id\na.png,1,2,3,4,1\n")
    assert list(read_boxes(path, classes=["stop", "bend"]).boxes["label"]) == ["bend"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,1,2,three,4,0,stop", "boxes.csv line 2: 'three' is not a number"),
        ("a.png,1,2,nan,4,0,stop", "boxes.csv line 2: 'nan' is not a finite number"),
        ("a.png,1,2,3,4,0.5,stop", "boxes.csv line 2: '0.5' is not a whole number"),
        ("a.png,1,2,3,4,0", "boxes.csv line 2 has 6 cells; the header has 7"),
        ("a.png,1,2,3,4,7,", "boxes.csv line 2: the class 7 is unknown: classes.csv does not name it"),
        ("a.png,1,2,3,4,,", "boxes.csv line 2: the box has no class"),
        ("a.png,1,2,3,4,0,stop\nb.png,1,2,3,4,0,bend", "line 3: the class 0 is 'stop' elsewhere"),
        ("a.png,1,2,3,4,0,stop\nb.png,1,2,3,4,1,stop", "line 3: the class 'stop' has another number"),
    ],
)
def test_bad_rows_are_named(tmp_path, line, message):
    (tmp_path / "boxes.csv").write_text(f"{HEADER}{line}\n")
    with pytest.raises(UserError, match=message):
        read_boxes(tmp_path / "boxes.csv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("boxes.csv", "path,x1,y1,x2\n", "boxes.csv has no column 'y2'"),
        ("boxes.csv", "path,x1,y1,x2,y2,x1\n", "boxes.csv has more than one column 'x1'"),
        ("boxes.csv", HEADER + '"a', "boxes.csv is not a CSV table"),
        ("classes.csv", "class_id,class_name\n0,stop\n0,bend\n", "classes.csv line 3: .* named twice"),
        ("classes.csv", "class_id,class_name\none,stop\n", "classes.csv line 2: 'one' is not a number"),
        ("frames.csv", "path,width,height\na.png,wide,2\n", "frames.csv line 2: 'wide' is not a number"),
        ("frames.csv", "path,width,height\na.png,-3,2\n", "line 2: '-3' is no width or height"),
        ("frames.csv", "path,width,height\na.png,1e30,2\n", "line 2: '1e30' is not a whole number"),
        ("frames.csv", "path,width,height\n,3,2\n", "frames.csv line 2 has an empty path"),
        ("frames.csv", "path\na.png\na.png\n", "boxes.csv: the frame a.png is listed more than once"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, message):
    write_boxes(annotations(), tmp_path / "boxes.csv", "boxes")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_boxes(tmp_path / "boxes.csv", "boxes")


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_as_other_programs_write_it(tmp_path, mark, encoding):
    write_boxes(annotations(), tmp_path / "boxes.csv", "boxes")
    expected = read_boxes(tmp_path / "boxes.csv")
    for name in ("boxes.csv", "frames.csv", "classes.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_bytes(text.replace(",", mark).encode(encoding))
    # What format it is, is seen in spite of them, too.
    assert_same(read_boxes(tmp_path / "boxes.csv"), expected)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real frames of ../shared are not here")
def test_the_real_frames_say_the_same_in_both_formats():
    found = read_boxes(REAL / "boxes.csv")
    assert (len(found.boxes), len(found.frames), len(found.classes)) == (879, 600, 43)
    assert found.frames["split"].value_counts().to_dict() == {"train": 300, "test": 300}
    assert found.boxes["split"].value_counts().to_dict() == {"train": 518, "test": 361}
    other = read_boxes(
        REAL / "gt.txt", classes=list(found.classes), images=REAL / "images", strict=False
    )
    keys = ["path", *EDGES, "label"]
    expected = found.boxes[keys].assign(path=found.boxes["path"].str.removeprefix("images/"))
    pd.testing.assert_frame_equal(
        *(t[keys].sort_values(keys).reset_index(drop=True) for t in (other.boxes, expected))
    )
    # The other half of the official training frames is not here.
    assert set(other.problems["error"].str.replace(r"\d{5}", "N", regex=True)) <= {
        "the frame N.ppm is not in the folder of the frames"
    }
    assert len(other.frames) == 600


def test_spaces_around_classes_are_taken_away_and_said(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(HEADER + "a.png,1,1,5,5,3,stop\na.png,1,1,6,5,3,stop \n")
    lines = []
    with logged(lines.append):
        found = read_boxes(path)
    assert found.boxes["label"].tolist() == ["stop", "stop"]
    assert found.classes == {"stop": 3}
    assert lines == [f"{path}: spaces around 1 classes were taken away, such as 'stop '"]
    (tmp_path / "classes.csv").write_text("class_id,class_name\n3, stop\u200b\n")
    assert read_boxes(path).classes == {"stop": 3}


@pytest.mark.parametrize("other", ["Stop", "st\u00adop", "STOP "])
def test_classes_that_look_alike_are_refused(tmp_path, other):
    path = tmp_path / "boxes.csv"
    path.write_text(f"path,x1,y1,x2,y2,class_name\na.png,1,1,5,5,stop\na.png,1,1,6,5,{other}\n")
    for strict in (True, False):
        with pytest.raises(UserError, match=r"boxes\.csv: the classes 'stop' and .* give them one name"):
            read_boxes(path, strict=strict)
    # A class that nobody has a box of, too.
    path.write_text("path,x1,y1,x2,y2,class_name\na.png,1,1,5,5,stop\n")
    (tmp_path / "classes.csv").write_text(f"class_id,class_name\n0,stop\n1,{other}\n")
    with pytest.raises(UserError, match="give them one name"):
        read_boxes(path)


def test_no_column_takes_the_place_of_the_class(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("path,x1,y1,x2,y2,class_name,label,error\na.png,1,1,5,5,stop,bend,none\n")
    assert read_boxes(path).boxes["label"].tolist() == ["stop"]


@pytest.mark.parametrize("name", ["frames.csv", "classes.csv"])
def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path, name):
    write_boxes(annotations(), tmp_path / "boxes.csv", "boxes")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/not/mounted.csv")
    with pytest.raises(UserError, match=f"{name} does not exist"):
        read_boxes(tmp_path / "boxes.csv")
