"""Every kind of DICOM that pydicom writes here: its pixels, with its rescale, or the reason."""

import numpy as np
import pytest

from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.measures import measure
from mindspore_dpus.data.images.preparing import ImageSettings
from tests.data.images.kinds import HEIGHT, WIDTH, check, noise, read, some

files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
pydicom = files.pydicom
UID = pydicom.uid
SYNTAXES = (
    UID.ImplicitVRLittleEndian,
    UID.ExplicitVRLittleEndian,
    UID.ExplicitVRBigEndian,
    UID.DeflatedExplicitVRLittleEndian,
    UID.RLELossless,
)
DEPTHS = ((8, 8), (8, 5), (16, 16), (16, 12), (16, 9), (32, 32), (32, 20))


def write(path, stored, syntax, **elements):
    """Write it in any transfer syntax; whether pydicom does."""
    if syntax == UID.RLELossless:
        dataset = files.make_dicom(stored, **elements)
        try:
            dataset.compress(syntax, encoding_plugin="pydicom")
        except ValueError:
            return False  # RLE is not for signed colours, for one
    else:
        if syntax == UID.ExplicitVRBigEndian:
            elements["PixelData"] = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
            if stored.dtype.itemsize == 1:
                elements["PixelData"] = big_endian_words(stored)
        dataset = files.make_dicom(stored, syntax=syntax, **elements)
        if "PixelData" in elements:
            dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return True


def big_endian_words(stored):
    """Bytes as OW: words of two, of which the second comes first."""
    data = stored.tobytes() + b"\0" * (stored.size % 2)
    return np.frombuffer(data, "<u2").astype(">u2").tobytes()


def frames_of(dtype, bits, signed, frames, shape):
    low = -(1 << bits - 1) if signed else 0
    rng = np.random.default_rng(bits)
    stored = rng.integers(low, low + (1 << bits), (frames, *shape)).astype(dtype)
    return stored if frames > 1 else stored[0]


def names(path, frames):
    return [f"{path}#{i + 1}" for i in range(frames)] if frames > 1 else [path]


def test_grey(tmp_path):
    path, number = tmp_path / "a.dcm", 0
    options = {"syntax": SYNTAXES, "depth": DEPTHS, "signed": (False, True), "frames": (1, 3)}
    kinds = ("MONOCHROME1", "MONOCHROME2")
    for case in some(None, **options, kind=kinds, rescale=(None, (2, -7.5))):
        (allocated, bits), signed = case["depth"], case["signed"]
        dtype = f"{'i' if signed else 'u'}{allocated // 8}"
        stored = frames_of(dtype, bits, signed, case["frames"], (HEIGHT, WIDTH))
        elements = {"BitsStored": bits, "PhotometricInterpretation": case["kind"]}
        slope, intercept = case["rescale"] or (1, 0)
        if case["rescale"]:
            elements |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
        if not write(path, stored, case["syntax"], **elements):
            continue
        assert count_frames(path) == case["frames"], case
        reference = pydicom.dcmread(path).pixel_array
        assert np.array_equal(reference, stored), case  # the file is what it should be
        for name, frame in zip(names(path, case["frames"]), np.atleast_3d(stored.T).T, strict=True):
            outcome = read(name)
            expected = frame if not case["rescale"] else (frame * float(slope) + intercept)
            expected = expected.astype(np.float32) if case["rescale"] else expected
            check(outcome, expected, case, tolerance=1e3 if bits == 32 and case["rescale"] else 0)
            low = -(1 << bits - 1) if signed else 0
            limits = low * slope + intercept, (low + (1 << bits) - 1) * slope + intercept
            assert outcome.limits == limits, case
            assert outcome.inverted == (case["kind"] == "MONOCHROME1"), case
        number += 1
    assert number > 500


def test_colour(tmp_path):
    path, number = tmp_path / "a.dcm", 0
    options = {"syntax": SYNTAXES, "kind": ("RGB", "YBR_FULL"), "planar": (0, 1), "frames": (1, 3)}
    options["depth"] = ((8, 8), (16, 16), (16, 12), (32, 32))
    for case in some(None, **options, signed=(False, True)):
        (allocated, bits), planar = case["depth"], case["planar"]
        if case["kind"] != "RGB" and (bits != 8 or case["signed"]):
            continue
        if case["syntax"] == UID.RLELossless and planar:
            continue  # it has an order of its own
        dtype = f"{'i' if case['signed'] else 'u'}{allocated // 8}"
        stored = frames_of(dtype, bits, case["signed"], case["frames"], (HEIGHT, WIDTH, 3))
        laid = np.moveaxis(stored, -1, -3) if planar else stored
        elements = {
            "SamplesPerPixel": 3,
            "PhotometricInterpretation": case["kind"],
            "PlanarConfiguration": planar,
            "BitsStored": bits,
            "NumberOfFrames": case["frames"],
            "Rows": HEIGHT,
            "Columns": WIDTH,
        }
        laid = np.ascontiguousarray(laid).reshape(-1, WIDTH)
        if not write(path, laid, case["syntax"], **elements):
            continue
        dataset = pydicom.dcmread(path)
        reference = pydicom.pixels.pixel_array(dataset).reshape(case["frames"], HEIGHT, WIDTH, 3)
        for i, name in enumerate(names(path, case["frames"])):
            check(read(name), reference[i], case)
        if case["kind"] == "RGB":
            assert np.array_equal(reference.reshape(stored.shape), stored), case
        number += 1
    assert number > 120


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floating_point(tmp_path, dtype):
    stored = noise(dtype)
    name = {"f4": "FloatPixelData", "f8": "DoubleFloatPixelData"}[dtype]
    dataset = files.make_dicom(stored)
    del dataset.PixelData
    setattr(dataset, name, stored.tobytes())
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    check(read(tmp_path / "a.dcm"), stored, dtype)


