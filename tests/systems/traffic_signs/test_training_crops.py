"""Crops of frames: what is in the boxes must be what was in them."""

import numpy as np
import pytest

from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes
from mindspore_dpus.systems.traffic_signs.training_crops import CropTargets, draw_crop

BOXES = np.array([[100, 40, 120, 70], [10, 150, 35, 170]], dtype=float)


@pytest.fixture
def frame():
    """Black, 200 x 300, with two boxes of other colours."""
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    for value, (x1, y1, x2, y2) in zip((100, 200), BOXES.astype(int), strict=True):
        image[y1:y2, x1:x2] = value
    return image


def crop(frame, seed, **changes):
    settings = {"size": 96, "sign_share": 1.0} | changes
    return draw_crop(frame, BOXES, np.random.default_rng(seed), **settings)


def bounds(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_boxes_move_with_the_picture(frame, flip):
    seen = set()
    for seed in range(40):
        found = crop(frame, seed, flip=flip)
        assert found.image.shape == (96, 96, 3)
        assert len(found.boxes) >= 1
        for box in found.boxes:
            x, y = int(box[0] + box[2]) // 2, int(box[1] + box[3]) // 2
            value = int(found.image[y, x, 0])
            seen.add(value)
            assert bounds(found.image[:, :, 0] == value) == box.tolist()
    assert seen == {100, 200}


@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_boxes_grow_with_the_picture(frame, scale):
    for seed in range(20):
        found = crop(frame, seed, scales=(scale, scale))
        for box in found.boxes:
            x, y = int(box[0] + box[2]) // 2, int(box[1] + box[3]) // 2
            value = int(found.image[y, x, 0])
            near = found.image[:, :, 0] > value // 2  # Half of the colour stands at an edge.
            other = np.ones((96, 96), dtype=bool)
            x1, y1, x2, y2 = np.rint(box).astype(int)
            other[max(y1 - 4, 0) : y2 + 4, max(x1 - 4, 0) : x2 + 4] = False
            near[other] = False
            np.testing.assert_allclose(bounds(near), box, rtol=0, atol=0.75)


def test_a_flip_is_the_mirror_image(frame):
    plain, mirrored = crop(frame, 5, flip=0.0), crop(frame, 5, flip=1.0)
    np.testing.assert_array_equal(mirrored.image, plain.image[:, ::-1])


def test_signs_that_the_edge_cuts_are_ignored(frame):
    kinds = set()
    for seed in range(300):
        found = crop(frame, seed, sign_share=0.0, flip=0.0, visible=0.8)
        for value, whole in ((100, 600), (200, 500)):
            pixels = int((found.image[:, :, 0] == value).sum())
            boxes = [b for b in found.boxes if found.image[int(b[1]), int(b[0]), 0] == value]
            ignored = [b for b in found.ignored if found.image[int(b[1]), int(b[0]), 0] == value]
            kind = "all" if pixels >= 0.8 * whole else "part" if pixels else "none"
            kinds.add(kind)
            assert (len(boxes), len(ignored)) == {"all": (1, 0), "part": (0, 1), "none": (0, 0)}[kind]
    assert kinds == {"all", "part", "none"}


def test_a_sign_larger_than_the_crop_does_not_stop_it(frame):
    found = draw_crop(
        frame, np.array([[0.0, 0, 250, 180]]), np.random.default_rng(0), size=96, sign_share=1
    )
    assert len(found.boxes) == 0
    assert len(found.ignored) == 1


def test_beyond_a_small_frame_there_is_black():
    image = np.full((40, 50, 3), 9, dtype=np.uint8)
    found = draw_crop(image, np.empty((0, 4)), np.random.default_rng(0), size=64, sign_share=1, flip=0.0)
    assert (found.image[:40, :50] == 9).all()
    assert found.image.sum() == 9 * 40 * 50 * 3


def test_limits_of_the_scale_are_checked(frame):
    with pytest.raises(ValueError, match="2 and 1"):
        crop(frame, 0, scales=(2, 1))


def test_a_frame_is_read_when_it_is_asked_for_and_targets_fit_its_crop(frame):
    read = []

    def reader(index):
        read.append(index)
        return frame

    source = CropTargets(
        reader,
        [np.empty((0, 4)), BOXES],
        anchor_grid(anchor_shapes([22], [1.0]), 12, 12, 8),
        crop={"size": 96, "sign_share": 1.0},
        targets={"positive_from": 0.5, "negative_below": 0.3, "size": 20, "positive_share": 0.5},
    )
    assert len(source) == 2
    image, targets = source(1, np.random.default_rng(4))
    assert read == [1]
    assert image.dtype == np.uint8
    # The middle of every positive anchor is in a sign.
    assert targets.labels.sum() >= 1
    for _, row, column in np.argwhere(targets.labels == 1):
        around = image[max(row * 8 - 6, 0) : row * 8 + 6, max(column * 8 - 6, 0) : column * 8 + 6, 0]
        assert (around > 0).any()
    again, same = source(1, np.random.default_rng(4))
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(targets.sampled, same.sampled)
    _, empty = source(0, np.random.default_rng(4))
    assert empty.labels.sum() == 0
    assert empty.sampled.sum() == 20
