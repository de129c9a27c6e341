"""Changes in position and colour against what they are defined to do. (The older ones: test_loader.)"""

import dataclasses

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.augment import (
    AugmentSettings,
    Draws,
    augment,
    expose,
    mapping,
    move,
    recolour,
)

WIDTH, HEIGHT = 12, 8
NOTHING = {
    "crop": np.zeros(4),
    "zoom": np.zeros(3),
    "shear": np.zeros(2),
    "shift": np.zeros(2),
    "warp": np.zeros((4, 2)),
}
EVERYTHING = AugmentSettings(
    horizontal_flip=True,
    vertical_flip=True,
    rotation=20,
    crop=0.5,
    zoom=0.3,
    shear=10,
    shift=0.1,
    warp=0.1,
    hue=0.1,
    saturation=0.3,
    brightness=0.1,
    contrast=0.2,
)


def draws(**given):
    values = {"rotation": 0, "contrast": 0, "brightness": 0, "hue": 0, "saturation": 0}
    values |= {"horizontal_flip": False, "vertical_flip": False} | NOTHING
    return Draws(**values | {name: np.asarray(value) for name, value in given.items()})


def places(config, points, **given):
    """Where pixels go."""
    matrix = mapping(config, draws(**given), WIDTH, HEIGHT)
    moved = matrix @ np.column_stack([points, np.ones(len(points))]).T
    return (moved[:2] / moved[2]).T


CORNERS = np.array([[0, 0], [WIDTH - 1, 0], [WIDTH - 1, HEIGHT - 1], [0, HEIGHT - 1]])
EDGES = np.array([[-0.5, -0.5], [WIDTH - 0.5, HEIGHT - 0.5]])


def test_a_crop_fills_the_image_with_its_window():
    # A quarter of the area with the image's own ratio, in the right lower corner of what is left.
    config = AugmentSettings(crop=0.25)
    window = np.array([[5.5, 3.5], [11.5, 7.5]])
    found = places(config, window, crop=[0, 0.5, 1, 1])
    np.testing.assert_allclose(found, EDGES, atol=1e-9)


