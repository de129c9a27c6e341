"""Where signs may stand: rules, fit, and what both count."""

import json

import numpy as np
import pytest

from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.systems.traffic_signs.place_filter_fit import (
    BASE_LEFT,
    BASE_RIGHT,
    TIP_X,
    TIP_Y,
    fit_place_filter,
    heat_map,
)

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


def road_signs(n, seed):
    """Signs left and right of a road, in the upper half; 1360 x 800."""
    rng = np.random.default_rng(seed)
    side = rng.uniform(20, 90, n)
    x = np.where(rng.random(n) < 0.5, rng.uniform(50, 450, n), rng.uniform(800, 1200, n))
    y = rng.uniform(200, 520, n)
    boxes = np.stack([x, y, x + side, y + side * rng.uniform(0.9, 1.1, n)], axis=1)
    return [boxes[i : i + 2] for i in range(0, n, 2)], [(1360, 800)] * (n // 2)


def test_a_fit_loses_no_more_than_it_may_and_removes_the_rest():
    boxes, sizes = road_signs(1000, 1)
    rules = fit_place_filter(boxes, sizes, max_lost=0.01)
    assert rules.count(boxes, sizes)["removed"] <= 10
    other, _ = road_signs(1000, 2)
    assert rules.count(other, sizes)["removed"] <= 15
    rng = np.random.default_rng(3)
    anywhere = rng.uniform(0, 1, (4000, 2)) * [1360, 800]
    anywhere = np.concatenate([anywhere, anywhere + rng.uniform(5, 300, (4000, 2))], axis=1)
    assert rules.keep(anywhere, 1360, 800).mean() < 0.25
    assert rules.triangle is not None


def test_an_outlier_widens_the_band_only_where_it_may_not_be_lost():
    boxes, sizes = road_signs(1000, 1)
    boxes[0] = np.array([[100.0, 0, 150, 50]])
    strict = fit_place_filter(boxes, sizes, max_lost=0.0)
    assert strict.top == 0
    assert strict.count(boxes, sizes)["removed"] == 0
    assert fit_place_filter(boxes, sizes, max_lost=0.01).top > 0.2


def test_margins_widen_every_limit():
    boxes, sizes = road_signs(1000, 1)
    exact = fit_place_filter(boxes, sizes, max_lost=0, place_margin=0, shape_margin=0)
    wide = fit_place_filter(boxes, sizes, max_lost=0, place_margin=0.05, shape_margin=0.5)
    together = np.concatenate(boxes)
    assert exact.top == together[:, 1].min() / 800
    assert exact.bottom == together[:, 3].max() / 800
    assert exact.max_width == pytest.approx((together[:, 2] - together[:, 0]).max() / 1360)
    assert wide.top == pytest.approx(exact.top - 0.05)
    assert wide.bottom == pytest.approx(exact.bottom + 0.05)
    for name in ("width", "height", "ratio"):
        assert getattr(wide, f"min_{name}") == pytest.approx(getattr(exact, f"min_{name}") * 0.5)
        assert getattr(wide, f"max_{name}") == pytest.approx(getattr(exact, f"max_{name}") * 1.5)

    def size(rules):
        (_, y), (left, _), (right, _) = rules.triangle
        return (1 - y) * (right - left)

    assert size(wide) < size(exact)


def test_the_triangle_takes_most_of_the_band_at_no_cost():
    boxes, sizes = road_signs(60, 4)
    rules = fit_place_filter(boxes, sizes, max_lost=0, place_margin=0.05)
    found = rules.triangle

    def lost(tip, left, right):
        enlarged = (tip[0], tip[1] - 0.05), (left[0] - 0.05, 1.0), (right[0] + 0.05, 1.0)
        rules = PlaceFilter(**OPEN | {"triangle": enlarged})
        return rules.count(boxes, sizes)["triangle"]

    def size(tip, left, right):
        """Area of the part above the lower end of the band, summed up in thin slices."""
        y = np.linspace(tip[1], rules.bottom, 200) if tip[1] < rules.bottom else np.ones(200)
        return ((y - tip[1]) / (1 - tip[1])).mean() * (right[0] - left[0]) * (y[-1] - y[0])

    assert lost(*found) == 0
    for x in TIP_X[::2]:
        for y in TIP_Y:
            for left in BASE_LEFT[::3]:
                for right in BASE_RIGHT[::3]:
                    other = (x, y), (left, 1.0), (right, 1.0)
                    if size(*other) > size(*found) + 1e-9:
                        assert lost(*other) > 0


def test_no_triangle_where_signs_are_everywhere():
    y, x = np.mgrid[0:751:30, 0:1311:30].reshape(2, -1)
    boxes = np.stack([x, y, x + 50, y + 50], axis=1).astype(float)
    assert fit_place_filter([boxes], [(1360, 800)], max_lost=0).triangle is None


@pytest.mark.parametrize(
    ("boxes", "changes", "message"),
    [
        ([np.empty((0, 4))], {}, "without a box"),
        ([np.ones((1, 4))], {"max_lost": 1.0}, "max_lost is 1"),
        ([np.ones((1, 4))], {"place_margin": -0.1}, "place_margin"),
    ],
)
def test_what_makes_no_sense_is_refused(boxes, changes, message):
    with pytest.raises(ValueError, match=message):
        fit_place_filter(boxes, [SIZE], **changes)


def test_the_heat_map_counts_covered_shares():
    boxes = [np.array([[0.0, 0, 100, 50], [150, 75, 200, 100]]), np.array([[0.0, 0, 50, 50]])]
    heat = heat_map(boxes, [SIZE, (100, 100)], rows=2, columns=4)
    assert heat.tolist() == [[2, 2, 0, 0], [0, 0, 0, 0.5]]
