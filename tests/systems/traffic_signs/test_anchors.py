"""Anchors: every size with every ratio on every place of the map."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.deploy.anchors import (
    anchor_grid,
    anchor_shapes,
    anchor_subset,
    grid_size,
)


def test_a_shape_has_the_area_of_its_size_and_the_ratio_of_height_to_width():
    shapes = anchor_shapes([16, 40], [0.5, 1.0, 2.0])
    np.testing.assert_allclose(shapes.prod(axis=1), [256] * 3 + [1600] * 3, rtol=1e-12)
    np.testing.assert_allclose(shapes[:, 1] / shapes[:, 0], [0.5, 1, 2] * 2, rtol=1e-12)


def test_the_grid_against_loops():
    shapes = np.array([[10.0, 20.0], [6.0, 4.0]])
    grid = anchor_grid(shapes, 3, 5, 8, offset=0.25)
    assert grid.shape == (2, 3, 5, 4)
    for a, (width, height) in enumerate(shapes):
        for row in range(3):
            for column in range(5):
                x, y = column * 8 + 2, row * 8 + 2
                expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
                assert grid[a, row, column].tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(800, 1360), (801, 1353), (7, 9), (1, 1)])
def test_the_grid_is_as_large_as_what_padded_convolutions_make(height, width):
    cells = [nn.Conv2d(1, 1, 3, 2, pad_mode="pad", padding=1, weight_init="zeros") for _ in range(3)]
    x = Tensor(np.zeros((1, 1, height, width), dtype=np.float32))
    for cell in cells:
        x = cell(x)
    assert grid_size(height, width, 8) == x.shape[2:]


def test_a_subset_keeps_the_order_of_the_shapes():
    sizes, ratios = (16, 32, 64), (0.8, 1.0)
    places = anchor_subset(sizes, ratios, (64, 16), (1.0,))
    assert places.tolist() == [1, 5]
    np.testing.assert_array_equal(anchor_shapes(sizes, ratios)[places], anchor_shapes([16, 64], [1.0]))


def test_an_anchor_that_was_not_trained_is_refused():
    with pytest.raises(ValueError, match="size 48, only with 16, 32: train it again"):
        anchor_subset((16, 32), (1.0,), (16, 48), (1.0,))
    with pytest.raises(ValueError, match=r"ratio 0\.8"):
        anchor_subset((16, 32), (1.0,), (16,), (0.8,))


@pytest.mark.parametrize(("sizes", "ratios"), [([], [1]), ([16], [0]), ([16, -1], [1]), ([[16]], [1])])
def test_anchors_are_numbers_above_zero(sizes, ratios):
    with pytest.raises(ValueError, match="above 0"):
        anchor_shapes(sizes, ratios)
