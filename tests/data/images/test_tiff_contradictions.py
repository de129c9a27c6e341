"""TIFF whose strips or tags say something else than its directory: refused, and before memory is taken."""

import numpy as np
import pytest
import tifffile

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.images.tiff_sizes import size_inside
from tests.data.images.kinds import noise, smooth

pillow = pytest.importorskip("PIL.Image", reason="Pillow is missing")


def tiff(tags, strip):
    """A little-endian TIFF of one strip.

    Args:
        tags: number -> (type, value); a type of 1 is a byte, of 3 a short.
        strip: its bytes.
    """
    tags = {**tags, 273: (4, 8), 278: (3, tags[257][1]), 279: (4, len(strip))}
    rows = b"".join(
        number.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + b"\1\0\0\0"
        + value.to_bytes(4, "little")
        for number, (kind, value) in sorted(tags.items())
    )
    strip += b"\0" * (len(strip) % 2)
    directory = len(tags).to_bytes(2, "little") + rows + bytes(4)
    return b"II*\0" + (8 + len(strip)).to_bytes(4, "little") + strip + directory


def tags(height, width, photometric=1, compression=1, **more):
    found = {
        256: (3, width),
        257: (3, height),
        258: (3, 8),
        259: (3, compression),
        262: (3, photometric),
    }
    return found | {277: (3, 1)} | {int(name[1:]): value for name, value in more.items()}


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("number", "name", "value"),
    [
        (266, "FillOrder", 2),
        (274, "Orientation", 6),
        (292, "T4Options", 1),
        (284, "PlanarConfiguration", 1),
    ],
)
def test_a_tag_that_is_written_as_bytes_is_not_passed_over(tmp_path, number, name, value):
    stored, path = noise("u1", (6, 7)), tmp_path / "a.tif"
    path.write_bytes(tiff(tags(6, 7), stored.tobytes()))
    assert np.array_equal(read_image(path).values, stored)
    data = tiff(tags(6, 7, **{f"t{number}": (1, value)}), stored.tobytes())
    assert f"its tag {name} ({number}) is of bytes" in refused(path, data)


def test_inks_that_are_not_cmyk(tmp_path):
    stored, path = noise("u1", (6, 7, 4)), tmp_path / "a.tif"
    for inks in (1, 2):
        options = {"photometric": "separated", "extratags": [(332, 3, 1, inks, True)]}
        tifffile.imwrite(path, stored, **options)
        if inks == 1:
            assert read_image(path).values.shape == (6, 7, 3)
        else:
            assert "inks that are not CMYK" in refused(path, path.read_bytes())


def picture(height, width, samples):
    stored = smooth((height, width, 3))
    return stored if samples == 3 else np.ascontiguousarray(stored[..., 0])


def jpeg(stored, path, **options):
    pillow.fromarray(stored).save(path, "JPEG", quality=95, **options)
    return path.read_bytes()


def test_a_jpeg_with_fewer_colours_is_not_rgb(tmp_path):
    stored, path = smooth((16, 16, 3)), tmp_path / "a.tif"
    wanted = tags(16, 16, 2, 7, t277=(3, 3), t258=(3, 8))
    data = tiff(wanted, jpeg(stored, tmp_path / "a.jpg", subsampling=2))
    assert "whose colours have fewer pixels, as only YCbCr has" in refused(path, data)
    path.write_bytes(tiff(wanted, jpeg(stored, tmp_path / "a.jpg", subsampling=0)))
    assert read_image(path).values.shape == (16, 16, 3)


def test_jpeg_of_signed_numbers(tmp_path):
    stored, path = picture(16, 16, 1), tmp_path / "a.tif"
    coded = jpeg(stored, tmp_path / "a.jpg")
    unsigned = read_image(tmp_path / "a.jpg").values
    path.write_bytes(tiff(tags(16, 16, 1, 7, t339=(3, 2)), coded))
    found = read_image(path)
    assert found.values.dtype == np.int8
    assert np.array_equal(found.values, unsigned.view(np.int8))


# Compression -> how imagecodecs makes it.
CODECS = {
    34712: ("jpeg2k_encode", {"codecformat": "J2K", "level": 0, "reversible": True}),
    33003: ("jpeg2k_encode", {"codecformat": "JP2", "level": 0, "reversible": True}),
    50001: ("webp_encode", {"lossless": True}),
    50002: ("jpegxl_encode", {"lossless": True}),
    52546: ("jpegxl_encode", {"lossless": True, "usecontainer": True}),
    34887: ("lerc_encode", {}),
    34933: ("png_encode", {}),
    22610: ("jpegxr_encode", {}),
    34892: ("jpeg8_encode", {}),
}


@pytest.mark.parametrize("compression", CODECS)
def test_the_size_inside_a_strip_is_known_before_it_is_decoded(tmp_path, compression):
    codecs = pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    name, options = CODECS[compression]
    samples = 3 if compression == 50001 else 1
    sizes = [(21, 13), (300, 200), (200, 300), (64, 64), (8, 4000), (5, 3), (2000, 1000), (16, 9)]
    for width, height in sizes:
        stored = picture(height, width, samples)
        assert size_inside(compression, getattr(codecs, name)(stored, **options)) == (width, height)
    assert size_inside(compression, b"") is None
    assert size_inside(compression, bytes(100)) is None
    # As many pixels as the directory says, and yet another image.
    large = picture(8, 32, samples)
    wanted = tags(16, 16, 2 if samples == 3 else 1, compression, t277=(3, samples))
    message = refused(tmp_path / "a.tif", tiff(wanted, getattr(codecs, name)(large, **options)))
    assert "an image of 32 x 8 pixels, its header says 16 x 16" in message
