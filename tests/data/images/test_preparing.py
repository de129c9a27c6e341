"""Files of every format against the array that was written; value ranges in exact numbers."""

import dataclasses
import json
import warnings
from dataclasses import asdict

import cv2
import numpy as np
import pytest
import tifffile

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.data.images.preparing import (
    ImageSettings,
    fit,
    load_prepared,
    scale_to_unit,
    to_unit,
)
from mindspore_dpus.data.images.preprocess import canny, gaussian_blur
from mindspore_dpus.data.images.reading import read_image as decode

GREY, COLOUR = (9, 7), (9, 7, 3)
LOSSLESS = [
    (extension, dtype, shape)
    for extensions, dtypes, shapes in [
        ((".png", ".tif", ".tiff", ".pnm"), (np.uint8, np.uint16), (GREY, COLOUR)),
        ((".bmp", ".dib"), (np.uint8,), (GREY, COLOUR)),
        ((".pgm",), (np.uint8, np.uint16), (GREY,)),
        ((".ppm",), (np.uint8, np.uint16), (COLOUR,)),
    ]
    for extension in extensions
    for dtype in dtypes
    for shape in shapes
]
JPEG = (".jpg", ".jpeg", ".jpe")
# Names that OpenCV does not write.
ELSEWHERE = {".dcm", ".dicom", ".ima", ".jfif", ".pbm"}
TORN = [
    (".png", []),
    (".jpg", []),
    (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    (".bmp", []),
    (".pgm", []),
    (".pgm", [cv2.IMWRITE_PXM_BINARY, 0]),
    (".ppm", []),
]


def read_image(path):
    return decode(path).values


def prepare(values, spec):
    return fit(to_unit(Decoded.of(values), spec), spec)


def noise(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write(path, image, options=()):
    """Write an RGB or grey array as OpenCV, which wants BGR, would."""
    stored = image if image.ndim == 2 else image[..., [2, 1, 0, *range(3, image.shape[2])]]
    assert cv2.imwrite(str(path), stored, list(options))
    return path


@pytest.mark.parametrize(("extension", "dtype", "shape"), LOSSLESS)
def test_lossless_formats_give_the_stored_values_in_rgb_order(tmp_path, extension, dtype, shape):
    image = noise(shape, dtype)
    read = read_image(write(tmp_path / f"image{extension}", image))
    assert read.dtype == dtype
    assert np.array_equal(read, image)


@pytest.mark.parametrize("extension", JPEG)
@pytest.mark.parametrize("pixel", [77, (200, 100, 20)], ids=["grey", "colour"])
def test_jpeg_gives_the_stored_values_nearly_and_in_rgb_order(tmp_path, extension, pixel):
    image = np.tile(np.array(pixel, np.uint8), (16, 16, 1)).squeeze()
    read = read_image(write(tmp_path / f"image{extension}", image))
    assert np.allclose(read, image, atol=3)
    assert read.shape == image.shape


def test_every_extension_is_tried_here():
    assert {extension for extension, _, _ in LOSSLESS} | set(JPEG) | ELSEWHERE == set(EXTENSIONS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_dropped(tmp_path, dtype):
    image = noise((9, 7, 4), dtype)
    assert np.array_equal(read_image(write(tmp_path / "image.png", image)), image[..., :3])


def test_floating_point_tiff_keeps_its_values(tmp_path):
    image = np.random.default_rng(0).normal(size=GREY).astype(np.float32)
    read = read_image(write(tmp_path / "image.tif", image))
    assert read.dtype == np.float32
    assert np.array_equal(read, image)


def test_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", np.zeros(GREY, np.complex64))
    with pytest.raises(ImageError, match=r"image\.tif has complex numbers"):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize(("extension", "options"), TORN)
def test_a_torn_file_is_refused(tmp_path, extension, options):
    smooth = cv2.GaussianBlur(noise((40, 30)), (0, 0), 3)
    image = np.dstack([smooth] * 3) if extension == ".ppm" else smooth
    path = write(tmp_path / f"torn{extension}", image, options)
    data, whole = path.read_bytes(), read_image(path)
    for length in np.linspace(1, 0.97 * len(data), 30).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError, match="torn"):
            read_image(path)
    for length in range(len(data) - 8, len(data)):
        # A file may end with bytes that hold no pixels.
        path.write_bytes(data[:length])
        try:
            read = read_image(path)
            if options == [cv2.IMWRITE_PXM_BINARY, 0]:
                read = np.append(read.flat[:-1], whole.flat[-1])  # a number less a digit is a number
            assert np.array_equal(read.ravel(), whole.ravel())
        except ImageError:
            pass


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_what_a_torn_file_lacks_is_said(tmp_path, extension):
    path = write(tmp_path / f"image{extension}", noise((40, 30)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match=r"is truncated: the end of the image is missing"):
        read_image(path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path):
    path = write(tmp_path / "image.jpg", noise((40, 30)))
    thumbnail, data = cv2.imencode(".jpg", noise((8, 8)))[1].tobytes(), path.read_bytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = data[:2] + segment + data[2:]
    whole = read_image(path)
    path.write_bytes(with_thumbnail)
    assert np.array_equal(read_image(path), whole)
    path.write_bytes(with_thumbnail[:-100])
    with pytest.raises(ImageError, match="is truncated"):
        read_image(path)


def test_a_damaged_png_is_refused(tmp_path):
    path = write(tmp_path / "image.png", noise((40, 30)))
    data = bytearray(path.read_bytes())
    data[600:620] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"image\.png is damaged: the checksum of its chunk b'IDAT'"):
        read_image(path)


@pytest.mark.parametrize(("shape", "dtype"), [((6, 7), np.uint8), ((6, 7, 3), np.uint16)])
def test_no_flipped_bit_of_a_png_passes(tmp_path, shape, dtype):
    # OpenCV holds the pixels' chunks against their checksums, the reader the others.
    path = write(tmp_path / "image.png", noise(shape, dtype))
    data = path.read_bytes()
    read_image(path)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(ImageError):
            read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", r"is empty \(0 bytes\)"),
        (b"path,label\n", "is broken or not an image"),
        (bytes(range(256)) * 4, "is broken or not an image"),
    ],
    ids=["missing", "empty", "text", "garbage"],
)
def test_what_is_no_image_is_named(tmp_path, content, message):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"image\.png {message}"):
        read_image(path)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_the_content_counts_not_the_extension(tmp_path):
    image = noise(COLOUR)
    path = write(tmp_path / "image.png", image).rename(tmp_path / "image.bmp")
    assert np.array_equal(read_image(path), image)


