"""How many images a TIFF holds, and which: several behind one directory, and below directories."""

import struct

import numpy as np
import pytest
import tifffile

from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import HEIGHT, WIDTH, noise, read

SIZE = HEIGHT * WIDTH


def directory_first(stack, *, description=b"", planes=0):
    """A TIFF as ImageJ writes large ones: a directory of one image, then all images; by hand.

    Args:
        stack: (N, HEIGHT, WIDTH) uint8.
        description: of ImageJ or another program.
        planes: of MetaMorph, as its second tag names them by its own length.
    """
    tags = [(256, 4, WIDTH), (257, 4, HEIGHT), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    tags += [(278, 4, HEIGHT), (279, 4, SIZE), (270, 2, description + b"\0"), (273, 4, 0)]
    tags += [(33628, 4, struct.pack("<II", 0, 0)), (33629, 5, bytes(24 * planes))] if planes else []
    end = 8 + 2 + 12 * len(tags) + 4
    place, entries, values = end, b"", b""
    total = sum(len(value) for _, _, value in tags if isinstance(value, bytes))
    for tag, kind, value in sorted(tags):
        if tag == 273:
            value = end + total
        if isinstance(value, int):
            entries += struct.pack("<HHII", tag, kind, 1, value)
            continue
        count = {2: len(value), 4: len(value) // 4, 5: len(value) // 24}[kind]
        entries += struct.pack("<HHII", tag, kind, count, place)
        values, place = values + value, place + len(value)
    head = struct.pack("<4sIH", b"II*\0", 8, len(tags))
    return head + entries + bytes(4) + values + stack.tobytes()


NAMED = {
    "ImageJ": {"description": b"ImageJ=1.53t\nimages=5\nslices=5\nunit=mm\n"},
    "ImageJ, no dimensions": {"description": b"ImageJ=1.53t\nimages=5\n"},
    "ImageJ, no number": {"description": b"ImageJ=1.53t\nchannels=5\nhyperstack=true\n"},
    "tifffile": {"description": b'{"shape": [5, %d, %d], "truncated": true}' % (HEIGHT, WIDTH)},
    "old tifffile": {"description": b"shape=(5, %d, %d)" % (HEIGHT, WIDTH)},
    "MetaMorph": {"planes": 5},
}


@pytest.mark.parametrize("kind", NAMED)
def test_images_behind_one_directory_are_all_there_or_the_file_is_refused(tmp_path, kind):
    path, stack = tmp_path / "a.tif", noise("u1", (5, HEIGHT, WIDTH))
    data = directory_first(stack, **NAMED[kind])
    path.write_bytes(data)
    assert count_frames(path) == 5
    for i in range(5):
        assert np.array_equal(read_image(f"{path}#{i + 1}").values, stack[i])
    for lost, held in ((1, 4), (SIZE, 4), (3 * SIZE, 2), (4 * SIZE, 1), (4 * SIZE + 1, 0)):
        path.write_bytes(data[:-lost])
        assert count_frames(path) == 1
        assert read(path) == f"is truncated: it names 5 images and holds {held}"


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("images", [2, 6])
def test_the_colours_of_an_image_may_be_counted_as_channels(tmp_path, planar, images):
    """As Bio-Formats does; the channels of a stack of colour images, stored together, are further images."""
    path, stack = tmp_path / "a.tif", noise("u1", (6, HEIGHT, WIDTH, 3))
    number = 6 if planar == "contig" and images == 6 else 2
    data = stack if planar == "contig" else np.moveaxis(stack, 3, 1)
    with tifffile.TiffWriter(path) as file:  # the others follow without directories
        words = f"ImageJ=1.53t\nimages={images}\nchannels=3\nslices=2\n"
        kind = {"photometric": "rgb", "planarconfig": planar, "description": words}
        file.write(data[0], metadata=None, **kind)
    with path.open("ab") as file:
        file.write(data[1:number].tobytes())
    equal(frames(path), stack[:number])


def test_a_description_that_a_single_image_has_kept_does_not_count(tmp_path):
    """As other programs leave it when they save one image of a stack: compressed, or with its directory
    behind it, and no end of the file in between."""
    path, image = tmp_path / "a.tif", noise("u1")
    words = {"description": "ImageJ=1.53t\nimages=5\nslices=5\n", "metadata": None}
    tifffile.imwrite(path, image, compression="zlib", **words)
    assert np.array_equal(read_image(path).values, image)
    data = directory_first(image[None], **NAMED["ImageJ"])
    # Its directory moved behind the image.
    directory, pixels = data[8:-SIZE], data[-SIZE:]
    moved = directory.replace(struct.pack("<I", len(data) - SIZE), struct.pack("<I", 8))
    place = directory.index(struct.pack("<HH", 270, 2)) + 8
    moved = (
        moved[:place]
        + struct.pack("<I", struct.unpack_from("<I", directory, place)[0] + SIZE)
        + (moved[place + 4 :])
    )
    path.write_bytes(struct.pack("<4sI", b"II*\0", 8 + SIZE) + pixels + moved)
    assert "images=5" in tifffile.TiffFile(path).pages[0].description
    assert count_frames(path) == 1
    assert np.array_equal(read_image(path).values, image)


def frames(path):
    return [read_image(f"{path}#{i + 1}").values for i in range(count_frames(path))]


def equal(found, *stacks):
    wanted = [image for stack in stacks for image in stack]
    assert len(found) == len(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_every_directory_has_its_own_images(tmp_path):
    path = tmp_path / "a.tif"
    first, second = noise("u2", (2, HEIGHT, WIDTH)), noise("u2", (3, HEIGHT, WIDTH), seed=1)
    page, small = noise("u2", seed=2), noise("u2", (4, 5), seed=3)
    with tifffile.TiffWriter(path) as file:
        file.write(first, photometric="minisblack", truncate=True)
        file.write(small, photometric="minisblack", subfiletype=1)
        file.write(second, photometric="minisblack", truncate=True)
        file.write(second, photometric="minisblack")  # with a directory each
        file.write(page, photometric="minisblack", metadata=None)
    equal(frames(path), first, second, second, [page])
    tifffile.imwrite(path, first, photometric="minisblack", truncate=True)
    tifffile.imwrite(path, first[::-1], photometric="minisblack", truncate=True, append=True)
    equal(frames(path), first, first[::-1])
    path.write_bytes(path.read_bytes()[: -2 * SIZE])
    assert read(path) == "is truncated: it names 2 images and holds 1"


def test_the_images_of_imagej_may_have_directories_of_their_own(tmp_path):
    """It gives each of them the description of all."""
    path, stack = tmp_path / "a.tif", noise("u1", (5, HEIGHT, WIDTH))
    words = NAMED["ImageJ"]["description"].decode()
    with tifffile.TiffWriter(path) as file:
        for image in stack:
            file.write(image, photometric="minisblack", metadata=None, description=words)
    equal(frames(path), stack)
    colours = noise("u1", (2, 3, HEIGHT, WIDTH, 3))
    tifffile.imwrite(path, colours, imagej=True, photometric="rgb", metadata={"axes": "ZCYXS"})
    equal(frames(path), colours.reshape(6, HEIGHT, WIDTH, 3))


def test_behind_a_directory_of_a_thumbnail_the_image_is_read(tmp_path):
    path, image = tmp_path / "a.tif", noise("u2")
    with tifffile.TiffWriter(path) as file:  # as DNG has it
        file.write(image[::4, ::4], photometric="minisblack", subfiletype=1, subifds=2)
        file.write(image, photometric="minisblack", subfiletype=0)
        file.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
    equal(frames(path), [image])
    with tifffile.TiffWriter(path) as file:
        file.write(image[::4, ::4], photometric="minisblack", subfiletype=1, subifds=1)
        file.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
    assert read(path) == "holds reduced copies only, in its directories and below them"
    with tifffile.TiffWriter(path) as file:  # nor does an image's own copy count
        file.write(image, photometric="minisblack", subifds=1)
        file.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
    equal(frames(path), [image])
