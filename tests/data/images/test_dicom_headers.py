"""DICOM headers that say something else than what is in the file: read as it is, or refused."""

import io

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.reading import read_image

files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
image_module = pytest.importorskip("PIL.Image", reason="Pillow is missing")
pydicom = files.pydicom
UID = pydicom.uid
RNG = np.random.default_rng(0)
STORED = RNG.integers(0, 4096, (7, 9)).astype("<u2")


def write(path, dataset):
    dataset.save_as(path, enforce_file_format=True)
    return path


def with_meta_of(path, dataset, syntax):
    """A file whose file meta information is that of another transfer syntax."""
    own, other = (path.with_name(f"{name}.dcm") for name in ("own", "other"))
    write(own, dataset)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == UID.ImplicitVRLittleEndian:
        dataset["PixelData"].VR = "OW"
    write(other, dataset)
    first = b"\x08\0\x16\0"  # SOP Class UID, the first element of both
    head, body = other.read_bytes(), own.read_bytes()
    path.write_bytes(head[: head.index(first)] + body[body.index(first) :])
    return path


SYNTAXES = [UID.ImplicitVRLittleEndian, UID.ExplicitVRLittleEndian]


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("written", "named"), [SYNTAXES, SYNTAXES[::-1]])
def test_elements_are_read_as_they_are_written(tmp_path, written, named, frames):
    stored = np.stack([STORED + i for i in range(frames)]) if frames > 1 else STORED
    dataset = files.make_dicom(stored, syntax=written)
    path = with_meta_of(tmp_path / "a.dcm", dataset, named)
    assert pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID == named
    assert count_frames(path) == frames
    for i in range(frames):
        name = f"{path}#{i + 1}" if frames > 1 else path
        assert np.array_equal(read_image(name).values, STORED + i)


