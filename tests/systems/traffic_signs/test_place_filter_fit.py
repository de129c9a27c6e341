"""Where signs stand: the fit of the rules, and the heat map."""

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
from tests.deploy.test_place_filter import OPEN, SIZE


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
