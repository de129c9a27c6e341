"""Heatmaps, peaks and pictures, by numbers that can be worked out by hand."""

import cv2
import numpy as np
import pytest

from mindspore_dpus.report.overlays import (
    COLOUR_MAP,
    LONGEST_SIDE,
    OPACITY,
    overlay,
    peak,
    shrunk,
    to_heatmap,
)


def test_a_heatmap_is_bilinear_between_the_centres_of_the_places():
    # Two places over eight pixels: their centres are at 1.5 and 5.5.
    heat = to_heatmap(np.array([[1.0, 3.0]], np.float32), 1, 8)[0]
    centres = np.arange(8)
    expected = np.interp(centres, [1.5, 5.5], [1, 3]) / 3
    np.testing.assert_allclose(heat, expected, atol=1e-6)
    assert heat.dtype == np.float32


def test_what_speaks_against_the_class_is_cold():
    heat = to_heatmap(np.array([[-5.0, 0.0], [0.0, 2.0]], np.float32), 2, 2)
    np.testing.assert_array_equal(heat, [[0, 0], [0, 1]])
    assert not to_heatmap(np.array([[-1.0, 0.0]], np.float32), 4, 6).any()


@pytest.mark.parametrize("size", [(7, 9), (64, 48), (240, 240)])
def test_every_heatmap_reaches_one_and_none_goes_beyond(size):
    for seed in range(5):
        evidence = np.random.default_rng(seed).normal(size=(8, 8)).astype(np.float32)
        heat = to_heatmap(evidence, *size)
        assert heat.shape == size
        assert (heat >= 0).all()
        assert heat.max() == 1


def test_the_peak_is_the_middle_of_its_place():
    evidence = np.zeros((4, 8), np.float32)
    evidence[0, 7] = 1
    # Places are 30 pixels wide and 25 high: the last column covers 210 to 239, the first row 0 to 24.
    assert peak(evidence, height=100, width=240) == (225, 12)
    # The heatmap is level from there to the corner: its own maximum would be found at the edge.
    heat = to_heatmap(evidence, 100, 240)
    assert (heat[:12, 226:] == 1).all()


def test_without_evidence_there_is_no_peak():
    assert peak(np.array([[-1.0, 0.0]]), 10, 10) is None


@pytest.mark.parametrize("channels", [(), (3,)])
def test_an_overlay_is_the_grey_image_where_it_is_cold_and_the_colour_map_where_it_is_hot(channels):
    image = np.full((2, 2, *channels), 0.4, np.float32)
    heatmap = np.array([[0, 1], [0.5, 0]], np.float32)
    picture = overlay(image, heatmap)
    assert (picture.shape, picture.dtype) == ((2, 2, 3), np.uint8)
    assert picture[0, 0].tolist() == picture[1, 1].tolist() == [102, 102, 102]
    for place, level in (((0, 1), 1.0), ((1, 0), 0.5)):
        level_byte = np.uint8([[round(255 * level)]])
        colour = cv2.applyColorMap(level_byte, COLOUR_MAP)[0, 0, ::-1].astype(float)
        share = OPACITY * level
        np.testing.assert_allclose(picture[place], (1 - share) * 102 + share * colour, atol=0.51)
    red, green, blue = picture[0, 1].tolist()
    assert min(red, green) > blue  # yellow: the channels are in the order of RGB


def test_only_large_images_are_shrunk_and_keep_their_shape():
    small = np.zeros((30, 40), np.float32)
    assert shrunk(small) is small
    assert shrunk(np.zeros((LONGEST_SIDE * 2, 512), np.float32)).shape == (LONGEST_SIDE, 256)
    assert shrunk(np.zeros((3, LONGEST_SIDE * 4), np.float32)).shape == (1, LONGEST_SIDE)
