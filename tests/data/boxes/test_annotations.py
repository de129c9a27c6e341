"""Sound boxes, problems, frames without boxes."""

import math

import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import (
    COLUMNS,
    EDGES,
    Annotations,
    Found,
    check,
    check_annotations,
)
from tests.data.boxes.helpers import annotations

FRAME = {"path": "a.png", "width": 40, "height": 30}


def row(x1=1.0, y1=2.0, x2=5.0, y2=6.0, label="stop", path="a.png", **more):
    return {"path": path, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "label": label} | {
        "place": "gt.txt line 7",
        **more,
    }


def checked(*rows, frames=(FRAME,), listed=None, classes=None, **options):
    options = {"strict": False} | options
    return check(Found(list(rows), [dict(f) for f in frames], listed), classes, **options)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (row(x1=5.0, x2=5.0), "the box is empty: x from 5 to 5, y from 2 to 6"),
        (row(y1=9.0), "the box is inverted, its right or bottom edge before the other: "),
        (row(x2=41.0), "the box reaches 1 pixels out of its frame of 40 x 30 pixels: x from 1 to 41"),
        (row(y1=-0.75), "the box reaches 0.75 pixels out of its frame of 40 x 30 pixels"),
        (row(x1=-0.4, x2=-0.1), "the box lies outside its frame"),
        (row(x2=math.nan), "the box is not made of finite numbers"),
        (row(label="yield"), "the class 'yield' is unknown; known are 'stop', 'give way'"),
        (row(label=""), "the box has no class"),
        (row(path="b.png"), "the frame b.png is not among the frames"),
        (row(path="../a.png"), "names ../a.png, which leads out of the folder of the frames"),
        (row(path="/a.png"), "names /a.png, which leads out of the folder of the frames"),
        (row(path=""), "names no frame"),
        ({"path": "a.png", "place": "gt.txt line 7", "error": "torn"}, "torn"),
    ],
)
def test_what_is_wrong_with_a_box_is_a_problem_or_when_strict_the_end(bad, error):
    listed = {"stop": 0, "give way": 1}
    found = checked(row(), bad, row(x1=2.0), listed=listed)
    assert list(found.boxes["x1"]) == [1.0, 2.0]
    assert list(found.problems["place"]) == ["gt.txt line 7"]
    assert found.problems["error"][0].startswith(error)
    assert found.problems["path"][0] == bad["path"]
    with pytest.raises(UserError) as caught:
        checked(row(), bad, listed=listed, strict=True)
    assert str(caught.value).startswith(f"gt.txt line 7: {error}")


def test_what_rounding_moves_out_of_a_frame_is_cut_off():
    found = checked(row(x1=-0.5, y1=-0.25, x2=40.5, y2=30.25))
    assert found.boxes[EDGES].to_numpy().tolist() == [[0, 0, 40, 30]]
    found = checked(row(x1=-3.0, x2=50.0), tolerance=math.inf)
    assert found.boxes[EDGES].to_numpy().tolist() == [[0, 2, 40, 6]]
    assert len(checked(row(x1=-0.5), tolerance=0.4).problems) == 1


def test_where_no_size_is_known_only_the_left_and_top_edges_count():
    frames = [{"path": "a.png", "width": None, "height": 0}]
    found = checked(row(x2=1e6, y2=1e6), row(x1=-2.0), frames=frames)
    assert found.frames["width"].isna().all()
    assert found.frames["height"].isna().all()
    assert found.boxes[EDGES].to_numpy().tolist() == [[1, 2, 1e6, 1e6]]
    assert list(found.problems["error"]) == [
        "the box reaches 2 pixels out of its frame: x from -2 to 5, y from 2 to 6"
    ]


def test_a_frame_without_boxes_is_a_frame():
    found = checked(listed={"stop": 0})
    assert list(found.boxes) == COLUMNS
    assert found.boxes.empty
    assert found.boxes[EDGES].dtypes.eq(float).all()
    assert list(found.frames["path"]) == ["a.png"]
    assert found.frames["width"].dtype == "Int64"
    assert found.classes == {"stop": 0}
    assert checked(frames=()).frames.empty


def test_a_frame_listed_twice_is_refused():
    with pytest.raises(UserError, match="the frame a.png is listed more than once"):
        checked(frames=(FRAME, FRAME))


def test_a_frame_that_leads_away_is_none():
    frames = [FRAME, FRAME | {"path": "../b.png"}, FRAME | {"path": "/c.png"}]
    found = checked(row(), row(path="/c.png"), frames=frames)
    assert list(found.frames["path"]) == ["a.png"]
    assert list(found.problems["path"]) == ["/c.png", "../b.png"]
    with pytest.raises(UserError, match=r"frame: names ../b.png, which leads out of the folder"):
        checked(row(), frames=frames[:2], strict=True)


def test_classes_are_the_files_the_callers_or_those_of_the_boxes():
    rows = row(label="stop"), row(label="bend")
    assert checked(*rows).classes == {"bend": 0, "stop": 1}
    assert checked(*rows, listed={"stop": 14, "bend": 21}).classes == {"stop": 14, "bend": 21}
    assert checked(*rows, classes={"stop": 7, "bend": 1}).classes == {"stop": 7, "bend": 1}
    found = checked(*rows, listed={"bend": 21, "stop": 14}, classes={"stop": 0})
    assert found.classes == {"stop": 14}
    assert list(found.problems["error"]) == ["the class 'bend' is unknown; known are 'stop'"]
    many = {f"c{i}": i for i in range(20)}
    assert checked(row(), classes=many).problems["error"][0].endswith("'c7' and 12 more")


def test_sound_frames_are_those_without_a_problem():
    frames = [FRAME, FRAME | {"path": "b.png"}, FRAME | {"path": "c.png"}]
    found = checked(row(), row(path="b.png"), row(path="b.png", x2=99.0), frames=frames)
    assert list(found.boxes["path"]) == ["a.png", "b.png"]
    sound = found.sound()
    assert list(sound.boxes["path"]) == ["a.png"]
    assert list(sound.frames["path"]) == ["a.png", "c.png"]
    assert sound.problems.empty


def test_further_columns_are_kept():
    found = checked(row(score=0.5), frames=[FRAME | {"split": "val"}])
    assert list(found.boxes) == [*COLUMNS, "score"]
    assert list(found.frames) == ["path", "width", "height", "split"]


def test_tables_that_a_program_put_together_wrongly_are_refused():
    good = annotations()
    check_annotations(good)
    with pytest.raises(ValueError, match="no column 'label'"):
        check_annotations(Annotations(good.boxes.drop(columns="label"), *parts(good)))
    wrong = good.boxes.copy()
    wrong.loc[1, "x2"] = 2.0
    with pytest.raises(ValueError, match="row 1: the box is inverted"):
        check_annotations(Annotations(wrong, *parts(good)))
    with pytest.raises(ValueError, match="row 0: the frame b.png is not among the frames"):
        check_annotations(Annotations(good.boxes, good.frames.iloc[:1], *parts(good)[1:]))
    with pytest.raises(ValueError, match="row 0: the class 'give way' is unknown"):
        check_annotations(Annotations(good.boxes, *parts(good)[:2], {"stop": 0}))
    unknown = good.frames.assign(width=pd.Series([pd.NA] * 3, dtype="Int64"))
    check_annotations(Annotations(good.boxes, unknown, *parts(good)[1:]))


def parts(found):
    return found.frames, found.problems, found.classes
