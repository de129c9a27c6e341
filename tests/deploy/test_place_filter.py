"""Where signs may stand: rules, and what they count."""

import json

import numpy as np
import pytest

from mindspore_dpus.deploy.place_filter import PlaceFilter

OPEN = {
    "top": 0.0,
    "bottom": 1.0,
    "triangle": None,
    "min_width": 0.0,
    "max_width": 1.0,
    "min_height": 0.0,
    "max_height": 1.0,
    "min_ratio": 0.0,
    "max_ratio": 100.0,
}
SIZE = (200, 100)


def dropped(box, **limits):
    """Names of the rules that drop a box of a frame 200 wide and 100 high."""
    reasons = PlaceFilter(**OPEN | limits).reasons(np.array([box], dtype=float), *SIZE)
    return [rule for rule, mask in reasons.items() if mask[0]]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([50, 10, 60, 20], []),  # On the line.
        ([50, 9, 60, 20], ["band"]),  # Two corners above.
        ([50, 70, 60, 80], []),
        ([50, 70, 60, 81], ["band"]),
        ([50, 0, 60, 99], ["band"]),
    ],
)
def test_two_corners_outside_the_band(box, expected):
    assert dropped(box, top=0.1, bottom=0.8) == expected


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ([90, 70, 110, 90], 4),
        ([100, 30, 120, 90], 2),  # Bottom left and bottom right.
        ([10, 60, 70, 95], 1),  # Bottom right only.
        ([0, 0, 20, 20], 0),
        ([0, 45, 200, 60], 0),  # Crosses it, without a corner in it.
    ],
)
def test_two_corners_in_the_triangle(box, corners):
    triangle = ((0.5, 0.5), (0.1, 1.0), (0.9, 1.0))

    def inside(x, y):
        # Between the two lines from the tip (100, 50), which fall by 50 over 80.
        return y >= 50 and abs(x - 100) <= (y - 50) * 80 / 50 and y <= 100

    x1, y1, x2, y2 = box
    assert sum(inside(x, y) for x in (x1, x2) for y in (y1, y2)) == corners
    assert dropped(box, triangle=triangle) == (["triangle"] if corners >= 2 else [])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"min_width": 0.1, "max_width": 0.1}, []),
        ({"min_width": 0.101}, ["width"]),
        ({"max_width": 0.099}, ["width"]),
        ({"min_height": 0.26}, ["height"]),
        ({"max_height": 0.24}, ["height"]),
        ({"min_ratio": 0.81}, ["ratio"]),
        ({"max_ratio": 0.79}, ["ratio"]),
        ({"min_ratio": 0.8, "max_ratio": 0.8}, []),
    ],
)
def test_limits_of_shape_are_shares_and_a_ratio_of_pixels(limits, expected):
    assert dropped([50, 30, 70, 55], **limits) == expected  # 20 x 25 pixels.


def test_an_empty_box_goes():
    assert "ratio" in dropped([50, 30, 70, 30])


def test_counts_name_every_rule_and_each_box_once():
    rules = PlaceFilter(**OPEN | {"top": 0.2, "max_width": 0.2})
    boxes = [
        np.array([[0, 0, 100, 50], [0, 50, 100, 80], [0, 50, 10, 60]], dtype=float),
        np.empty((0, 4)),
    ]
    assert rules.count(boxes, [SIZE, SIZE]) == {
        "boxes": 3,
        "removed": 2,
        "band": 1,
        "triangle": 0,
        "width": 2,
        "height": 0,
        "ratio": 0,
    }
    assert rules.keep(boxes[0], *SIZE).tolist() == [False, False, True]


def test_limits_are_shares_of_any_frame():
    rules = PlaceFilter(
        **OPEN | {"top": 0.2, "max_width": 0.2, "triangle": ((0.5, 0.5), (0, 1), (1, 1))}
    )
    boxes = np.random.default_rng(0).uniform(0, 100, (200, 2, 2))
    boxes = np.sort(boxes, axis=1).reshape(-1, 4)
    small, large = rules.keep(boxes, *SIZE), rules.keep(boxes * [4, 4, 4, 4], 800, 400)
    assert (small == large).all()
    assert 0 < small.sum() < 200


def test_a_filter_comes_back_from_json():
    rules = PlaceFilter(**OPEN | {"triangle": ((0.5, 0.25), (0.125, 1.0), (0.75, 1.0))})
    for one in (rules, PlaceFilter(**OPEN)):
        assert PlaceFilter.from_dict(json.loads(json.dumps(one.to_dict()))) == one
