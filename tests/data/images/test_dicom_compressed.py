"""Compressed DICOM whose header says something else than its image; and files that are not yet complete."""

import io

import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import noise, smooth

files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
pillow = pytest.importorskip("PIL.Image", reason="Pillow is missing")
pydicom = files.pydicom
UID = pydicom.uid


def write(path, coded, stored, syntax, **elements):
    """A file around a compressed image."""
    data = pydicom.encaps.encapsulate([coded])
    dataset = files.make_dicom(
        stored[..., 0] if stored.ndim == 3 else stored, syntax=syntax, PixelData=data, **elements
    )
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path, enforce_file_format=True)
    return path


def encode(stored, kind, **options):
    coded = io.BytesIO()
    pillow.fromarray(stored).save(coded, kind, **options)
    return coded.getvalue()


@pytest.mark.parametrize("meaning", ["RGB", "YBR_RCT"])
def test_the_order_of_colours_is_the_compressed_images(tmp_path, meaning):
    stored = smooth((16, 24, 3))
    coded = encode(stored, "JPEG2000", irreversible=False, mct=int(meaning != "RGB"))
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": meaning}
    for order in (0, 1):
        path = write(
            tmp_path / "a.dcm", coded, stored, UID.JPEG2000Lossless, PlanarConfiguration=order, **colours
        )
        assert np.array_equal(read_image(path).values, stored)


def test_the_order_of_jpegs_colours(tmp_path):
    stored = smooth((16, 24, 3))
    coded = encode(stored, "JPEG", quality=95, subsampling=0)
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"}
    one, other = (
        read_image(
            write(
                tmp_path / "a.dcm", coded, stored, UID.JPEGBaseline8Bit, PlanarConfiguration=p, **colours
            )
        ).values
        for p in (0, 1)
    )
    assert np.array_equal(one, other)
    assert np.abs(one.astype(int) - stored).max() < 16


def test_an_image_of_more_bits_than_the_header_says(tmp_path):
    deep = noise("u2", (16, 24))
    coded = encode(deep, "JPEG2000", irreversible=False)
    path = tmp_path / "a.dcm"
    assert np.array_equal(read_image(write(path, coded, deep, UID.JPEG2000Lossless)).values, deep)
    write(path, coded, deep.astype("u1"), UID.JPEG2000Lossless)
    with pytest.raises(ImageError, match=r"other channels or bits .*1 of 8 bits \(8 used\)"):
        read_image(path)
    write(path, coded, deep, UID.JPEG2000Lossless, BitsStored=12, HighBit=11)
    with pytest.raises(ImageError, match=r"other channels or bits .*1 of 16 bits \(12 used\)"):
        read_image(path)
    # As many programs write 12 bits: the codec is told 16.
    low = deep >> 4
    coded = encode(low, "JPEG2000", irreversible=False)
    path = write(path, coded, low, UID.JPEG2000Lossless, BitsStored=12, HighBit=11)
    found = read_image(path)
    assert np.array_equal(found.values, low)


@pytest.mark.parametrize("syntax", [UID.ExplicitVRLittleEndian, UID.ImplicitVRLittleEndian])
@pytest.mark.parametrize("whole", [0, 60], ids=["from the start", "later"])
def test_zeros_instead_of_elements_are_a_file_that_is_not_complete(tmp_path, syntax, whole):
    dataset = files.make_dicom(noise("u1", (16, 24)), syntax=syntax)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    data = (tmp_path / "a.dcm").read_bytes()
    begin = 144 + int.from_bytes(data[140:144], "little")
    # Elements end after some 60 bytes, whatever these are.
    ends = [begin]
    with open(tmp_path / "a.dcm", "rb") as file:
        file.seek(begin)
        for element in pydicom.filereader.data_element_generator(
            file, syntax.is_implicit_VR, True, defer_size=1
        ):
            ends.append(file.tell() if element else ends[-1])
    end = next(place for place in ends if place >= begin + whole)
    (tmp_path / "a.dcm").write_bytes(data[:end] + bytes(1 << 20))
    with pytest.raises(ImageError, match="not yet complete: it holds zeros instead of elements"):
        read_image(tmp_path / "a.dcm")
