"""Files that want to break the reader: each is one line, and none costs memory or time."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.formats import size_by_header
from mindspore_dpus.data.images.jpeg import read_jpeg
from mindspore_dpus.data.images.opened import Opened
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.images.reading import read_image


def smooth(shape=(60, 50)):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def encode(extension, image, *options):
    ok, data = cv2.imencode(extension, image, list(options))
    assert ok
    return data.tobytes()


GREY = smooth()
COLOUR = np.dstack([GREY, GREY[::-1], GREY])
DEEP = GREY.astype(np.uint16) * 257
FILES = {
    "png": encode(".png", GREY),
    "deep png": encode(".png", DEEP),
    "jpeg": encode(".jpg", GREY),
    "progressive jpeg": encode(".jpg", COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "bmp": encode(".bmp", COLOUR),
    "pgm": encode(".pgm", DEEP),
    "text pgm": encode(".pgm", GREY, cv2.IMWRITE_PXM_BINARY, 0),
    "ppm": encode(".ppm", COLOUR),
    "tiff": encode(".tif", DEEP, cv2.IMWRITE_TIFF_COMPRESSION, 1),
    "packed tiff": encode(".tif", DEEP, cv2.IMWRITE_TIFF_COMPRESSION, 5),
}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, data):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width, height, bits, white_is_zero, pixels):
    """A file of one uncompressed strip."""
    values = {256: width, 257: height, 258: bits, 259: 1, 262: int(not white_is_zero), 277: 1}
    values |= {273: 8 + 2 + 12 * 9 + 4, 278: height, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + b"\0\0\0\0" + pixels


def peak_growth(work):
    """Bytes by which the memory of this process rises while ``work`` runs."""

    def status(name):
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))

    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pytest.skip("the kernel does not let the peak of memory be reset here")
    before = status("VmRSS:")
    work()
    return status("VmHWM:") - before


@pytest.mark.parametrize("name", [name for name in FILES if "tiff" not in name])
def test_the_size_in_the_header_is_that_of_the_pixels(name):
    assert size_by_header(io.BytesIO(FILES[name])) == (50, 60)


SIDE = 65000
LARGE = {
    "png": png(SIDE, SIDE, b""),
    "jpeg": FILES["jpeg"].replace(struct.pack(">HH", 60, 50), struct.pack(">HH", SIDE, SIDE), 1),
    "bmp": FILES["bmp"].replace(struct.pack("<ii", 50, 60), struct.pack("<ii", SIDE, SIDE), 1),
    "upside-down bmp": FILES["bmp"].replace(
        struct.pack("<ii", 50, 60), struct.pack("<ii", SIDE, -SIDE), 1
    ),
    "pgm": FILES["pgm"].replace(b"50 60", b"65000\n# a comment\n65000"),
    "tiff": tiff(SIDE, SIDE, 8, False, b"\0" * 64),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_header_of_65000_pixels_square_costs_no_memory(tmp_path, name):
    (tmp_path / "a.png").write_bytes(LARGE[name])

    def work():
        with pytest.raises(
            ImageError, match=r"a\.png is 65000 x 65000 pixels, more than the key max_pixels"
        ):
            read_image(tmp_path / "a.png")

    assert peak_growth(work) < 20 << 20


def test_a_dicom_header_of_65535_pixels_square_costs_no_memory(tmp_path):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    path = files.write_dicom(tmp_path / "a.dcm", GREY, Rows=65535, Columns=65535)

    def work():
        with pytest.raises(ImageError, match="is 65535 x 65535 pixels, more than the key max_pixels"):
            read_image(path)

    read_image(files.write_dicom(tmp_path / "b.dcm", GREY))
    assert peak_growth(work) < 20 << 20


def test_the_limit_is_that_of_the_configuration(tmp_path):
    (tmp_path / "a.png").write_bytes(FILES["png"])
    assert read_image(tmp_path / "a.png", max_pixels=3000).values.shape == (60, 50)
    with pytest.raises(
        ImageError, match="50 x 60 pixels, more than the key max_pixels .2999. allows; raise"
    ):
        read_image(tmp_path / "a.png", max_pixels=2999)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_a_short_file_cannot_hold_a_large_image(tmp_path, name):
    # Within the limit, and still a forgery.
    data = {"png": png(16000, 16000, b""), "tiff": tiff(16000, 16000, 8, False, b"\0" * 64)}[name]
    (tmp_path / "a.png").write_bytes(data)

    def work():
        with pytest.raises(ImageError, match=r"its \d+ bytes cannot hold 16000 x 16000 pixels"):
            read_image(tmp_path / "a.png")

    assert peak_growth(work) < 20 << 20


@pytest.mark.parametrize("options", [(".png", cv2.IMWRITE_PNG_BILEVEL, 1), (".tif", 259, 8), (".jpg",)])
def test_an_empty_image_is_short_and_read(tmp_path, options):
    # As densely packed as it gets.
    data = encode(options[0], np.zeros((2000, 2000), np.uint8), *options[1:])
    (tmp_path / "a.png").write_bytes(data)
    assert len(data) < 64000
    assert not read_image(tmp_path / "a.png").values.any()


def test_a_chunk_that_claims_two_gigabytes_costs_none(tmp_path):
    data = bytearray(FILES["png"])
    data[33:37] = struct.pack(">I", 2_000_000_000)
    (tmp_path / "a.png").write_bytes(data)

    def work():
        with pytest.raises(ImageError, match=r"a\.png is truncated: the end of the image is missing"):
            read_image(tmp_path / "a.png")

    assert peak_growth(work) < 20 << 20


def test_a_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.write(FILES["png"])
        file.truncate(200 << 20)  # sparse: it takes no room on the disk

    def work():
        with pytest.raises(ImageError, match="209715200 bytes are too many for 50 x 60 pixels"):
            read_image(tmp_path / "a.png")

    assert peak_growth(work) < 20 << 20


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png is not a regular file"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "head",
    [b"RIFF\0\0\0\0WEBPVP8 ", b"GIF89a", b"\x59\xa6\x6a\x95", b"\0\0\0\x0cjP  \r\n\x87\n", b"Pf\n9 9\n"],
)
def test_formats_whose_headers_are_not_read_here_are_refused(tmp_path, head):
    (tmp_path / "a.png").write_bytes(head + bytes(200))
    with pytest.raises(
        ImageError, match=r"is (broken or not an image|a .+ file): PNG, JPEG, DICOM, TIFF"
    ):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_low_values_are_white_is_read_as_stored_and_marked(tmp_path, bits):
    stored = np.arange(12).reshape(3, 4).astype(f"u{bits // 8}")
    for white_is_zero in (False, True):
        (tmp_path / "a.tif").write_bytes(tiff(4, 3, bits, white_is_zero, stored.tobytes()))
        image = read_image(tmp_path / "a.tif")
        assert np.array_equal(image.values, stored)
        assert image.inverted == white_is_zero


def test_packed_bits_of_a_tiff_keep_their_values_and_their_range(tmp_path):
    # Twelve bits: 0x000, 0xABC, 0xFFF, 0x001.
    (tmp_path / "a.tif").write_bytes(tiff(4, 1, 12, False, bytes.fromhex("000abcfff001")))
    image = read_image(tmp_path / "a.tif")
    assert image.values.tolist() == [[0, 0xABC, 0xFFF, 1]]
    assert (image.limits, image.bits) == ((0, 4095), 12)


def mutations(data, rng):
    """Endless damaged copies: cut, spliced, bytes changed, most of them near the start."""
    while True:
        damaged = bytearray(data)
        if rng.random() < 0.2:
            del damaged[rng.integers(len(damaged)) :]
        if rng.random() < 0.2:
            place = rng.integers(len(damaged) + 1)
            damaged[place : place + rng.integers(9)] = rng.bytes(rng.integers(9))
        for _ in range(rng.choice([1, 1, 2, 8, 30])):
            if damaged:
                place = rng.integers(min(len(damaged), rng.choice([64, 256, len(damaged)])))
                damaged[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        yield bytes(damaged)


def check_damaged(path, data, number):
    whole = bad = 0
    damaged = mutations(data, np.random.default_rng(0))
    for _ in range(number):
        path.write_bytes(next(damaged))
        try:
            whole += read_image(path).values.size > 0
        except ImageError as error:
            bad += str(error).startswith(f"{path} ") and "\n" not in str(error)
    assert whole + bad == number
    assert bad


@pytest.mark.parametrize("name", FILES)
def test_nothing_but_an_image_error_leaves_the_reader(tmp_path, name):
    check_damaged(tmp_path / "a.png", FILES[name], 60)


@pytest.mark.parametrize("compressed", [False, True])
def test_nothing_but_an_image_error_leaves_the_reader_of_dicom(tmp_path, compressed):
    files = pytest.importorskip("tests.data.dicom_files", reason="pydicom is missing")
    dataset = files.make_dicom(np.stack([DEEP, DEEP]), WindowCenter=30000, WindowWidth=20000)
    dataset.VOILUTSequence = [files.lut(range(100))]
    if compressed:
        dataset.compress(files.pydicom.uid.RLELossless, encoding_plugin="pydicom")
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    check_damaged(tmp_path / "a.dcm", (tmp_path / "a.dcm").read_bytes()[128:], 1)
    check_damaged(tmp_path / "a.dcm", (tmp_path / "a.dcm").read_bytes(), 80)


def test_a_stack_that_changes_has_its_new_pages(tmp_path):
    path = tmp_path / "stack.tif"
    for grey in (10, 200):
        assert cv2.imwritemulti(str(path), [np.full((8, 9), grey, np.uint8) for _ in range(3)])
        os.utime(path, (grey, grey))
        assert [read_image(f"{path}#{i}").values[0, 0] for i in (1, 2, 3)] == [grey] * 3


class FewReads(io.BytesIO):
    """A file from which something may be read so often, and no more."""

    left = 20

    def read(self, size=-1):
        self.left -= 1
        assert self.left >= 0, "it is read again and again"
        return super().read(size)


@pytest.mark.parametrize("length", [0, 1])
def test_a_jpeg_whose_segment_leads_back_is_soon_refused(tmp_path, length):
    data = b"\xff\xd8" + 1000 * (b"\xff\xe0" + length.to_bytes(2, "big"))
    with pytest.raises(ImageError, match="is broken: its header gives no size"):
        read_jpeg(Opened(tmp_path / "ring.jpg", FewReads(data)))


@pytest.mark.parametrize("filling", [b"\0", b"\xff\x01"])
def test_a_long_jpeg_without_a_frame_is_soon_refused(tmp_path, filling):
    path = tmp_path / "long.jpg"
    path.write_bytes(b"\xff\xd8" + filling * 10_000_000)
    with pytest.raises(ImageError, match="is broken: its header gives no size"):
        read_image(path)


@pytest.mark.parametrize("name", ["a\nb.png", "a\rb.png", "a\u2028b.png"])
def test_a_name_of_two_lines_is_named_in_one(tmp_path, name):
    (tmp_path / name).write_bytes(b"no image")
    for read in (read_image, lambda path: load_prepared(path, ImageSettings(size=8))):
        with pytest.raises(ImageError) as caught:
            read(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1
        assert name.encode("unicode_escape").decode() in str(caught.value)
