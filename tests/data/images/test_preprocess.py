"""Grey, blur, Laplacian and Canny on arrays small enough to work out by hand."""

import numpy as np
import pytest
from scipy import ndimage

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preprocess import (
    PREPROCESSING,
    canny,
    gaussian_blur,
    grey,
    laplacian,
    preprocess,
)

DTYPES = (np.uint8, np.uint16)


def noise(dtype, channels, shape=(7, 9)):
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top + 1, (*shape, channels)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PREPROCESSING)
def test_shape_and_dtype_stay_and_the_image_is_left_alone(name, dtype, channels):
    image = noise(dtype, channels)
    before = image.copy()
    changed = PREPROCESSING[name](image)
    assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
    assert np.array_equal(image, before)
    assert not np.shares_memory(changed, image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_grey_is_the_luma_of_red_green_blue(dtype):
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], dtype)
    # 255 * (0.299, 0.587, 0.114), and 2.99 + 11.74 + 3.42.
    expected = [[76, 150], [29, 18]]
    assert np.array_equal(grey(colours), np.repeat(np.array(expected, dtype)[..., None], 3, axis=2))
    assert np.array_equal(grey(colours[..., :1]), colours[..., :1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_scipys_within_rounding(dtype, channels):
    image = noise(dtype, channels)
    expected = ndimage.gaussian_filter(
        image.astype(float), (1.1, 1.1, 0), mode="mirror", radius=(2, 2, 0)
    )
    # OpenCV's weights are multiples of 1 / 256 and 1 / 65536.
    error = np.abs(gaussian_blur(image) - expected).max()
    assert error < (2 if dtype == np.uint8 else 3)


def test_blur_of_a_point_is_the_kernel():
    image = np.zeros((9, 9, 1), np.uint8)
    image[4, 4] = 255
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 2 / 1.1**2)
    expected = 255 * np.outer(weights, weights) / weights.sum() ** 2
    blurred = gaussian_blur(image)[..., 0].astype(float)
    assert np.abs(blurred - np.pad(expected, 2)).max() <= 1
    assert np.array_equal(gaussian_blur(image, size=1), image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_laplacian_of_a_point(dtype):
    image = np.full((5, 5, 1), 10, dtype)
    image[2, 2] = 60
    expected = np.zeros((5, 5), int)
    expected[[1, 2, 2, 3], [2, 1, 3, 2]] = 50
    expected[2, 2] = 200
    assert np.array_equal(laplacian(image)[..., 0], expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_laplacian_is_scipys_cut_at_white(dtype):
    image = noise(dtype, 3)
    expected = [np.abs(ndimage.laplace(image[..., c].astype(float), mode="mirror")) for c in range(3)]
    top = np.iinfo(dtype).max
    assert np.max(expected) > top
    assert np.array_equal(laplacian(image), np.minimum(np.stack(expected, axis=2), top))


@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, 60), (np.uint16, 60 * 257)])
@pytest.mark.parametrize("channels", [1, 3])
def test_canny_marks_the_last_dark_column_before_a_step(dtype, step, channels):
    image = np.zeros((6, 6, channels), dtype)
    image[:, 3:] = step  # Sobel's |dx| is 4 * 60 = 240 on both sides of the step.
    expected = np.zeros((6, 6), int)
    expected[:, 2] = np.iinfo(dtype).max
    for channel in range(channels):
        assert np.array_equal(canny(image)[..., channel], expected)
    assert canny(image, high=239).any()
    assert not canny(image, high=240).any()


def test_canny_follows_weak_edges_from_strong_ones_only():
    image = np.zeros((12, 6, 1), np.uint8)
    image[:6, 3:] = 60  # 240 above, 160 below.
    image[6:, 3:] = 40
    assert canny(image)[..., 0].any(axis=1).all()
    weak = np.minimum(image, 40)
    assert not canny(weak).any()


def test_changes_follow_one_another():
    image = noise(np.uint8, 3)
    assert np.array_equal(preprocess(image, ["grey", "laplacian"]), laplacian(grey(image)))
    assert not np.array_equal(preprocess(image, ["laplacian", "grey"]), laplacian(grey(image)))
    assert preprocess(image, []) is image
    with pytest.raises(UserError, match="'gray' is unknown; it must be grey, gaussian_blur, laplacian"):
        preprocess(image, ["gray"])