def test_a_crop_equals_cutting_and_resizing():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    matrix = mapping(AugmentSettings(crop=0.25), draws(crop=[0, 0.5, 0.5, 0.5]), WIDTH, HEIGHT)
    expected = cv2.resize(image[2:6, 3:9], (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    # At its edges, cv2.resize repeats the window's last pixels, where the image goes on.
    inside = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(move(image, matrix)[inside].astype(int), expected[inside], atol=1)


def test_crops_lie_inside_and_have_their_area_and_ratio():
    shapes = []
    for seed in range(200):
        drawn = Draws.of(np.random.default_rng(seed))
        matrix = mapping(AugmentSettings(crop=0.3), drawn, WIDTH, HEIGHT)
        window = np.linalg.inv(matrix) @ np.column_stack([EDGES, [1, 1]]).T
        (left, right), (top, bottom), _ = window
        assert min(left, top) >= -0.5 - 1e-9
        assert max(right - WIDTH, bottom - HEIGHT) <= -0.5 + 1e-9
        shapes.append(((right - left) / WIDTH, (bottom - top) / HEIGHT))
    w, h = np.array(shapes).T
    assert 0.3 - 1e-9 <= (w * h).min() < 0.35
    assert 0.9 < (w * h).max() <= 1
    assert 0.75 - 1e-9 <= (w / h).min() < 0.8
    assert 1.25 < (w / h).max() <= 4 / 3 + 1e-9


def test_zoom_enlarges_about_its_point():
    # Twice as large, with the left upper corner fixed.
    found = places(AugmentSettings(zoom=2), [[-0.5, -0.5], [5.5, 3.5]], zoom=[0.5, 0, 0])
    np.testing.assert_allclose(found, EDGES, atol=1e-9)


def test_shift_moves_by_a_share_of_the_sides():
    image = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH, 1)
    config = AugmentSettings(shift=0.5)
    moved = move(image, mapping(config, draws(shift=[0.5, -0.25]), WIDTH, HEIGHT))
    assert np.array_equal(moved[:-1, 3:], image[1:, :-3])
    assert np.array_equal(moved[:-1, 2], image[1:, 1])  # mirrored at the edge


def test_shear_leans_about_the_centre():
    found = places(AugmentSettings(shear=45), CORNERS, shear=[1, 0])
    leant = np.array([[-3.5, 0], [-3.5, 0], [3.5, 0], [3.5, 0]])
    np.testing.assert_allclose(found, CORNERS + leant, atol=1e-9)


def test_rotation_turns_anticlockwise():
    found = places(AugmentSettings(rotation=90), [[5.5, 0]], rotation=1)
    np.testing.assert_allclose(found, [[2.0, 3.5]], atol=1e-9)


def test_warp_moves_each_corner():
    shares = np.array([[1, 0], [0, 1], [-1, 0], [0.5, -0.5]])
    found = places(AugmentSettings(warp=0.1), CORNERS, warp=shares)
    np.testing.assert_allclose(found, CORNERS + 0.1 * shares * (WIDTH, HEIGHT), atol=1e-4)


def test_a_ramp_is_where_the_mapping_says():
    y, x = np.mgrid[:64, :64]
    image = (200 * x + 500 * y + 5000).astype(np.uint16)[..., None]
    config = dataclasses.replace(EVERYTHING, warp=0.0, contrast=0, brightness=0, hue=0, saturation=0)
    matrix = mapping(config, Draws.of(np.random.default_rng(3)), 64, 64)
    moved = move(image, matrix)[..., 0]
    back = np.linalg.inv(matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(64 * 64)])
    inside = ((back[:2] > 0) & (back[:2] < 63)).all(axis=0)
    assert inside.sum() > 1000
    expected = 200 * back[0] + 500 * back[1] + 5000
    # cv2 knows places to 1/32 of a pixel.
    assert np.abs(moved.ravel()[inside] - expected[inside]).max() < 700 / 32 + 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hue_turns_the_colour_circle(dtype):
    top = np.iinfo(dtype).max
    red, green, blue = (np.array(c, dtype).reshape(1, 1, 3) * top for c in np.eye(3, dtype=int))
    assert np.array_equal(recolour(red.astype(dtype), 1 / 3, 0), green)
    assert np.array_equal(recolour(red.astype(dtype), -1 / 3, 0), blue)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_saturation_scales_the_distance_from_grey(dtype):
    top = np.iinfo(dtype).max
    image = (np.array([[[0.5, 0.4, 0.3]]]) * top).astype(dtype)
    grey = image.astype(float) @ (0.299, 0.587, 0.114)
    for share in (-1.0, -0.5, 0.5):
        expected = grey[..., None] + (image - grey[..., None]) * (1 + share)
        np.testing.assert_allclose(recolour(image, 0, share).astype(float), expected, atol=0.51)


def test_grey_pixels_keep_their_value():
    image = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    assert np.array_equal(recolour(image, 0.3, 0.9), image)


def test_contrast_and_brightness_by_the_formula():
    image = np.array([[[100], [120]]], np.uint8)
    assert expose(image, 0.5, 0.1).ravel().tolist() == [round(110 - 15 + 25.5), round(110 + 15 + 25.5)]


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (3, np.uint16), (1, np.uint8)])
def test_everything_at_once(channels, dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (24, 16, channels), dtype)
    config = EVERYTHING if channels == 3 else dataclasses.replace(EVERYTHING, hue=0, saturation=0)
    first, again, other = (augment(image, config, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first.shape, first.dtype) == (image.shape, image.dtype)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_is_on_by_default():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(augment(image, AugmentSettings(), np.random.default_rng(0)), image)
