"""JPEG inside TIFF and DICOM is held to what a JPEG file is held to: no invented pixels."""

import re
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import read, smooth

heard_here = pytest.mark.skipif(not can_listen(), reason="C's stderr cannot be exchanged on this system")
CUT = {
    "zeroed": lambda data: data[: len(data) // 3] + bytes(len(data) - len(data) // 3),
    "halved": lambda data: data[: len(data) // 2],
    "halved and closed": lambda data: data[: len(data) // 2] + b"\xff\xd9",
}
MARKERS = ("is truncated: the end of the image is missing", "is damaged: premature end of data segment")


def strips(path, mode, size=(160, 200)):
    """A TIFF of JPEG strips by Pillow: its bytes, where each strip lies, and where its length stands."""
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8), size[::-1])
    Image.fromarray(pixels).convert(mode).save(path, compression="jpeg", tiffinfo={278: 32})
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        tag = page.tags[279]
        return path.read_bytes(), list(zip(page.dataoffsets, page.databytecounts, strict=True)), tag


@heard_here
@pytest.mark.parametrize("how", CUT)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "CMYK", "YCbCr"])
def test_a_damaged_strip_is_an_error(tmp_path, mode, how):
    path = tmp_path / "a.tif"
    data, places, tag = strips(path, mode)
    assert not isinstance(read(path), str)
    if (mode, how) == ("LA", "halved and closed"):
        return  # OpenCV does not decode two components: no more than the marker can be looked for
    for i, (place, size) in enumerate(places):
        damaged = bytearray(data)
        part = CUT[how](data[place : place + size])
        damaged[place : place + len(part)] = part
        if len(part) < size:
            step = 2 if tag.dtype == 3 else 4
            struct.pack_into("<H" if step == 2 else "<I", damaged, tag.valueoffset + step * i, len(part))
        path.write_bytes(damaged)
        outcome = read(path)
        assert isinstance(outcome, str), i
        assert outcome.startswith(f"is damaged: strip {i + 1} cannot be unpacked"), outcome


def test_strips_that_lack_their_end_marker_only_are_read(tmp_path):
    path = tmp_path / "a.tif"
    data, places, tag = strips(path, "RGB")
    whole, damaged = read_image(path).values, bytearray(data)
    for i, (_, size) in enumerate(places):
        step = 2 if tag.dtype == 3 else 4
        struct.pack_into("<H" if step == 2 else "<I", damaged, tag.valueoffset + step * i, size - 2)
    path.write_bytes(damaged)
    outcome = read(path)
    if can_listen():
        assert np.array_equal(outcome.values, whole)


@heard_here
@pytest.mark.parametrize("how", CUT)
def test_a_truncated_frame_of_dicom_is_an_error_whatever_is_installed(tmp_path, how):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    path, encapsulate = tmp_path / "a.dcm", files.pydicom.encaps.encapsulate
    stack = np.stack([smooth((64, 64, 1))[..., 0]] * 2)
    whole = cv2.imencode(".jpg", stack[0])[1].tobytes()
    for frames in ([whole, whole], [whole, CUT[how](whole)]):
        dataset = files.make_dicom(
            stack, syntax=files.pydicom.uid.JPEGBaseline8Bit, PixelData=encapsulate(frames)
        )
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)
        assert not isinstance(read(f"{path}#1"), str)
        outcome = read(f"{path}#2")
        assert isinstance(outcome, str) == (frames[1] != whole)
        assert frames[1] == whole or outcome in MARKERS, outcome


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_kinds_that_opencv_does_not_decode_need_their_end_marker(tmp_path, name):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    pytest.importorskip("libjpeg", reason="pylibjpeg-libjpeg is missing")
    source = files.pydicom.data.get_testdata_file(name, download=False)
    dataset = files.pydicom.dcmread(source)
    (data,) = files.pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = files.pydicom.encaps.encapsulate([data[: len(data) // 2]])
    dataset.save_as(tmp_path / "a.dcm")
    assert not isinstance(read(source), str)
    assert read(tmp_path / "a.dcm") == "is truncated: the end of the image is missing"


@heard_here
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_wherever_a_jpeg_file_is_cut_it_is_said_to_be_cut(tmp_path, progressive, end):
    path = tmp_path / "a.jpg"
    data = cv2.imencode(".jpg", smooth((40, 56, 3)), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1]
    data = data.tobytes()
    for length in range(4, len(data) - 60):  # that the last codes are missing may not be noticed
        if progressive and end and re.search(rb"\xff[\xc4\xda]", data[length - 1 : length + 2]):
            continue  # whole scans and an end marker: a JPEG of fewer scans
        path.write_bytes(data[:length] + end)
        assert read(path) in MARKERS, length
