"""Tiles cover an image exactly; each is prepared as an image is; their scores become one."""

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.images.tiles import Tiles, load_tiles, pool_scores, tile_boxes


def write(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    ("length", "size", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (8, 4, 0, [0, 4]),
        (8, 4, 0.5, [0, 2, 4]),
        (10, 4, 0, [0, 4, 6]),
        (9, 4, 0.25, [0, 3, 5]),
        (9, 8, 0.99, [0, 1]),
        (3, 8, 0.5, [0]),
    ],
)
def test_where_tiles_start(length, size, overlap, starts):
    side = min(length, size)
    assert tile_boxes(1, length, size, overlap).tolist() == [[x, 0, side, 1] for x in starts]
    assert tile_boxes(length, 1, size, overlap).tolist() == [[0, y, 1, side] for y in starts]


@pytest.mark.parametrize("overlap", [0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (100, 40), (5, 64), (4, 4)])
def test_every_pixel_is_covered_and_none_lies_outside(shape, overlap):
    covered = np.zeros(shape, int)
    for x, y, width, height in tile_boxes(*shape, 16, overlap):
        assert (width, height) == (min(16, shape[1]), min(16, shape[0]))
        assert 0 <= x <= shape[1] - width
        assert 0 <= y <= shape[0] - height
        covered[y : y + height, x : x + width] += 1
    assert covered.min() >= 1


def test_whole_tiles_without_overlap_come_once():
    boxes = tile_boxes(32, 48, 16, 0)
    assert boxes.tolist() == [[x, y, 16, 16] for y in (0, 16) for x in (0, 16, 32)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value_range", ["file", "percentiles"])
def test_one_tile_over_a_square_image_is_the_image(tmp_path, value_range, channels):
    path = write(tmp_path / "a.png", noise((40, 40)))
    spec = ImageSettings(24, channels, value_range=value_range)
    boxes, images = load_tiles(path, spec, Tiles(size=40))
    assert boxes.tolist() == [[0, 0, 40, 40]]
    assert np.array_equal(images[0], load_prepared(path, spec))


def test_a_tile_is_the_part_of_the_image_at_its_place(tmp_path):
    image = noise((70, 50), np.uint16)
    path = write(tmp_path / "a.png", image)
    boxes, images = load_tiles(path, ImageSettings(20, bits=16), Tiles(size=20, overlap=0.3))
    assert images.shape == (len(boxes), 20, 20, 1)
    for (x, y, width, height), tile in zip(boxes, images, strict=True):
        assert np.array_equal(tile[..., 0], image[y : y + height, x : x + width])


def test_black_and_white_are_those_of_the_whole_frame(tmp_path):
    image = np.repeat(np.array([[0] * 20 + [100] * 20 + [200] * 20], np.uint8), 20, axis=0)
    path = write(tmp_path / "a.png", image)
    spec = ImageSettings(20, value_range="minmax")
    _, images = load_tiles(path, spec, Tiles(size=20, overlap=0))
    assert [set(tile.ravel()) for tile in images] == [{0}, {128}, {255}]


def test_a_frame_smaller_than_a_tile_is_mirrored_and_keeps_its_scale(tmp_path):
    image = noise((20, 12))
    path = write(tmp_path / "a.png", image)
    boxes, images = load_tiles(path, ImageSettings(20), Tiles(size=20))
    assert boxes.tolist() == [[0, 0, 12, 20]]
    assert np.array_equal(images[0, ..., 0], np.hstack([image, image[:, :3:-1]]))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, 0.9),
        ({"pool": "top_k", "top_k": 1}, 0.9),
        ({"pool": "top_k", "top_k": 3}, (0.9 + 0.5 + 0.3) / 3),
        ({"pool": "top_k", "top_k": 9}, (0.9 + 0.5 + 0.3 + 0.1) / 4),
    ],
)
def test_scores_are_pooled(keys, expected):
    scores = np.array([0.3, 0.9, 0.1, 0.5])
    assert pool_scores(scores, Tiles(size=32, **keys)) == pytest.approx(expected)
    two = np.stack([scores, 1 - scores], axis=1)
    assert pool_scores(two, Tiles(size=32, **keys))[0] == pytest.approx(expected)