@pytest.mark.parametrize("syntax", SYNTAXES[:4])
@pytest.mark.parametrize("frames", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (1, 1), (5, 5), (16, 16)])
def test_single_bits_of_frames_that_are_no_whole_bytes(tmp_path, syntax, frames, shape):
    stored = noise("?", (frames, *shape)).astype(np.uint8)
    path = tmp_path / "a.dcm"
    packed = np.packbits(stored.ravel(), bitorder="little")
    packed = np.pad(packed, (0, len(packed) % 2))
    if syntax == UID.ExplicitVRBigEndian:
        packed = packed.view("<u2").astype(">u2")
    elements = {"BitsAllocated": 1, "BitsStored": 1, "PixelData": packed.tobytes()}
    dataset = files.make_dicom(stored, syntax=syntax, **elements)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    if syntax != UID.ExplicitVRBigEndian:  # whose words pydicom leaves as they are
        assert np.array_equal(pydicom.dcmread(path).pixel_array.reshape(stored.shape), stored)
    for name, frame in zip(names(path, frames), stored, strict=True):
        outcome = read(name)
        check(outcome, frame, (syntax, frames))
        assert (outcome.limits, outcome.bits) == ((0, 1), 1)
    if syntax != UID.DeflatedExplicitVRLittleEndian and shape == (16, 16):
        path.write_bytes(path.read_bytes()[:-3])
        assert "is truncated" in read(names(path, frames)[-1])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_values_at_the_upper_end_of_what_is_allocated(tmp_path, syntax, signed, high):
    path, dtype = tmp_path / "a.dcm", "i2" if signed else "u2"
    stored = frames_of(dtype, 12, signed, 1, (HEIGHT, WIDTH))
    around = noise("u2") & np.uint16(0xFFFF ^ (0xFFF << (high - 11)))  # such as overlays
    data = (stored.view("u2") & 0xFFF) << (high - 11) | around
    if not write(path, data.astype("u2").view(dtype), syntax, BitsStored=12):
        pytest.skip("pydicom does not write this")
    dataset = pydicom.dcmread(path)
    dataset.HighBit = high
    dataset.save_as(path, enforce_file_format=True)
    outcome = read(path)
    check(outcome, stored, (syntax, signed, high))
    assert outcome.bits == 12


@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "f4"])
def test_equal_pixels_are_equal_in_any_byte_order(tmp_path, dtype):
    stored, found = noise(dtype), []
    for order, syntax in (("<", UID.ExplicitVRLittleEndian), (">", UID.ExplicitVRBigEndian)):
        data, path = stored.astype(f"{order}{dtype}").tobytes(), tmp_path / f"{ord(order)}.dcm"
        name = "FloatPixelData" if dtype == "f4" else "PixelData"
        dataset = files.make_dicom(stored, syntax=syntax, **{name: data})
        if dtype == "f4":
            del dataset.PixelData
        else:
            dataset["PixelData"].VR = "OW"
        dataset.save_as(path, enforce_file_format=True)
        assert read(path).values.dtype == np.dtype(dtype)
        found.append(measure(path, ImageSettings(bits=16, value_range="minmax")))
    assert found[0]["error"] == ""
    assert [row["pixels"] for row in found[1:]] == [found[0]["pixels"]]
    assert found[1]["dtype"] == np.dtype(dtype).name


@pytest.mark.parametrize("syntax", SYNTAXES[:3])
@pytest.mark.parametrize("meta", [False, True])
def test_without_preamble(tmp_path, syntax, meta):
    stored = noise("u2")
    path = tmp_path / "IM001"
    write(path, stored, syntax)
    data = path.read_bytes()[132:]
    if not meta:
        length = 12 + int.from_bytes(data[8:12], "little")
        data = data[length:]
    path.write_bytes(data)
    outcome = read(path)
    check(outcome, stored, (syntax, meta))


@pytest.mark.parametrize("kind", ["HSV", "CMYK", "ARGB", "YBR_PARTIAL_422"])
def test_kinds_that_are_not_read_are_named(tmp_path, kind):
    files.write_dicom(tmp_path / "a.dcm", noise("u1"), PhotometricInterpretation=kind)
    assert f"has pixels of kind {kind}; MONOCHROME1" in read(tmp_path / "a.dcm")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 5])
def test_padding_is_as_dark_as_the_darkest_of_the_picture(tmp_path, signed, kind, limit):
    stored = noise("i2" if signed else "u2") // 2 + (0 if signed else 1000)
    padding = -3 if signed else 3
    where = noise("?", seed=1)
    stored[where] = padding
    elements = {"PhotometricInterpretation": kind, "PixelPaddingValue": padding}
    if limit is not None:
        stored[0, 0], where[0, 0] = padding + 1, True
        elements["PixelPaddingRangeLimit"] = padding + limit
    files.write_dicom(tmp_path / "a.dcm", stored, **elements)
    ends = sorted((padding, padding + (limit or 0)))
    where = (stored >= ends[0]) & (stored <= ends[1])
    dark = stored[~where].max() if kind == "MONOCHROME1" else stored[~where].min()
    check(read(tmp_path / "a.dcm"), np.where(where, dark, stored), kind)
