"""Each file is decoded once, and what the audit needs of it is kept."""

import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.measures import load_measures, measure, measure_images, save_measures
from mindspore_dpus.data.images.phash import hash_bits
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared


@pytest.fixture
def measures(tmp_path):
    ramp = np.tile(np.arange(40, dtype=np.uint16), (20, 1)) * 100
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[:4] = 255
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    cv2.imwrite(str(tmp_path / "ramp.tif"), ramp)
    cv2.imwrite(str(tmp_path / "colour.png"), colour)
    (tmp_path / "empty.png").write_bytes(b"")
    nan = np.full((8, 8), np.nan, np.float32)
    cv2.imwrite(str(tmp_path / "nan.tif"), nan)
    names = ["ramp.png", "colour.png", "empty.png", "ramp.tif", "nan.tif"]
    return measure_images(names, tmp_path, ImageSettings(value_range="minmax"))


def test_what_is_measured(measures):
    table = measures.table.drop(columns="pixels")
    assert table.iloc[0].tolist() == ["", 20, 40, 1, "uint16", 0, 3900, 1 / 40, 1 / 40]
    assert table.iloc[1].tolist() == ["", 8, 8, 3, "uint8", 0, 255, 0.5, 0.5]
    assert measures.coefficients.shape == (5, 256)
    assert measures.coefficients.dtype == np.float32


def test_equal_pixels_are_equal_in_another_format(measures):
    pixels = measures.table["pixels"]
    assert pixels[0] == pixels[3]
    assert pixels[:2].nunique() == 2


def test_what_cannot_be_read_says_why(measures):
    errors = measures.table["error"]
    assert errors[[0, 1, 3]].tolist() == ["", "", ""]
    assert errors[2].endswith("empty.png is empty (0 bytes)")
    assert errors[4].endswith("nan.tif: some pixels are not numbers (nan or infinite)")
    assert measures.table["height"][[2, 4]].tolist() == [0, 0]
    assert not measures.coefficients[[2, 4]].any()


def test_measures_come_back_as_they_were(measures, tmp_path):
    save_measures(measures, tmp_path / "deep" / "measures.npz")
    again = load_measures(tmp_path / "deep" / "measures.npz")
    pd.testing.assert_frame_equal(again.table, measures.table)
    np.testing.assert_array_equal(again.coefficients, measures.coefficients)


def test_what_training_will_refuse_cannot_be_read_here(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    cv2.imwrite(str(tmp_path / "float.tif"), deep.astype(np.float32))
    names = ["deep.png", "float.tif"]
    errors = measure_images(names, tmp_path, ImageSettings()).table["error"]
    assert "16 bits per pixel, but images.bits is 8: set images.bits 16" in errors[0]
    assert "floating-point pixels have no fixed range" in errors[1]
    errors = measure_images(names, tmp_path, ImageSettings(bits=16)).table["error"]
    assert errors[0] == ""
    for value_range in ("minmax", "percentiles", "window"):
        spec = ImageSettings(value_range=value_range)
        assert measure_images(names, tmp_path, spec).table["error"].tolist() == ["", ""]


def test_a_window_that_shows_nothing_is_an_error_where_it_is_used(tmp_path):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    stored = np.arange(64, dtype=np.uint16).reshape(8, 8)
    for i, width in enumerate((40, 20, 0)):
        files.write_dicom(tmp_path / f"{i}.dcm", stored, WindowCenter=30, WindowWidth=width)
    names = ["0.dcm", "1.dcm", "2.dcm"]
    table = measure_images(names, tmp_path, ImageSettings()).table
    assert table["error"][:2].tolist() == ["", ""]  # 16 bits, but the window says how they are shown
    assert table["pixels"][0] == table["pixels"][1]  # copies, however they are shown
    assert "window 30.0 (centre), 0.0 (width), which shows nothing" in table["error"][2]
    other = measure_images(names, tmp_path, ImageSettings(value_range="minmax")).table
    assert other["error"].tolist() == ["", "", ""]


@pytest.mark.parametrize("dtype", [np.uint32, np.int16, np.int32, np.float64])
def test_colour_of_every_type_is_measured(tmp_path, dtype):
    tifffile = pytest.importorskip("tifffile")
    image = np.random.default_rng(0).integers(0, 30000, (9, 8, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    row = measure_images(["a.tif"], tmp_path, ImageSettings(value_range="minmax")).table.iloc[0]
    assert (row["error"], row["dtype"], row["channels"]) == ("", np.dtype(dtype).name, 3)
    assert row["high"] == image.max()


@pytest.mark.parametrize("value_range", ["minmax", "percentiles", "window"])
@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 3)])
@pytest.mark.parametrize("peak", [1e308, 1e100, 1e20])
def test_huge_numbers_are_measured_without_a_warning(tmp_path, value_range, shape, peak):
    path, spec = tmp_path / "a.tif", ImageSettings(32, 1, 16, value_range)
    values = np.random.default_rng(0).uniform(-1, 1, shape)
    values.flat[:40] = np.tile([1, -1], 20)
    kind = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(path, values * peak, photometric=kind)
    with warnings.catch_warnings(action="error"):
        row = measure(path, spec)
        try:
            load_prepared(path, spec)
            error = ""
        except ImageError as refused:
            error = str(refused)
    assert row["error"] == error
    assert ("are too far apart to be shown" in error) == (peak == 1e308 and value_range != "window")
    if not error:
        tifffile.imwrite(path, values, photometric=kind)
        plain = measure(path, spec)["coefficients"]
        assert np.array_equal(hash_bits(row["coefficients"][None]), hash_bits(plain[None]))
