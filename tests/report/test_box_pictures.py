"""Boxes on frames, pixel by pixel."""

import numpy as np
import pytest

from mindspore_dpus.report.box_pictures import PALETTE, colour_of, draw_boxes

FRAME = np.full((60, 80, 3), 7, np.uint8)
GREEN = (0, 200, 0)


def test_the_line_runs_just_outside_of_the_box():
    picture = draw_boxes(FRAME, np.array([[20.0, 30.0, 25.0, 40.0]]), [""], colours=[GREEN])
    drawn = (picture == GREEN).all(axis=2)
    expected = np.zeros((60, 80), bool)
    expected[29:41, 19:26] = True
    expected[30:40, 20:25] = False
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(picture[~expected], FRAME[~expected])
    assert (FRAME == 7).all()


def test_parts_of_pixels_belong_to_the_box():
    picture = draw_boxes(FRAME, np.array([[20.6, 30.2, 24.1, 39.9]]), [""], colours=[GREEN])
    whole = draw_boxes(FRAME, np.array([[20, 30, 25, 40]]), [""], colours=[GREEN])
    np.testing.assert_array_equal(picture, whole)


def test_a_text_stands_above_or_where_there_is_no_room_below():
    for y, above in ((30.0, True), (2.0, False)):
        box = np.array([[20.0, y, 50.0, y + 12]])
        empty, full = (draw_boxes(FRAME, box, [label], colours=[GREEN]) for label in ("", "stop"))
        rows = np.nonzero((empty != full).any(axis=(1, 2)))[0]
        assert (rows.max() < y) == above
        assert (rows.min() >= y + 12) != above
        assert not (full[int(y) : int(y) + 12, 20:50] != 7).any()


def test_the_score_is_written_behind_the_label():
    box = np.array([[5.0, 30.0, 50.0, 42.0]])
    bare = draw_boxes(FRAME, box, ["stop"], colours=[GREEN])
    scored = draw_boxes(FRAME, box, ["stop"], [0.871], colours=[GREEN])
    same = draw_boxes(FRAME, box, ["stop 0.87"], colours=[GREEN])
    np.testing.assert_array_equal(scored, same)
    assert (bare != scored).any()


def test_nothing_is_written_out_of_the_frame_and_nothing_breaks():
    boxes = np.array([[-9, -9, 5, 5], [70, 50, 99, 99], [-5, -5, 200, 200], [300, 300, 310, 310]])
    picture = draw_boxes(FRAME, boxes, ["a long name of a class"] * 4, [0.5] * 4)
    assert picture.shape == FRAME.shape
    assert (picture != FRAME).any()
    tiny = draw_boxes(np.zeros((4, 5), np.uint8), [[0, 0, 2, 2]], ["stop ä"])
    assert tiny.shape == (4, 5, 3)


def test_no_boxes_are_the_frame_in_colour():
    np.testing.assert_array_equal(draw_boxes(FRAME[..., 0], np.zeros((0, 4)), []), FRAME)
    assert draw_boxes(FRAME, np.zeros((0, 4)), []) is not FRAME


def test_a_class_keeps_its_colour():
    assert colour_of("stop") == colour_of("stop")
    assert {colour_of(f"class {i}") for i in range(100)} == set(PALETTE)
    picture = draw_boxes(FRAME, [[20, 30, 25, 40]], ["stop"])
    assert tuple(picture[40, 19]) == colour_of("stop")


def test_unlike_numbers_are_refused():
    for options in (
        {"labels": []},
        {"labels": ["a"], "scores": [1, 2]},
        {"labels": ["a"], "colours": []},
    ):
        with pytest.raises(ValueError, match="for 1 boxes"):
            draw_boxes(FRAME, [[0, 0, 1, 1]], **options)
