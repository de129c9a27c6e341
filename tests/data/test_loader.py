"""Batches: normalised by the formula, complete and in order; random changes within their bounds."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.augment import AugmentSettings, augment
from mindspore_dpus.data.loader import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BatchSource,
    batches,
    normalise,
    training_source,
)

EVERYTHING = AugmentSettings(
    horizontal_flip=True, vertical_flip=True, rotation=20.0, brightness=0.1, contrast=0.2
)


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def rngs(number):
    return [np.random.default_rng(seed) for seed in range(number)]


@pytest.fixture
def images():
    """Twelve grey images; image i has the value 10 i everywhere."""
    return np.repeat(np.arange(0, 120, 10, np.uint8), 16).reshape(12, 4, 4, 1)


def values(batch):
    """Which image each row of a normalised batch of the fixture is."""
    return np.rint((batch[:, 0, 0, 0] * IMAGENET_STD[1][0] + IMAGENET_MEAN[1][0]) * 25.5).astype(int)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_is_imagenets(dtype, channels):
    images = noise((2, 5, 4, channels), dtype)
    unit = images / float(np.iinfo(dtype).max)
    expected = (unit - IMAGENET_MEAN[channels]) / IMAGENET_STD[channels]
    batch = normalise(images)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert np.allclose(batch, np.moveaxis(expected, -1, 1), rtol=0, atol=1e-6)


def test_batches_come_complete_and_in_order(images):
    indices = np.array([7, 3, 0, 11, 5, 1, 2])
    source = BatchSource(images, indices, indices + 100, batch_size=3)
    assert len(source) == 3
    fed = [(x.asnumpy(), y.asnumpy()) for x, y in batches(source)]
    assert [x.shape for x, _ in fed] == [(3, 1, 4, 4), (3, 1, 4, 4), (1, 1, 4, 4)]
    assert {(x.dtype, y.dtype) for x, y in fed} == {(np.dtype("float32"), np.dtype("int32"))}
    assert np.array_equal(np.concatenate([x for x, _ in fed]), normalise(images[indices]))
    assert np.array_equal(np.concatenate([y for _, y in fed]), indices + 100)


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"), [(11, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (4, 4, [4])]
)
def test_training_batches_are_full_unless_the_set_is_smaller_than_one(images, n, batch_size, sizes):
    indices = np.arange(n) + 1
    source = training_source(images, indices, indices * 7, batch_size, AugmentSettings(), [0, 0, 0])
    fed = [source[i] for i in range(len(source))]
    assert [len(labels) for _, labels in fed] == sizes
    chosen = np.concatenate([values(x) for x, _ in fed])
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(indices)
    assert np.array_equal(np.concatenate([y for _, y in fed]), chosen * 7)


def test_every_epoch_has_its_own_order_and_equal_seeds_the_same(images):
    indices = np.arange(12)

    def order(*seed):
        source = training_source(images, indices, indices, 4, AugmentSettings(), seed)
        return np.concatenate([source[i][1] for i in range(len(source))]).tolist()

    orders = [order(0, 0, 1), order(0, 0, 2), order(0, 1, 1), order(1, 0, 1)]
    assert all(sorted(o) == list(range(12)) for o in orders)
    assert len({tuple(o) for o in [*orders, range(12)]}) == 5
    assert order(0, 0, 1) == orders[0]


def test_the_image_left_out_changes_over_the_epochs(images):
    indices = np.arange(9)
    left_out = set()
    for epoch in range(30):
        source = training_source(images, indices, indices, 4, AugmentSettings(), [0, 0, epoch])
        left_out |= set(range(9)) - set(source[0][1]) - set(source[1][1])
    assert left_out == set(range(9))


def test_equal_seeds_give_equal_augmented_batches():
    images, indices = noise((8, 6, 6, 1)), np.arange(8)

    def batch(*seed):
        return training_source(images, indices, indices, 8, EVERYTHING, seed)[0][0]

    assert np.array_equal(batch(0, 0, 1), batch(0, 0, 1))
    assert not np.array_equal(batch(0, 0, 1), batch(0, 0, 2))


def test_changes_do_not_depend_on_the_size_of_a_batch():
    images, indices = noise((8, 6, 6, 1)), np.arange(8)
    whole, halves = (BatchSource(images, indices, indices, n, EVERYTHING, [5]) for n in (8, 4))
    assert np.array_equal(whole[0][0], np.concatenate([halves[0][0], halves[1][0]]))


def test_equal_images_are_changed_differently():
    images, indices = noise((1, 6, 6, 1)), np.zeros(8, int)
    batch, _ = BatchSource(images, indices, indices, 8, EVERYTHING, [5])[0]
    assert len({image.tobytes() for image in batch}) == 8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("config", "mirrored"),
    [
        (AugmentSettings(horizontal_flip=True), [lambda image: image[:, ::-1]]),
        (AugmentSettings(vertical_flip=True), [lambda image: image[::-1]]),
        (
            AugmentSettings(horizontal_flip=True, vertical_flip=True),
            [lambda image: image[:, ::-1], lambda image: image[::-1], lambda image: image[::-1, ::-1]],
        ),
        (AugmentSettings(), []),
    ],
    ids=["horizontal", "vertical", "both", "none"],
)
def test_flips_are_exact_and_all_of_them_happen(dtype, config, mirrored):
    image = noise((5, 4, 3), dtype)
    allowed = {f(image).tobytes() for f in [lambda image: image, *mirrored]}
    changed = [augment(image, config, rng) for rng in rngs(40)]
    assert {result.tobytes() for result in changed} == allowed
    assert {(result.shape, result.dtype) for result in changed} == {(image.shape, image.dtype)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_brightness_is_added_within_its_share_of_the_range(dtype):
    top = np.iinfo(dtype).max
    image = np.full((4, 4, 1), top // 2, dtype)
    changed = [augment(image, AugmentSettings(brightness=0.2), rng) for rng in rngs(60)]
    assert all(len(np.unique(result)) == 1 for result in changed)
    shifts = np.array([int(result[0, 0, 0]) - top // 2 for result in changed]) / top
    assert np.abs(shifts).max() <= 0.2 + 1 / top
    assert shifts.min() < -0.15
    assert shifts.max() > 0.15


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_contrast_scales_about_the_mean_within_its_share(dtype):
    top = np.iinfo(dtype).max
    image = np.array([[0.4, 0.6], [0.6, 0.4]])[..., None]
    image = (image * top).astype(dtype)
    changed = [augment(image, AugmentSettings(contrast=0.5), rng).astype(float) for rng in rngs(60)]
    gains = np.array([result.std() for result in changed]) / image.std()
    assert np.allclose([result.mean() for result in changed], image.mean(), atol=1)
    assert 0.48 < gains.min() < 0.6
    assert 1.4 < gains.max() < 1.52


def test_values_are_cut_at_the_ends_of_the_range():
    image = np.repeat([[[0], [255]]], 2, axis=0).astype(np.uint8)
    for rng in rngs(20):
        result = augment(image, AugmentSettings(brightness=0.5), rng)
        assert result[0, 0, 0] == 0 or result[0, 1, 0] == 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rotation_turns_about_the_centre(channels, dtype):
    image = noise((9, 9, channels), dtype)
    changed = [augment(image, AugmentSettings(rotation=90.0), rng) for rng in rngs(10)]
    assert {(result.shape, result.dtype) for result in changed} == {(image.shape, image.dtype)}
    assert all(np.array_equal(result[4, 4], image[4, 4]) for result in changed)
    assert len({result.tobytes() for result in changed}) == 10


def test_rotation_stays_within_its_bound():
    y, x = np.mgrid[-20:21, -20:21]
    image = np.where(np.abs(y) <= 1, 255, 0).astype(np.uint8)[..., None]
    angles = []
    for rng in rngs(40):
        turned = augment(image, AugmentSettings(rotation=30.0), rng)[..., 0] * (np.hypot(x, y) < 18)
        angles.append(np.degrees(np.polyfit(x[turned > 128], y[turned > 128], 1)[0]))
    slope = np.degrees(np.tan(np.radians(30)))
    assert -slope - 1 < min(angles) < -20
    assert 20 < max(angles) < slope + 1


@pytest.mark.parametrize("more", [{"horizontal_flip": True}, {"contrast": 1e-6}])
def test_one_more_change_leaves_the_draws_of_the_others(more):
    image = noise((6, 6, 1))
    for seed in range(20):
        alone, both = (
            augment(image, AugmentSettings(vertical_flip=True, **changes), np.random.default_rng(seed))
            for changes in ({}, more)
        )
        # Sorting undoes the horizontal flip, if there is one.
        assert np.array_equal(np.sort(alone, axis=1), np.sort(both, axis=1))


@pytest.mark.parametrize(("n", "sizes"), [(11, [4, 4]), (3, [2]), (4, [4])])
def test_two_devices_have_the_halves_of_what_one_has(images, n, sizes):
    indices = np.arange(n)
    whole = training_source(images, indices, indices * 7, 4, EVERYTHING, [0, 0, 1])
    halves = [
        training_source(images, indices, indices * 7, 4, EVERYTHING, [0, 0, 1], rank, 2)
        for rank in (0, 1)
    ]
    assert [len(half) for half in halves] == [len(sizes)] * 2
    for i, size in enumerate(sizes):
        (x0, y0), (x1, y1), (x, y) = (source[i] for source in (*halves, whole))
        assert len(y0) == len(y1) == size // 2
        # The random changes too; of an odd small set, one image sits out.
        assert np.array_equal(np.concatenate([x0, x1]), x[:size])
        assert np.array_equal(np.concatenate([y0, y1]), y[:size])


def test_fewer_images_than_devices_are_refused(images):
    with pytest.raises(UserError, match="device.data_parallel: 3 images cannot be shared by 4 devices"):
        training_source(images, np.arange(3), np.arange(3), 4, AugmentSettings(), [0], 0, 4)