@pytest.mark.parametrize(
    ("stored", "dtype", "spec", "expected"),
    [
        ([0, 51, 255], np.uint8, ImageSettings(), [0, 0.2, 1]),
        ([0, 13107, 65535], np.uint16, ImageSettings(), [0, 0.2, 1]),
        ([10, 20, 30], np.uint8, ImageSettings(value_range="minmax"), [0, 0.5, 1]),
        ([-1.0, 0.0, 3.0], np.float32, ImageSettings(value_range="minmax"), [0, 0.25, 1]),
        # The 10th and 90th of 0, 10 ... 100 are 10 and 90.
        (
            list(range(0, 101, 10)),
            np.uint8,
            ImageSettings(value_range="percentiles", percentiles=(10, 90)),
            [0, 0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1],
        ),
        # 12 bits of a detector, stored in 16.
        ([0, 819, 4095, 5000], np.uint16, ImageSettings(value_range="window"), [0, 0.2, 1, 1]),
        (
            [0, 1000, 1500, 3000, 65535],
            np.uint16,
            ImageSettings(value_range="window", window=(1000, 3000)),
            [0, 0, 0.25, 1, 1],
        ),
        ([7, 7], np.uint8, ImageSettings(value_range="minmax"), [0, 0]),
        ([7, 7], np.uint16, ImageSettings(value_range="percentiles"), [0, 0]),
        ([51, 51], np.uint8, ImageSettings(), [0.2, 0.2]),
    ],
)
def test_value_ranges(stored, dtype, spec, expected):
    unit = scale_to_unit(Decoded.of(np.array([stored], dtype)), spec)
    assert unit.dtype == np.float32
    assert np.allclose(unit, [expected], rtol=0, atol=1e-7)


def test_a_floating_point_image_has_no_range_of_its_own():
    with pytest.raises(ImageError, match=r"images\.value_range"):
        scale_to_unit(Decoded.of(np.zeros(GREY, np.float32)), ImageSettings())


