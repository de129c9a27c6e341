"""Whatever is raised inside a reader, in whatever function: one file cannot be read, others can."""

import importlib

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.cache import build_cache
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.frames import count_frames, name_frames
from mindspore_dpus.data.images.measures import measure, measure_images
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.images.tiles import Tiles, load_tiles

IMAGES = "mindspore_dpus.data.images"
GREY = np.arange(600, dtype=np.uint8).reshape(20, 30)


class Odd(Exception):
    """Of no kind that anybody expects."""


EXCEPTIONS = [
    Odd("first line\nsecond line"),
    Odd(),
    MemoryError(),
    RecursionError("too deep"),
    ValueError("a value"),
    KeyError("a key"),
    AttributeError("no such thing"),
    OverflowError("too large"),
    AssertionError(),
    OSError(5, "Input/output error"),
    cv2.error("a bad argument"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no start"),
]
# Module, function, ending of a file whose reading goes through it.
READING = [
    ("reading", "split_frame", ".png"),
    ("reading", "read_opened", ".png"),
    ("formats", "find_format", ".png"),
    ("formats", "load", ".png"),
    ("png", "read_whole", ".png"),
    ("png", "_look_through", ".png"),
    ("jpeg", "jpeg_orientation", ".jpg"),
    ("jpeg", "_decode", ".jpg"),
    ("bmp", "_read_header", ".bmp"),
    ("bmp", "_pixels", ".bmp"),
    ("opencv", "cv2.imdecode", ".jpg"),
    ("pnm", "_decode", ".pgm"),
    ("tiff_directories", "TiffFile", ".tif"),
    ("tiff_directories", "_walk", ".tif"),
    ("tiff", "layout_of", ".tif"),
    ("tiff", "_read_segments", ".tif"),
    ("tiff", "upright", ".tif"),
    ("tiff_codecs", "unpack_by_libtiff", ".tif"),
    ("tiff_codecs", "TiffImagePlugin.TiffImageFile", ".tif"),
    ("tiff_codecs", "unpack", ".tiff"),
    ("tiff_codecs", "to_numbers", ".tiff"),
    ("tiff_codecs", "undo_differences", ".tiff"),
    ("dicom", "read_header", ".dcm"),
    ("dicom", "count_frames", ".dcm"),
    ("dicom", "give_meaning", ".dcm"),
    ("dicom_values", "_modality", ".dcm"),
    ("dicom_values", "_voi", ".dcm"),
]
PREPARING = [
    ("preparing", "to_unit", ".png"),
    ("preparing", "check_range", ".png"),
    ("preparing", "scale_to_unit", ".png"),
    ("preparing", "fit", ".png"),
    ("preparing", "cv2.resize", ".png"),
]
MEASURING = [
    ("measures", "check_range", ".png"),
    ("measures", "low_frequencies", ".png"),
    ("phash", "cv2.dct", ".png"),
]


def write(path):
    if path.suffix == ".dcm":
        files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
        return files.write_dicom(path, GREY, WindowCenter=100, WindowWidth=50)
    # 8: Deflate, which is unpacked here, while LZW is libtiff's.
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 8] if path.suffix == ".tiff" else []
    assert cv2.imwrite(str(path), GREY, options)
    return path


def spoil(monkeypatch, module, name, error):
    """Let a function of a module raise."""
    owner = importlib.import_module(f"{IMAGES}.{module}")
    *inner, name = name.split(".")
    for part in inner:
        owner = getattr(owner, part)
    calls = []

    def fail(*args, **kwargs):
        calls.append(1)
        raise error

    monkeypatch.setattr(owner, name, fail)
    return calls


def refused(path, load):
    with pytest.raises(ImageError) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) > len(str(path)) + 10  # a reason


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("module", "name", "ending"), READING)
def test_whatever_a_reader_raises_is_one_unreadable_row(
    tmp_path, monkeypatch, module, name, ending, error
):
    path = write(tmp_path / f"a{ending}")
    spec = ImageSettings(size=8)
    load_prepared(path, spec)
    importlib.import_module(f"{IMAGES}.tiff_directories")._last[0] = (None, ())
    calls = spoil(monkeypatch, module, name, error)
    refused(path, lambda: load_prepared(path, spec))
    refused(path, lambda: load_tiles(path, spec, Tiles(size=16)))
    assert calls
    assert measure(path, spec)["error"].startswith(str(path))
    if name != "split_frame":
        assert count_frames(path) == 1
        assert name_frames(path.name, tmp_path) == [path.name]


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("module", "name", "ending"), PREPARING)
def test_whatever_preparing_raises_concerns_one_file(tmp_path, monkeypatch, module, name, ending, error):
    path = write(tmp_path / f"a{ending}")
    assert spoil(monkeypatch, module, name, error) == []
    refused(path, lambda: load_prepared(path, ImageSettings(size=8)))


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("module", "name", "ending"), MEASURING)
def test_whatever_measuring_raises_concerns_one_file(tmp_path, monkeypatch, module, name, ending, error):
    path = write(tmp_path / f"a{ending}")
    spoil(monkeypatch, module, name, error)
    assert measure(path, ImageSettings())["error"].startswith(str(path))


def test_audit_and_training_name_the_file_and_go_on(tmp_path, monkeypatch):
    names = ["good.png", "bad.bmp", "fine.png"]
    for name in names:
        write(tmp_path / name)
    spoil(monkeypatch, "bmp", "_read_header", Odd("surprise"))
    errors = measure_images(names, tmp_path, ImageSettings()).table["error"].tolist()
    assert errors == ["", f"{tmp_path}/bad.bmp cannot be read: Odd (surprise)", ""]
    table = pd.DataFrame({"path": names})
    listing = tmp_path / "unreadable.csv"
    with pytest.raises(UserError, match=r"bad\.bmp cannot be read: Odd \(surprise\) \(1 of 3 images"):
        build_cache(table, tmp_path, ImageSettings(size=8), tmp_path / "cache", listing)
    assert pd.read_csv(listing)["path"].tolist() == ["bad.bmp"]
