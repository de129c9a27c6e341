"""Perceptual hashes: what they ignore, what they tell apart, and a search that misses no pair."""

import cv2
import numpy as np
import pytest
from scipy.fft import dctn
from sklearn.metrics.pairwise import cosine_similarity

from mindspore_dpus.data.images import phash
from mindspore_dpus.data.images.phash import hash_bits, low_frequencies, near_duplicates


def picture(seed, side=128, dtype=np.uint8):
    """Smooth random structure over the whole range of the type."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = cv2.GaussianBlur(noise, (0, 0), side / 20)
    unit = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (unit * np.iinfo(dtype).max).astype(dtype)


def distance(first, second):
    one, other = hash_bits(np.array([low_frequencies(first), low_frequencies(second)]))
    return int((one != other).sum())


def test_the_frequencies_are_those_of_scipy():
    image = picture(0, side=192)
    means = image.reshape(64, 3, 64, 3).mean(axis=(1, 3))
    expected = dctn(means, type=2, norm="ortho")[:16, :16].ravel()
    np.testing.assert_allclose(low_frequencies(image), expected, atol=1e-2)


def test_half_of_the_bits_are_set():
    bits = hash_bits(np.array([low_frequencies(picture(seed)) for seed in range(3)]))
    assert bits.shape == (3, 256)
    assert bits.sum(axis=1).tolist() == [128, 128, 128]


def test_sixteen_bits_colour_and_contrast_change_nothing():
    image = picture(1)
    assert distance(image, image.astype(np.uint16) * 257) == 0
    assert distance(image, cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)) == 0
    assert distance(image.astype(np.float32), image * np.float32(0.3)) == 0


def test_a_file_written_anew_is_near_and_another_picture_is_far():
    image = picture(2, side=240)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], -1)
    smaller = cv2.resize(image, (120, 120), interpolation=cv2.INTER_AREA)
    assert 0 <= distance(image, jpeg) <= 20
    assert 0 <= distance(image, smaller) <= 20
    assert distance(image, picture(3, side=240)) > 80
    assert distance(image, image[:, ::-1]) > 80


def planted():
    """60 random images in three parts; some come again a little changed, in the same or another part."""
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(60, 256)).astype(np.float32)
    for copy, original in ((5, 2), (9, 2), (10, 9), (30, 5), (31, 30), (59, 31), (50, 49)):
        coefficients[copy] = coefficients[original] + rng.normal(scale=0.02, size=256)
    return coefficients, np.repeat([0, 1, 2], 20)


def by_hand(coefficients, parts, max_distance):
    """Every pair, one at a time."""
    bits = hash_bits(coefficients)
    alike = cosine_similarity(coefficients[:, 1:]) >= 0.9
    rows = []
    for i in range(len(bits)):
        for across in (False, True):
            pairs = [
                (int((bits[i] != bits[j]).sum()), j)
                for j in range(i)
                if (parts[i] != parts[j]) == across and alike[i, j]
            ]
            if pairs and min(pairs)[0] <= max_distance:
                rows.append([i, min(pairs)[1], min(pairs)[0], across])
    return rows


@pytest.mark.parametrize("block", [60, 60 * 7, 2**23])
@pytest.mark.parametrize("max_distance", [0, 6, 20])
def test_the_search_finds_what_a_loop_over_all_pairs_finds(monkeypatch, block, max_distance):
    monkeypatch.setattr(phash, "BLOCK", block)
    coefficients, parts = planted()
    found = near_duplicates(coefficients, parts, max_distance)
    assert found.to_numpy().tolist() == by_hand(coefficients, parts, max_distance)


def test_the_planted_copies_are_found():
    found = near_duplicates(*planted(), 20)
    pairs = set(found[["image", "across"]].itertuples(index=False, name=None))
    assert pairs == {
        *((5, False), (9, False), (10, False), (50, False)),
        *((30, True), (31, False), (31, True), (59, True)),
    }


def test_equal_bits_of_almost_flat_images_are_no_match():
    # The hash of both is the sign of what hardly differs from nothing; what is seen differs.
    hidden = np.random.default_rng(0).normal(size=256).astype(np.float32)
    first, second = hidden.copy(), hidden.copy()
    first[[1, 16]] = 1000, 1
    second[[1, 16]] = 1, 1000
    images = np.array([first, second])
    assert (hash_bits(images)[0] != hash_bits(images)[1]).sum() <= 4
    assert near_duplicates(images, np.zeros(2, int), 20).empty


def test_many_equal_images_are_a_row_each():
    coefficients = np.repeat(planted()[0][:1], 500, axis=0)
    found = near_duplicates(coefficients, np.zeros(500, int), 0)
    assert found["image"].tolist() == list(range(1, 500))
    assert set(found["other"]) == {0}


def test_no_images():
    assert near_duplicates(np.empty((0, 256), np.float32), np.empty(0, int), 20).empty


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("dtype", "peak"), [("i8", 2**62), ("u8", 2**63), ("f4", 1e29), ("f4", 3e38), ("f8", 1e200)]
)
def test_values_however_large_are_hashed(dtype, peak):
    image = picture(0)
    large = (image.astype(np.float64) / 255 * peak).astype(dtype)
    found = np.array([low_frequencies(image), low_frequencies(large), low_frequencies(picture(1))])
    assert np.isfinite(found).all()
    assert distance(image, large) <= 2
    table = near_duplicates(found, np.zeros(3, int), 20)
    assert table[["image", "other"]].to_numpy().tolist() == [[1, 0]]


@pytest.mark.filterwarnings("error")
def test_the_lowest_of_all_integers_is_hashed():
    image = np.full((64, 64), np.iinfo(np.int64).min)
    image[:32] = 0
    assert np.isfinite(low_frequencies(image)).all()