@pytest.mark.parametrize(
    ("value", "value_range"),
    [(np.nan, "minmax"), (np.nan, "percentiles"), (np.nan, "window"), (np.inf, "minmax")],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_pixels_that_are_no_numbers_are_refused(tmp_path, value, value_range):
    image = np.arange(63, dtype=np.float32).reshape(GREY)
    image[3, 3] = value
    path = write(tmp_path / "image.tif", image)
    with pytest.raises(ImageError, match=r"image\.tif"):
        load_prepared(path, ImageSettings(value_range=value_range))


def test_sixteen_bits_are_not_crushed_to_eight():
    with pytest.raises(ImageError, match=r"images\.bits is 8: set images\.bits 16"):
        prepare(noise(GREY, np.uint16), ImageSettings(bits=8))


def test_sixteen_bits_become_eight_where_a_window_says_how():
    image = np.repeat([[0, 2048, 4095]], 3, axis=0).astype(np.uint16)
    prepared = prepare(image, ImageSettings(size=3, value_range="window"))
    assert prepared[..., 0].tolist() == [[0, 128, 255]] * 3


@pytest.mark.parametrize(("bits", "side"), [(8, 16), (16, 256)])
def test_every_level_survives_at_the_same_size(bits, side):
    image = np.arange(side * side).reshape(side, side).astype(f"uint{bits}")
    prepared = prepare(image, ImageSettings(size=side, bits=bits))
    assert prepared.dtype == image.dtype
    assert np.array_equal(prepared[..., 0], image)


def test_eight_bits_fill_sixteen():
    image = np.array([[0, 51], [102, 255]], np.uint8)
    prepared = prepare(image, ImageSettings(size=2, bits=16))
    assert prepared.dtype == np.uint16
    assert prepared[..., 0].tolist() == [[0, 13107], [26214, 65535]]


@pytest.mark.parametrize("shape", [(30, 40), (8, 8), (40, 30, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_prepared_image_has_the_declared_shape_and_type(shape, channels, bits):
    spec = ImageSettings(size=16, channels=channels, bits=bits)
    prepared = prepare(noise(shape), spec)
    assert prepared.shape == spec.shape == (16, 16, channels)
    assert prepared.dtype == spec.dtype == np.dtype(f"uint{bits}")


def test_shrinking_averages_and_enlarging_interpolates():
    image = noise((32, 32))
    means = image.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(prepare(image, ImageSettings(size=16))[..., 0] - means).max() <= 0.5 + 1e-4
    step = np.repeat([[0, 100]], 2, axis=0).astype(np.uint8)
    assert prepare(step, ImageSettings(size=4))[0, :, 0].tolist() == [0, 25, 75, 100]


def test_colour_becomes_luminance():
    pure = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]] * 3, np.uint8)
    prepared = prepare(pure, ImageSettings(size=3))
    assert prepared[0, :, 0].tolist() == [round(255 * w) for w in (0.299, 0.587, 0.114)]


def test_grey_is_repeated_and_colour_kept_in_three_channels():
    grey, colour = noise((5, 5)), noise((5, 5, 3))
    spec = ImageSettings(size=5, channels=3)
    assert np.array_equal(prepare(grey, spec), np.dstack([grey] * 3))
    assert np.array_equal(prepare(colour, spec), colour)


def test_loading_is_reading_and_preparing(tmp_path):
    image, spec = noise((20, 30)), ImageSettings(size=16)
    path = write(tmp_path / "image.png", image)
    assert np.array_equal(load_prepared(path, spec), prepare(image, spec))


def test_every_error_of_loading_names_the_file(tmp_path):
    deep = write(tmp_path / "deep.png", noise(GREY, np.uint16))
    with pytest.raises(ImageError, match=r"deep\.png: 16 bits per pixel"):
        load_prepared(deep, ImageSettings())
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        load_prepared(tmp_path / "missing.png", ImageSettings())


@pytest.mark.parametrize("value_range", ["minmax", "percentiles", "window"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_an_image_of_one_value_is_black_without_a_warning(value_range, dtype):
    spec = ImageSettings(size=4, value_range=value_range, window=(77.0, 90.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not prepare(np.full((5, 6), 77, dtype), spec).any()


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.float64])
def test_large_numbers_keep_what_tells_them_apart(dtype):
    values = (np.arange(4).reshape(2, 2) + 2**30).astype(dtype)
    spec = ImageSettings(size=2, value_range="minmax", bits=16)
    assert prepare(values, spec)[..., 0].tolist() == [[0, 21845], [43690, 65535]]


def test_signed_numbers_have_the_range_of_their_type(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-32768, 32767]], np.int16))
    spec = ImageSettings(size=1, bits=16, value_range="dtype")
    unit = to_unit(decode(tmp_path / "a.tif"), spec)
    assert unit.tolist() == [[0, 1]]


def test_preprocessing_changes_the_resized_image(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    plain = load_prepared(path, ImageSettings(size=16, channels=3))
    changed = load_prepared(
        path, ImageSettings(size=16, channels=3, preprocess=("gaussian_blur", "canny"))
    )
    np.testing.assert_array_equal(changed, canny(gaussian_blur(plain)))
    assert not np.array_equal(changed, plain)


def test_settings_come_back_from_json():
    spec = ImageSettings(size=16, percentiles=(1.0, 99.0), preprocess=("grey",))
    assert ImageSettings.from_dict(json.loads(json.dumps(asdict(spec)))) == spec
    for wrong in (asdict(spec) | {"colour": 1}, {"size": 16}):
        with pytest.raises(TypeError):
            ImageSettings.from_dict(wrong)


@pytest.mark.filterwarnings("error")
def test_floating_point_values_that_are_far_apart(tmp_path):
    path, most = tmp_path / "a.tif", np.finfo(np.float32).max
    image = np.array([[-most, 0, most], [most / 2, 1, -most / 2]], np.float32)
    cv2.imwrite(str(path), image)
    spec = ImageSettings(size=8, value_range="minmax")
    expected = [[0, 0.5, 1], [0.75, 0.5, 0.25]]
    assert np.allclose(scale_to_unit(decode(path), spec), expected)
    window = dataclasses.replace(spec, value_range="window", window=(-most, -most / 2))
    assert np.allclose(scale_to_unit(decode(path), window), [[0, 1, 1], [1, 1, 1]])
    cv2.imwrite(str(path), np.array([[-1.7e308, 1.7e308]]))
    with pytest.raises(ImageError, match=r"a\.tif: values from -1\.7e\+308 to 1\.7e\+308 are too far"):
        load_prepared(path, spec)
