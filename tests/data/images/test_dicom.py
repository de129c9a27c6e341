"""DICOM files that pydicom writes, against pydicom's own pipeline and the standard's formulas."""

import sys

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared, scale_to_unit
from mindspore_dpus.data.images.reading import read_image
from tests.data.dicom_files import group, lut, make_dicom, pydicom, write_dicom

from pydicom.data import get_testdata_file  # isort: skip
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array  # isort: skip

SYNTAX = pydicom.uid


def noise(bits, signed=False, shape=(9, 7)):
    """Every value that so many bits can hold may occur, the ends do."""
    low = -(1 << bits - 1) if signed else 0
    values = np.random.default_rng(0).integers(low, low + (1 << bits), shape)
    values.flat[:2] = low, low + (1 << bits) - 1
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def unit(path, value_range="file", **keys):
    spec = ImageSettings(value_range=value_range, bits=16, **keys)
    return scale_to_unit(read_image(path, spec.value_range == "file"), spec)


def reference(path, voi=True):
    """The same by pydicom, its output range as the standard gives it for rescale and tables."""
    dataset = pydicom.dcmread(path)
    bits, low = dataset.BitsStored, 0
    if dataset.PixelRepresentation:
        low = -(1 << bits - 1)
    limits = np.array([low, low + (1 << bits) - 1], float)
    limits = limits * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    if "ModalityLUTSequence" in dataset:
        limits = np.array([0, (1 << dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1])
    values = apply_modality_lut(dataset.pixel_array, dataset)
    if voi:
        values = apply_voi_lut(values, dataset)
        if "VOILUTSequence" in dataset:
            limits = np.array([0, (1 << dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1])
    result = (values - limits.min()) / (limits.max() - limits.min())
    return 1 - result if dataset.PhotometricInterpretation == "MONOCHROME1" else result


RESCALE = {"RescaleSlope": 0.5, "RescaleIntercept": -100}
WINDOW = {"WindowCenter": 60.5, "WindowWidth": 80}
ELEMENTS = {
    "plain": {},
    "rescale": RESCALE,
    "window": WINDOW,
    "window after rescale": RESCALE | {"WindowCenter": -50, "WindowWidth": 60.25},
    "exact window": {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "step": {"WindowCenter": 60.5, "WindowWidth": 1},
    "first of two windows": {"WindowCenter": [30, 90], "WindowWidth": [20, 10]},
    "VOI table": {"VOILUTSequence": [lut(range(0, 4000, 40), 20, 12)]},
    "VOI table before window": {"VOILUTSequence": [lut(range(0, 4000, 40), 20, 12)], **WINDOW},
    "modality table": {"ModalityLUTSequence": [lut(range(65535, 0, -700), 10)]},
    "VOI table after modality table": {
        "ModalityLUTSequence": [lut(range(65535, 0, -700), 10)],
        "VOILUTSequence": [lut(range(32000), 5000)],
    },
    "window after modality table": {
        "ModalityLUTSequence": [lut(range(65535, 0, -700), 10)],
        "WindowCenter": 30000,
        "WindowWidth": 20000,
    },
}


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("bits", "signed"), [(8, False), (8, True), (12, False), (12, True), (16, False)]
)
@pytest.mark.parametrize("elements", ELEMENTS.values(), ids=ELEMENTS)
def test_the_file_is_shown_as_by_pydicom(tmp_path, elements, bits, signed, kind):
    path = write_dicom(
        tmp_path / "a.dcm",
        noise(bits, signed),
        BitsStored=bits,
        PhotometricInterpretation=kind,
        **elements,
    )
    assert np.allclose(unit(path), reference(path), rtol=0, atol=1e-6)
    assert np.allclose(unit(path, "dtype"), reference(path, voi=False), rtol=0, atol=1e-6)


@pytest.mark.parametrize("syntax", [SYNTAX.ImplicitVRLittleEndian, SYNTAX.ExplicitVRLittleEndian])
def test_tables_do_not_depend_on_how_elements_are_written(tmp_path, syntax):
    elements = ELEMENTS["VOI table after modality table"] | {"syntax": syntax, "BitsStored": 12}
    path = write_dicom(tmp_path / "a.dcm", noise(12, signed=True), **elements)
    assert np.allclose(unit(path), reference(path), rtol=0, atol=1e-6)


def test_a_window_in_numbers(tmp_path):
    # PS3.3, C.11.2.1.2.1: centre 2048, width 4096 is the whole of 12 bits.
    stored = np.array([[0, 1024, 2047, 2048, 3072, 4095]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    assert np.allclose(unit(path), stored / 4095, atol=1e-7)


def test_a_falling_rescale_turns_the_order_round(tmp_path):
    elements = {"RescaleSlope": -2, "RescaleIntercept": 510}
    path = write_dicom(tmp_path / "a.dcm", np.array([[0, 51, 255]], np.uint8), **elements)
    assert read_image(path).values.tolist() == [[510, 408, 0]]
    assert np.allclose(unit(path, "dtype"), [[1, 0.8, 0]])


def test_a_long_table_of_eight_bits_does_not_wrap_around(tmp_path):
    # pydicom keeps its places in the entries' type: 300 becomes 44.
    entries = [i // 16 for i in range(4096)]
    stored = np.array([[0, 44, 300, 4095]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, VOILUTSequence=[lut(entries, bits=8)])
    assert np.allclose(unit(path) * 255, [[0, 2, 18, 255]])


def test_settings_of_single_frames_go_before_those_of_all(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm",
        np.full((2, 3, 4), 30, np.uint16),
        SharedFunctionalGroupsSequence=[
            group("PixelValueTransformationSequence", RescaleSlope=2, RescaleIntercept=-10)
        ],
        PerFrameFunctionalGroupsSequence=[
            group("FrameVOILUTSequence", WindowCenter=50.5, WindowWidth=101),
            group("FrameVOILUTSequence", WindowCenter=100.5, WindowWidth=201),
        ],
        WindowCenter=1000,
        WindowWidth=2,
    )
    assert read_image(f"{path}#1", use_voi=False).values[0, 0] == 50
    assert [unit(f"{path}#{i}")[0, 0] for i in (1, 2)] == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"value_range": "minmax"}, [0, 0.5, 1]),
        ({"value_range": "percentiles", "percentiles": (0, 50)}, [0, 1, 1]),
        ({"value_range": "window", "window": (-100, 900)}, [0, 0.5, 1]),
        ({"value_range": "window", "window": (400, 1400)}, [0, 0, 0.5]),
        ({"value_range": "dtype"}, [0, 500 / 4095, 1000 / 4095]),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_other_ranges_leave_the_file_window_and_count_in_rescaled_values(
    tmp_path, keys, expected, inverted
):
    path = write_dicom(
        tmp_path / "a.dcm",
        np.array([[0, 500, 1000]], np.uint16),
        BitsStored=12,
        RescaleSlope=1,
        RescaleIntercept=-100,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        **WINDOW,
    )
    expected = [1 - value for value in expected] if inverted else expected
    assert np.allclose(unit(path, **keys), [expected], atol=1e-6)


def test_twelve_bits_are_not_crushed_to_eight_unless_the_file_says_how(tmp_path):
    stored = noise(12)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12)
    with pytest.raises(ImageError, match=r"a\.dcm: 12 bits per pixel, but images\.bits is 8"):
        load_prepared(path, ImageSettings())
    path = write_dicom(tmp_path / "b.dcm", stored, BitsStored=12, **WINDOW)
    assert load_prepared(path, ImageSettings(size=16)).max() == 255
    with pytest.raises(ImageError, match=r"b\.dcm: 12 bits"):
        load_prepared(path, ImageSettings(value_range="dtype"))


def test_bits_that_are_not_stored_do_not_count(tmp_path):
    # PS3.5, 8.1.1: old files keep overlays there.
    path = write_dicom(tmp_path / "a.dcm", np.array([[0x0123, 0xF123]], np.uint16), BitsStored=12)
    assert read_image(path).values.tolist() == pixel_array(path).tolist() == [[0x0123, 0x0123]]


def test_floating_point_pixels_are_read_and_have_no_range(tmp_path):
    values = np.array([[-1.5, 0, 2.5]], np.float32)
    dataset = make_dicom(values, FloatPixelData=values.tobytes())
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, name)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(tmp_path / "a.dcm").values, values)
    with pytest.raises(ImageError, match=r"a\.dcm: floating-point pixels have no fixed range"):
        load_prepared(tmp_path / "a.dcm", ImageSettings())


def test_colour(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    dataset = make_dicom(image[..., 0], SamplesPerPixel=3, PhotometricInterpretation="RGB")
    dataset.PlanarConfiguration, dataset.PixelData = 0, image.tobytes()
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(tmp_path / "a.dcm").values, image)


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_are_looked_up(tmp_path, bits):
    stored = noise(8)
    colours = np.random.default_rng(1).integers(0, 1 << bits, (3, 256)).astype(f"<u{bits // 8}")
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), colours, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        elements[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    image = read_image(write_dicom(tmp_path / "a.dcm", stored, **elements))
    assert np.array_equal(image.values, colours.T[stored])
    assert image.bits == bits


@pytest.mark.parametrize("compressed", [False, True])
def test_each_frame_is_that_of_pydicom(tmp_path, compressed):
    stored = noise(12, shape=(3, 20, 30))
    dataset = make_dicom(stored, BitsStored=12)
    if compressed:
        dataset.compress(SYNTAX.RLELossless, encoding_plugin="pydicom")
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    for i in range(3):
        assert np.array_equal(read_image(f"{tmp_path}/a.dcm#{i + 1}").values, stored[i])
        assert np.array_equal(pixel_array(tmp_path / "a.dcm", index=i), stored[i])
    with pytest.raises(ImageError, match=r"a\.dcm#4 holds 3 frames: there is no frame 4"):
        read_image(f"{tmp_path}/a.dcm#4")
    with pytest.raises(ImageError, match=r"a\.dcm holds 3 frames: add #1 to #3"):
        read_image(tmp_path / "a.dcm")


def test_only_the_frame_that_is_wanted_is_decoded(tmp_path):
    stored = noise(8, shape=(3, 20, 30))
    dataset = make_dicom(stored)
    dataset.compress(SYNTAX.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    broken = [frames[0], b"\xff" * len(frames[1]), frames[2]]
    dataset.PixelData = pydicom.encaps.encapsulate(broken)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(read_image(f"{tmp_path}/a.dcm#3").values, stored[2])
    with pytest.raises(ImageError, match=r"a\.dcm#2 cannot be read as DICOM"):
        read_image(f"{tmp_path}/a.dcm#2")


@pytest.mark.parametrize(
    "name",
    [
        "JPGExtended.dcm",
        "JPEGLSNearLossless_16.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
    ],
)
def test_compressed_files_of_other_programs(name):
    path = get_testdata_file(name, download=False)
    assert np.array_equal(read_image(path, use_voi=False).values, pixel_array(path))


def compress(path, syntax, data, rows=8, columns=8):
    pixels = pydicom.encaps.encapsulate([data])
    dataset = make_dicom(np.zeros((rows, columns), np.uint8), syntax=syntax, PixelData=pixels)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_missing_plug_in_is_named(tmp_path):
    if pydicom.pixels.get_decoder(SYNTAX.HTJ2KLossless).is_available:
        pytest.skip("the plug-in for HTJ2K is installed here")
    path = compress(tmp_path / "a.dcm", SYNTAX.HTJ2KLossless, b"\0\0")
    with pytest.raises(
        ImageError, match=r"is compressed as .*; pylibjpeg-openjpeg is missing: pip install"
    ):
        read_image(path)


def test_a_compression_that_nothing_reads_is_named(tmp_path):
    path = compress(tmp_path / "a.dcm", SYNTAX.MPEG2MPML, b"\0\0")
    with pytest.raises(ImageError, match=r"is compressed as MPEG2 .*, which pydicom does not"):
        read_image(path)


@pytest.mark.parametrize("side", [8, 16])
def test_the_compressed_image_has_the_size_that_the_header_says(tmp_path, side):
    data = cv2.imencode(".jpg", np.full((side, side), 77, np.uint8))[1].tobytes()
    path = compress(tmp_path / "a.dcm", SYNTAX.JPEGBaseline8Bit, data)
    if side == 8:
        assert read_image(path).values.tolist() == [[77] * 8] * 8
    else:
        with pytest.raises(ImageError, match="its compressed image is 16 x 16 .* header says 8 x 8"):
            read_image(path)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0}, r"the LINEAR window 5\.0 \(centre\), 0\.0 \(width\)"),
        (WINDOW | {"VOILUTFunction": "CUBIC"}, "a window of the unknown function CUBIC"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, r"the Rescale Slope 0\.0"),
        # float32 holds infinity or zero of these.
        ({"RescaleSlope": 1e37, "RescaleIntercept": 1}, r"the Rescale Slope 1e\+37"),
        ({"RescaleSlope": -1e308, "RescaleIntercept": 1e308}, r"the Rescale Slope -1e\+308"),
        ({"RescaleSlope": 1e-300, "RescaleIntercept": 0}, "the Rescale Slope 1e-300"),
        ({"RescaleSlope": 1e-6, "RescaleIntercept": 1e6}, "the Rescale Slope 1e-06"),
        ({"VOILUTSequence": [lut([1], bits=17)]}, "a look-up table of 17 bits with 1 of 1 entries"),
    ],
)
def test_what_cannot_be_applied_is_said(tmp_path, elements, message):
    path = write_dicom(tmp_path / "a.dcm", noise(8), **elements)
    with pytest.raises(ImageError, match=rf"a\.dcm has {message}"):
        read_image(path)


