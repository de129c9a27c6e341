"""What the refinement network learns from."""

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import decode, iou, paired_iou
from mindspore_dpus.data.images.augment import AugmentSettings
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.deploy.refinement import WEIGHTS
from mindspore_dpus.systems.traffic_signs.shaken_boxes import ShakenBoxes, patches, read_patches, shake

BOX = np.array([40.0, 30, 60, 44])


def frame_with_sign():
    """A white rectangle on black."""
    image = np.zeros((80, 120, 3), np.uint8)
    image[30:44, 40:60] = 255
    return image


def test_patches_hold_the_sign_and_twice_its_side_on_every_side():
    (patch,) = patches(frame_with_sign(), BOX[np.newaxis])
    # 40 - 2 x 20 = 0 ... 60 + 2 x 20 = 100 across; 30 - 28 = 2 ... 44 + 28 = 72 down.
    assert patch.image.shape == (70, 100, 3)
    np.testing.assert_array_equal(patch.box, [40, 28, 60, 42])
    x1, y1, x2, y2 = patch.box.astype(int)
    assert patch.image[y1:y2, x1:x2].min() == 255
    assert patch.image.sum() == 255 * 3 * 20 * 14


def test_patches_of_a_sign_at_the_edge():
    image = np.arange(80 * 120 * 3, dtype=np.uint8).reshape(80, 120, 3)
    (patch,) = patches(image, np.array([[110.0, 0, 120, 10]]))
    assert patch.image.shape == (30, 30, 3)
    np.testing.assert_array_equal(patch.box, [20, 0, 30, 10])
    np.testing.assert_array_equal(patch.image, image[:30, 90:])


def test_shaken_boxes_overlap_enough_and_are_of_the_asked_spread():
    rng = np.random.default_rng(0)
    drawn = np.stack([shake(BOX, rng, 0.15, 0.2, 0.4) for _ in range(2000)])
    assert iou(drawn, BOX[np.newaxis]).min() >= 0.4
    assert iou(drawn, BOX[np.newaxis]).min() < 0.45
    free = np.stack([shake(BOX, rng, 0.05, 0.1, 0.001) for _ in range(4000)])
    side, true = free[:, 2:] - free[:, :2], BOX[2:] - BOX[:2]
    centre = (free[:, :2] + free[:, 2:]) / 2 - (BOX[:2] + BOX[2:]) / 2
    np.testing.assert_allclose(np.log(side / true).std(axis=0), 0.1, rtol=0.05)
    np.testing.assert_allclose((centre / true).std(axis=0), 0.05, rtol=0.05)
    np.testing.assert_allclose((centre / true).mean(axis=0), 0, atol=0.004)


def test_where_no_draw_overlaps_enough_the_true_box_is_taken():
    np.testing.assert_array_equal(shake(BOX, np.random.default_rng(0), 0.3, 0.3, 1.0), BOX)


def samples(augment=None, size=32):
    signs = patches(frame_with_sign(), BOX[np.newaxis])
    return ShakenBoxes(signs, ImageSettings(size=size, channels=3), 0.4, 0.1, 0.15, 0.5, augment)


@pytest.mark.parametrize("augment", [None, AugmentSettings()])
def test_targets_name_the_white_pixels_of_the_image(augment):
    # Mirror images, too: of 40 draws about half are.
    drawn = samples(augment, size=64)
    for i in range(40):
        image, target = drawn(0, np.random.default_rng([1, i]))
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        rows, columns = np.nonzero(image[..., 0] > 127)
        seen = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
        said = decode(target[np.newaxis], np.array([[0.0, 0, 64, 64]]), WEIGHTS)
        assert paired_iou(seen, said)[0] > 0.9


def test_equal_seeds_give_equal_samples_and_colours_change_no_target():
    plain, coloured = samples(AugmentSettings()), samples(AugmentSettings(contrast=0.3, brightness=0.2))
    for i in range(5):
        first, target = plain(0, np.random.default_rng(i))
        again, same = plain(0, np.random.default_rng(i))
        other, third = coloured(0, np.random.default_rng(i))
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(target, same)
        np.testing.assert_array_equal(target, third)
        assert not np.array_equal(first, other)


def test_frames_without_signs_are_not_read():
    read = []

    def frame(i):
        read.append(i)
        return frame_with_sign()

    boxes = [np.empty((0, 4)), BOX[np.newaxis], np.stack([BOX, BOX + 3])]
    found = read_patches(frame, boxes, np.array([0, 2]))
    assert read == [2]
    assert len(found) == 2
