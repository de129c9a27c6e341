"""Boxes moved by a network."""

import numpy as np
import pytest

from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.regions import windows
from mindspore_dpus.deploy.refinement import box_targets, refine

IMAGES = ImageSettings(size=8, channels=3)
FRAME = np.zeros((60, 100, 3), np.uint8)
TRUE = np.array([[30.0, 20, 50, 44], [2, 3, 9.5, 8]])


def perfect(margin, boxes):
    """A network that always knows."""
    asked = []

    def network(regions):
        # Regions do not say where they lie; the boxes that they are cut around are known here.
        asked.append(regions)
        return box_targets(TRUE, windows(100, 60, boxes[len(asked) - 1], margin))

    return network


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_what_a_perfect_network_says_leads_to_the_true_boxes(margin):
    # The second box is cut by the frame's edge, and both have windows of rounded pixels.
    shaken = np.array([[27.3, 18.2, 49.1, 48.7], [0.0, 1.2, 11.4, 7.7]])
    moved = refine(FRAME, shaken, perfect(margin, [shaken]), IMAGES, margin)
    np.testing.assert_allclose(moved, TRUE, atol=1e-4)


def test_targets_by_the_equations():
    # Window 20 wide and 10 high, sign 10 wide and 20 high, its centre 5 to the right and 1 above.
    target = box_targets(np.array([[10.0, -6, 20, 14]]), np.array([[0.0, 0, 20, 10]]))
    expected = [[10 * 5 / 20, 10 * -1 / 10, 5 * np.log(10 / 20), 5 * np.log(20 / 10)]]
    np.testing.assert_allclose(target, expected, rtol=1e-6)
    assert target.dtype == np.float32


def test_a_second_round_begins_where_the_first_ended():
    shaken = np.array([[27.3, 18.2, 49.1, 48.7], [0.0, 1.2, 11.4, 7.7]])
    half = (shaken + TRUE) / 2
    wanted = [half, TRUE]
    starts = [shaken]

    def network(regions):
        seen = windows(100, 60, starts[-1], 0.2)
        starts.append(wanted[len(starts) - 1])
        return box_targets(starts[-1], seen)

    moved = refine(FRAME, shaken, network, IMAGES, 0.2, rounds=2)
    np.testing.assert_allclose(moved, TRUE, atol=1e-4)


def test_a_box_stays_where_the_network_would_leave_nothing_of_it():
    boxes = np.array([[10.0, 10, 20, 20], [30, 10, 40, 20]])

    def network(regions):
        # Far out of the frame; and a hundredth of a pixel.
        return np.array([[500.0, 0, 0, 0], [0, 0, -50, -50]], np.float32)

    np.testing.assert_array_equal(refine(FRAME, boxes, network, IMAGES, 0.0), boxes)


def test_of_no_box_nothing_is_asked():
    def never(regions):
        raise AssertionError("asked")

    assert refine(FRAME, np.empty((0, 4)), never, IMAGES, 0.0).shape == (0, 4)


def test_boxes_stay_in_the_frame():
    boxes = np.array([[80.0, 40, 95, 58]])
    far = np.array([[90.0, 50, 130, 80]])
    moved = refine(FRAME, boxes, lambda r: box_targets(far, windows(100, 60, boxes, 0.0)), IMAGES, 0.0)
    np.testing.assert_allclose(moved, [[90, 50, 100, 60]], atol=1e-4)
