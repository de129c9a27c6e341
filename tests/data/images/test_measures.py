"""Each file is decoded once, and what the audit needs of it is kept."""

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.data.images.measures import load_measures, measure_images, save_measures
from mindspore_dpus.data.images.preparing import ImageSpec


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
    return measure_images(names, tmp_path, ImageSpec(value_range="minmax"))


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
