"""Every kind of DICOM that pydicom writes here: its pixels, with its rescale, or the reason."""

import io

import numpy as np
import pytest

from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.measures import measure
from mindspore_dpus.data.images.preparing import ImageSettings
from tests.data.images.kinds import HEIGHT, WIDTH, check, noise, read, smooth, some

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


def save_as_implicit(dataset, path):
    """With its elements in implicit VR, whatever its transfer syntax, which pydicom's ``save_as`` refuses."""
    meta, elements = pydicom.filebase.DicomBytesIO(), pydicom.filebase.DicomBytesIO()
    pydicom.filewriter.write_file_meta_info(meta, dataset.file_meta)
    elements.is_little_endian = elements.is_implicit_VR = True
    pydicom.filewriter.write_dataset(elements, dataset)
    path.write_bytes(bytes(128) + b"DICM" + meta.getvalue() + elements.getvalue())


def encode(syntax, stored):
    """A frame, compressed: by Pillow, or RLE by pydicom."""
    if syntax == UID.RLELossless:
        dataset = files.make_dicom(stored[..., 0] if stored.ndim == 3 else stored)
        dataset.compress(syntax, encoding_plugin="pydicom")
        return pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
    pillow, coded = pytest.importorskip("PIL.Image", reason="Pillow is missing"), io.BytesIO()
    pillow.fromarray(stored).save(coded, "JPEG2000" if "2000" in syntax.name else "JPEG")
    return coded.getvalue()


def test_compressed_frames(tmp_path):
    """However their elements are written, in one piece or several, with a table of offsets that is right,
    empty, or wrong: pydicom gets the right one."""
    path, number = tmp_path / "a.dcm", 0
    syntaxes = (UID.RLELossless, UID.JPEGBaseline8Bit, UID.JPEG2000Lossless)
    options = {"syntax": syntaxes, "samples": (1, 3), "frames": (1, 3), "pieces": (1, 2)}
    for case in some(40, **options, implicit=(False, True), table=("right", "none", "wrong")):
        syntax, frames, pieces = case["syntax"], case["frames"], case["pieces"]
        shape = (16, 24) if case["samples"] == 1 else (16, 24, 3)
        if syntax == UID.RLELossless and (pieces > 1 or case["samples"] > 1):
            continue  # of RLE, a frame is one piece
        stored = [smooth((16, 24, 3))[..., : case["samples"]].reshape(shape) + i for i in range(frames)]
        coded = [encode(syntax, frame) for frame in stored]
        dataset = files.make_dicom(stored[0][..., 0] if case["samples"] == 3 else stored[0])
        dataset.NumberOfFrames, dataset.SamplesPerPixel = frames, case["samples"]
        if case["samples"] == 3:
            dataset.PlanarConfiguration = 0
            dataset.PhotometricInterpretation = "YBR_FULL_422" if "2000" not in syntax.name else "RGB"
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = data = pydicom.encaps.encapsulate(coded, pieces)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        reference = dataset.pixel_array.reshape(frames, *shape)
        if case["table"] == "none":
            dataset.PixelData = pydicom.encaps.encapsulate(coded, pieces, has_bot=False)
        elif case["table"] == "wrong":  # the last frame begins four bytes later than it does
            place = 4 + 4 * frames
            last = int.from_bytes(data[place : place + 4], "little") + 4
            dataset.PixelData = data[:place] + last.to_bytes(4, "little") + data[place + 4 :]
        if case["implicit"]:
            save_as_implicit(dataset, path)
        else:
            dataset.save_as(path, enforce_file_format=True)
        assert count_frames(path) == frames, case
        for name, frame in zip(names(path, frames), reference, strict=True):
            check(read(name), frame, case)
        number += 1
    assert number > 25


def test_colours_that_two_pixels_share(tmp_path):
    path, number = tmp_path / "a.dcm", 0
    options = {"syntax": SYNTAXES[:4], "frames": (1, 2, 3), "further": (0, 2)}
    for case in some(None, **options, size=("of two", "full")):
        frames, full = case["frames"], case["size"] == "full"
        stored = noise("u1", (frames * HEIGHT, 12 * (3 if full else 2)))
        elements = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "NumberOfFrames": frames}
        elements |= {"PhotometricInterpretation": "YBR_FULL_422", "Rows": HEIGHT, "Columns": 12}
        assert write(path, stored, case["syntax"], **elements)
        if case["further"]:
            dataset = pydicom.dcmread(path)
            dataset.PixelData += bytes(case["further"])
            dataset.save_as(path, enforce_file_format=True)
        number += 1
        if full:
            for name in names(path, frames):
                check(read(name), "has 3 bytes a pixel, and YBR_FULL_422", case)
            with pytest.raises(ValueError, match="a third larger"):
                assert pydicom.dcmread(path).pixel_array.size
            continue
        assert count_frames(path) == frames
        reference = pydicom.dcmread(path).pixel_array.reshape(frames, HEIGHT, 12, 3)
        for i, name in enumerate(names(path, frames)):
            check(read(name), reference[i], case)
    assert number == 48


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


@pytest.mark.parametrize("syntax", SYNTAXES[:3])
@pytest.mark.parametrize("preamble", [False, True])
def test_whatever_its_first_element_is(tmp_path, syntax, preamble):
    """Without file meta information."""
    stored, path = noise("u2"), tmp_path / "IM001"
    first = {"ImageType": ["ORIGINAL", "PRIMARY"], "Modality": "CR", "PatientName": "A^B"}
    first |= {"PatientID": "1", "SliceThickness": 2, "StudyInstanceUID": "1.2.3", "Rows": None}
    for name, value in first.items():
        elements = {} if value is None else {name: value}
        write(path, stored, syntax, **elements)
        data = path.read_bytes()
        order = ">" if syntax == UID.ExplicitVRBigEndian else "<"
        tag = pydicom.tag.Tag(name if value is not None else "SamplesPerPixel")
        place = data.index(np.array([tag.group, tag.element], f"{order}u2").tobytes())
        path.write_bytes((bytes(128) + b"DICM") * preamble + data[place:])
        check(read(path), stored, (name, syntax, preamble))


@pytest.mark.parametrize("kind", ["HSV", "CMYK", "ARGB", "YBR_PARTIAL_422"])
def test_kinds_that_are_not_read_are_named(tmp_path, kind):
    files.write_dicom(tmp_path / "a.dcm", noise("u1"), PhotometricInterpretation=kind)
    assert f"has pixels of kind {kind}; MONOCHROME1" in read(tmp_path / "a.dcm")


@pytest.mark.parametrize("kind", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("dtype", ["u2", "u4"])
def test_luma_and_chroma_of_more_than_8_bits_are_not_read(tmp_path, kind, dtype):
    stored = np.stack([noise(dtype)] * 3, axis=-1)
    files.write_dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation=kind, PlanarConfiguration=0)
    bits = 8 * stored.itemsize
    assert f"has {kind} of {bits} bits, which DICOM defines for 8 bits" in read(tmp_path / "a.dcm")


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