@pytest.mark.parametrize(("written", "named"), [SYNTAXES, SYNTAXES[::-1]])
def test_single_bits_are_read_as_they_are_written(tmp_path, written, named):
    bits = RNG.integers(0, 2, (8, 16)).astype(np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset = files.make_dicom(bits, syntax=written, BitsAllocated=1, BitsStored=1, PixelData=packed)
    dataset["PixelData"].VR = "OW"
    path = with_meta_of(tmp_path / "a.dcm", dataset, named)
    assert np.array_equal(read_image(path).values, bits)


@pytest.mark.parametrize("number", [40_000, 65_535, 65_536])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_tables_of_any_length_with_signed_pixels(tmp_path, syntax, number):
    entries = RNG.integers(0, 65536, number).astype("<u2")
    stored = RNG.integers(-32768, 32768, (20, 30)).astype("<i2")
    item = pydicom.Dataset()
    # Read as signed, as the pixels are: the number becomes a negative one.
    item.add_new("LUTDescriptor", "SS", [number % 65536, -20000, 16])
    item.add_new("LUTData", "OW", entries.tobytes())
    dataset = files.make_dicom(stored, syntax=syntax, ModalityLUTSequence=[item])
    found = read_image(write(tmp_path / "a.dcm", dataset)).values
    expected = entries[np.clip(stored.astype(int) + 20000, 0, number - 1)]
    assert np.array_equal(found, expected)


SHAPES = [((7, 9), "u1"), ((1, 1), "u1"), ((7, 9), "u2"), ((1, 1), "u2")]


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
@pytest.mark.parametrize("syntax", [*SYNTAXES, UID.RLELossless])
@pytest.mark.parametrize(("there", "named"), [(3, None), (3, 2), (4, 2)])
def test_further_frames_are_not_dropped(tmp_path, shape, dtype, syntax, there, named):
    stored = RNG.integers(0, 256, (there, *shape)).astype(dtype)
    dataset = files.make_dicom(stored, syntax=syntax)
    if syntax == UID.RLELossless:
        dataset.file_meta.TransferSyntaxUID = UID.ExplicitVRLittleEndian
        dataset.compress(syntax, encoding_plugin="pydicom")
    path = write(tmp_path / "a.dcm", dataset)
    assert count_frames(path) == there  # as many as are named: fine
    read_image(f"{path}#{there}")
    if named is None:
        del dataset.NumberOfFrames
    else:
        dataset.NumberOfFrames = named
    write(path, dataset)
    # One pixel of a byte may be one more, as the element has an even length.
    held = "[34]" if shape == (1, 1) else there
    for name in (path, f"{path}#1"):
        with pytest.raises(
            ImageError, match=rf"is broken: it holds {held} frames and names {named or 1}"
        ):
            read_image(name)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("ending", ["JPEG", "JPEG2000"])
def test_further_compressed_frames_are_found_without_a_table_of_offsets(tmp_path, ending, table):
    syntax = UID.JPEGBaseline8Bit if ending == "JPEG" else UID.JPEG2000
    image = (STORED // 16).astype("u1")
    coded = io.BytesIO()
    image_module.fromarray(image).save(coded, ending)
    data = coded.getvalue()
    dataset = files.make_dicom(image, syntax=syntax)
    for frames, refused in ((1, False), (2, True)):
        dataset.PixelData = pydicom.encaps.encapsulate([data] * frames, has_bot=table)
        dataset["PixelData"].is_undefined_length = True
        path = write(tmp_path / "a.dcm", dataset)
        if refused:
            with pytest.raises(ImageError, match="it holds 2 frames and names 1"):
                read_image(path)
        else:
            read_image(path)
    # One frame in two pieces is one.
    dataset.PixelData = pydicom.encaps.encapsulate([data], fragments_per_frame=2, has_bot=table)
    read_image(write(path, dataset))


@pytest.mark.parametrize("syntax", [*SYNTAXES, UID.ExplicitVRBigEndian])
@pytest.mark.parametrize("length", [500, 2000])
def test_compressed_data_that_are_said_not_to_be_compressed(tmp_path, syntax, length):
    """More of them or fewer than the pixels would take."""
    path, image = tmp_path / "a.dcm", np.zeros((32, 32), "u1")
    dataset = files.make_dicom(image, syntax=syntax)
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(range(250)) * (length // 250)])
    dataset["PixelData"].VR = "OB"
    data = write(path, dataset).read_bytes()
    place = data.index(dataset.PixelData)
    path.write_bytes(data[: place - 4] + b"\xff\xff\xff\xff" + data[place:])
    for name in (path, f"{path}#1"):
        with pytest.raises(
            ImageError, match=rf"no length, .* \({syntax.name}.*\): correct its Transfer"
        ):
            read_image(name)


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.2", "1.2.3.4"])
def test_a_transfer_syntax_that_is_none_of_dicom(tmp_path, syntax, preamble):
    path, dataset = tmp_path / "a.dcm", files.make_dicom(STORED)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    path.write_bytes((bytes(128) + b"DICM") * preamble + path.read_bytes())
    with pytest.raises(
        ImageError,
        match=rf"transfer syntax {syntax}, a maker's own or one that pydicom does not know: export",
    ):
        read_image(path)


def test_bytes_behind_the_last_frame_are_no_frame(tmp_path):
    for extra in (0, 2, STORED.nbytes - 2):
        path = files.write_dicom(tmp_path / "a.dcm", STORED, PixelData=STORED.tobytes() + bytes(extra))
        assert np.array_equal(read_image(path).values, STORED)


def test_the_colours_of_two_pixels_are_of_two(tmp_path):
    dataset = files.make_dicom(np.zeros((2, 4, 6), "u1"), PhotometricInterpretation="YBR_FULL_422")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PixelData = bytes(2 * 4 * 6 * 2)
    path = write(tmp_path / "a.dcm", dataset)
    assert read_image(f"{path}#2").values.shape == (4, 6, 3)
    dataset.NumberOfFrames = 1
    with pytest.raises(ImageError, match="it holds 2 frames and names 1"):
        read_image(write(path, dataset))


def palette(stored, number, bits, data, **elements):
    dataset = files.make_dicom(stored, PhotometricInterpretation="PALETTE COLOR", **elements)
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [number, 0, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", data)
    return dataset


@pytest.mark.parametrize("number", [255, 256])
def test_a_palette_of_eight_bits_may_be_written_in_words(tmp_path, number):
    stored = RNG.integers(0, 256, (7, 9)).astype("u1")
    entries = np.arange(number)[::-1]
    for data in (entries.astype("<u2").tobytes(), entries.astype("u1").tobytes() + b"\0" * (number % 2)):
        image = read_image(write(tmp_path / "a.dcm", palette(stored, number, 8, data)))
        expected = entries[np.minimum(stored, number - 1)]
        assert image.values.dtype == np.uint8
        assert np.array_equal(image.values, np.dstack([expected] * 3))
        assert (image.bits, image.limits) == (8, (0, 255))


def test_a_palette_of_sixteen_bits_that_says_eight(tmp_path):
    stored = RNG.integers(0, 256, (7, 9)).astype("u1")
    entries = np.arange(256) * 257
    image = read_image(
        write(tmp_path / "a.dcm", palette(stored, 256, 8, entries.astype("<u2").tobytes()))
    )
    assert image.bits == 16
    assert np.array_equal(image.values[..., 0], entries[stored])


def test_numbers_beyond_a_palette_of_eight_bits_have_its_last_colour(tmp_path):
    data = np.arange(256, dtype="u1")[::-1].tobytes()
    image = read_image(
        write(tmp_path / "a.dcm", palette(np.array([[0, 255, 300]], "<u2"), 256, 8, data))
    )
    assert image.values[0, :, 1].tolist() == [255, 0, 0]


def test_a_palette_in_big_endian(tmp_path):
    stored = RNG.integers(0, 256, (7, 9)).astype("u1")
    entries = np.arange(256)[::-1]
    swapped = entries.astype("u1").reshape(-1, 2)[:, ::-1].tobytes()
    for bits, data in ((16, (entries * 257).astype(">u2").tobytes()), (8, swapped)):
        dataset = palette(stored, 256, bits, data, syntax=UID.ExplicitVRBigEndian)
        found = read_image(write(tmp_path / "a.dcm", dataset)).values
        assert np.array_equal(found[..., 2], entries[stored] * (257 if bits == 16 else 1))


@pytest.mark.parametrize(
    ("number", "bits", "n_bytes", "message"),
    [
        (200, 16, 200, "a palette of 16 bits and 200 entries in 200 bytes, where 2 bytes"),
        (200, 8, 300, "a palette of 8 bits and 200 entries in 300 bytes, where 1 or 2 bytes"),
        (200, 12, 400, "a palette of 12 bits; 8 and 16 are read"),
    ],
)
def test_a_palette_that_is_not_as_its_descriptor_says(tmp_path, number, bits, n_bytes, message):
    dataset = palette(np.zeros((7, 9), "u1"), number, bits, bytes(n_bytes))
    with pytest.raises(ImageError, match=rf"a\.dcm has {message}"):
        read_image(write(tmp_path / "a.dcm", dataset))


def test_a_palette_in_segments(tmp_path):
    stored = np.array([[0, 1, 2, 3]], "u1")
    dataset = palette(stored, 4, 16, b"")
    for name in ("Red", "Green", "Blue"):
        delattr(dataset, f"{name}PaletteColorLookupTableData")
        # Two entries as they are, then a line of two to 900.
        segments = np.array([0, 2, 100, 300, 1, 2, 900], "<u2").tobytes()
        setattr(dataset, f"Segmented{name}PaletteColorLookupTableData", segments)
    values = read_image(write(tmp_path / "a.dcm", dataset)).values
    assert values[0, :, 0].tolist() == [100, 300, 600, 900]


FLOATS = {"f4": ("FloatPixel", 32), "f8": ("DoubleFloatPixel", 64)}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("padding", "limit"), [(-9999.25, None), (-9999.25, -9000), (np.nan, None)])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_of_floating_point_is_no_picture(tmp_path, dtype, padding, limit, kind):
    name, bits = FLOATS[dtype]
    picture = RNG.normal(size=(7, 9)).astype(dtype)
    stored = picture.copy()
    stored[:2] = padding if limit is None else -9500.5
    dataset = files.make_dicom(STORED, PhotometricInterpretation=kind)
    for element in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, element)
    dataset.BitsAllocated = bits
    setattr(dataset, f"{name}Data", stored.tobytes())
    setattr(dataset, f"{name}PaddingValue", padding)
    if limit is not None:
        setattr(dataset, f"{name}PaddingRangeLimit", limit)
    found = read_image(write(tmp_path / "a.dcm", dataset)).values
    darkest = picture[2:].max() if kind == "MONOCHROME1" else picture[2:].min()
    assert np.array_equal(found[2:], picture[2:])
    assert (found[:2] == darkest).all()


@pytest.mark.parametrize("name", ["WindowCenter", "RescaleSlope", "RescaleIntercept"])
def test_a_number_that_is_none_is_named(tmp_path, name):
    elements = {"WindowCenter": 1.5, "WindowWidth": 1.5, "RescaleSlope": 1.5, "RescaleIntercept": 1.5}
    path = files.write_dicom(tmp_path / "a.dcm", STORED, **elements)
    tag = pydicom.tag.Tag(name)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"DS\x04\0"
    data = path.read_bytes()
    assert data.count(head + b"1.5 ") == 1
    path.write_bytes(data.replace(head + b"1.5 ", head + b"1,5 "))
    with pytest.raises(ImageError, match=rf"a\.dcm has a {name} that cannot be read \(.*1,5"):
        read_image(path)


def test_a_compressed_image_of_other_channels_or_bits(tmp_path):
    data = cv2.imencode(".jpg", (STORED // 16).astype("u1"))[1].tobytes()
    pixels = pydicom.encaps.encapsulate([data])
    for wrong, said in (
        ({"BitsAllocated": 16, "BitsStored": 8}, "MONOCHROME2, 1 of 16 bits"),
        (
            {"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3},
            "YBR_FULL_422, 3 of 8 bits",
        ),
    ):
        dataset = files.make_dicom(STORED.astype("u1"), syntax=UID.JPEGBaseline8Bit, PixelData=pixels)
        for name, value in wrong.items():
            setattr(dataset, name, value)
        dataset.PlanarConfiguration = 0
        dataset["PixelData"].is_undefined_length = True
        with pytest.raises(ImageError, match=f"other channels or bits than its header says: {said}"):
            read_image(write(tmp_path / "a.dcm", dataset))
