"""JPEG inside TIFF and DICOM is held to what a JPEG file is held to: no invented pixels."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from mindspore_dpus.core.printed import can_listen
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import check, read, smooth

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


def strips_of(
    parts, photometric, *, samples=1, size=(48, 40), tile=None, rows=16, planar=1, factors=None
):
    """A TIFF of JPEGs, by hand, of little-endian byte order."""
    height, width = size
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [8] * samples), (259, 3, [7])]
    tags += [(262, 3, [photometric]), (277, 3, [samples]), (284, 3, [planar])]
    tags += [(530, 3, list(factors))] if factors else []
    lengths = [len(part) for part in parts]
    places = [8 + sum(lengths[:i]) for i in range(len(parts))]
    if tile:
        tags += [(322, 4, [tile]), (323, 4, [tile]), (324, 4, places), (325, 4, lengths)]
    else:
        tags += [(278, 4, [rows]), (273, 4, places), (279, 4, lengths)]
    start = 8 + sum(lengths)
    place, entries, values = start + 2 + 12 * len(tags) + 4, b"", b""
    for tag, kind, numbers in sorted(tags):
        data = np.array(numbers, {3: "<u2", 4: "<u4"}[kind]).tobytes()
        entries += struct.pack("<HHI", tag, kind, len(numbers))
        if len(data) > 4:
            entries += struct.pack("<I", place + len(values))
            values += data
        else:
            entries += data.ljust(4, b"\0")
    head = struct.pack("<4sI", b"II*\0", start)
    return head + b"".join(parts) + struct.pack("<H", len(tags)) + entries + bytes(4) + values


def packed(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def seen(*parts):
    """What Pillow makes of JPEGs, one below the other."""
    return np.concatenate([np.asarray(Image.open(io.BytesIO(part))) for part in parts])


@pytest.mark.parametrize("mode", ["L", "YCbCr"])
def test_a_jpeg_of_another_size_than_its_strip_is_an_error(tmp_path, mode):
    path = tmp_path / "a.tif"
    pixels = smooth((48, 40, 3)) if mode == "YCbCr" else smooth((48, 40, 1))[..., 0]
    photometric, samples = (6, 3) if mode == "YCbCr" else (1, 1)

    def write(*parts):
        path.write_bytes(strips_of(parts, photometric, samples=samples))

    parts = [packed(pixels[i : i + 16], subsampling=0) for i in (0, 16, 32)]
    write(*parts)
    check(read(path), seen(*parts), mode, 3)
    higher = [*parts[:2], packed(np.concatenate([pixels[32:], pixels[32:40]]), subsampling=0)]
    write(*higher)  # what is behind the last row is cut off
    check(read(path), seen(*higher)[:48], mode, 3)
    others = {
        f"40 x 8 x {samples}": pixels[16:24],
        f"32 x 16 x {samples}": pixels[16:32, :32],
        f"40 x 24 x {samples}": pixels[16:40],
        f"40 x 16 x {4 - samples}": smooth((16, 40, 3)) if mode == "L" else pixels[16:32, :, 0],
    }
    for found, other in others.items():
        write(parts[0], packed(other), parts[2])
        assert read(path) == (
            f"is broken: strip 2 is a JPEG of {found}, its header says 40 x 16 x {samples}"
        )
    write(*parts[:2], packed(pixels[32:40]))
    assert "strip 3 is a JPEG of 40 x 8 x" in read(path)


def test_a_jpeg_that_is_cut_to_the_image_may_fill_a_tile_at_its_edge(tmp_path):
    path, pixels = tmp_path / "a.tif", smooth((48, 40, 1))[..., 0]
    corners = [(y, x) for y in (0, 32) for x in (0, 32)]
    for padded in (pixels, np.pad(pixels, ((0, 16), (0, 24)), "edge")):
        parts = [packed(padded[y : y + 32, x : x + 32]) for y, x in corners]
        path.write_bytes(strips_of(parts, 1, tile=32))
        assert np.abs(read(path).values.astype(int) - pixels).max() < 9
    parts[3] = packed(pixels[32:47, 32:])
    path.write_bytes(strips_of(parts, 1, tile=32))
    assert read(path) == "is broken: tile 4 is a JPEG of 8 x 15 x 1, its header says 8 x 16 x 1"


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("tagged", [True, False])
def test_a_jpeg_says_itself_how_its_colours_are_reduced(tmp_path, factors, tagged):
    path, pixels = tmp_path / "a.tif", smooth((48, 40, 3))
    names = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
    parts = [packed(pixels[i : i + 16], subsampling=names[factors]) for i in (0, 16, 32)]
    path.write_bytes(strips_of(parts, 6, samples=3, factors=factors if tagged else None))
    check(read(path), seen(*parts), factors, 3)


def test_colours_that_a_jpeg_contradicts_are_refused(tmp_path):
    path, pixels = tmp_path / "a.tif", smooth((48, 40, 3))
    path.write_bytes(strips_of([packed(pixels, keep_rgb=True)], 6, samples=3, rows=48))
    assert read(path) == "is broken: strip 1 is a JPEG of RGB, its header says YCbCr"
    path.write_bytes(strips_of([packed(pixels, keep_rgb=True)], 2, samples=3, rows=48))
    assert np.abs(read(path).values.astype(int) - pixels).max() < 9
    planes = [packed(pixels[..., i]) for i in range(3)]
    path.write_bytes(strips_of(planes, 6, samples=3, rows=48, planar=2))
    assert read(path) == "has YCbCr pixels in separate planes, which are not read"
    path.write_bytes(strips_of(planes, 2, samples=3, rows=48, planar=2))
    assert np.abs(read(path).values.astype(int) - pixels).max() < 9


def with_markers(jpeg, *markers):
    """A JPEG with other markers of what its colours are: JFIF's, and Adobe's with a transform."""
    head = {"JFIF": b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"}
    head |= {i: b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([i]) for i in (0, 1, 2)}
    tables = jpeg.index(b"\xff\xdb")
    return b"\xff\xd8" + b"".join(head[marker] for marker in markers) + jpeg[tables:]


@pytest.mark.parametrize("rows", [16, 48])
@pytest.mark.parametrize("photometric", [1, 2, 6])
@pytest.mark.parametrize("markers", [(), ("JFIF",), (1,), ("JFIF", 1)])
def test_a_strip_is_decoded_once_and_its_directory_says_what_its_colours_are(
    tmp_path, monkeypatch, photometric, markers, rows
):
    path, pixels = tmp_path / "a.tif", smooth((48, 40, 3))[..., : 1 if photometric == 1 else 3]
    samples = pixels.shape[2]
    each = [packed(pixels[i : i + rows].squeeze(), subsampling=0) for i in range(0, 48, rows)]
    parts = [with_markers(part, *markers) for part in each]
    path.write_bytes(strips_of(parts, photometric, samples=samples, rows=rows))
    with Image.open(path) as image:
        by_libtiff = np.asarray(image)
    decoded, decode = [], cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: decoded.append(args) or decode(*args))
    monkeypatch.setattr(TiffImagePlugin, "TiffImageFile", None)
    assert np.array_equal(read_image(path).values, by_libtiff)
    assert len(decoded) == len(parts)


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
        path.write_bytes(data[:length] + end)
        assert read(path) in MARKERS, length