def test_a_file_without_pixels_is_no_image(tmp_path):
    dataset = make_dicom(noise(8))
    del dataset.PixelData
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"a\.dcm holds no pixels, or is truncated"):
        read_image(tmp_path / "a.dcm")
    del dataset.Rows
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"a\.dcm holds no image: it has no Rows"):
        read_image(tmp_path / "a.dcm")


def test_a_deflated_file_is_inflated_as_far_as_its_header_says(tmp_path):
    syntax, stored = SYNTAX.DeflatedExplicitVRLittleEndian, noise(8, shape=(3, 20, 30))
    path = write_dicom(tmp_path / "a.dcm", stored, syntax=syntax)
    for i in range(3):
        assert np.array_equal(read_image(f"{path}#{i + 1}").values, stored[i])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 500])
    with pytest.raises(ImageError, match=r"a\.dcm#3 is truncated: its deflated data end too soon"):
        read_image(f"{path}#3")


def test_a_deflated_file_of_gigabytes_costs_none(tmp_path):
    syntax = SYNTAX.DeflatedExplicitVRLittleEndian
    dataset = make_dicom(noise(8), syntax=syntax)
    dataset.PixelData = bytes(400 << 20)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"a\.dcm is broken: it inflates to more than its header's \d+"):
        read_image(tmp_path / "a.dcm")


def test_without_pydicom_its_installation_is_named(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", noise(8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path} is DICOM, for which pydicom is missing: pip install 'mindspore_dpus[dicom]'"
    )
