"""Every kind of TIFF that tifffile, Pillow and OpenCV write here: equal pixels, or the reason.

What was written is the reference for tifffile and OpenCV, what Pillow reads back for Pillow: neither is
our reader. Some two thousand combinations are tried each time, all of them with ``-m slow``.
"""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mindspore_dpus.data.images.frames import count_frames
from mindspore_dpus.data.images.preparing import ImageSettings, to_unit
from mindspore_dpus.data.images.reading import read_image
from tests.data.images.kinds import HEIGHT, WIDTH, check, noise, read, shown, slow, smooth, some

INTEGERS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")
DTYPES = (*INTEGERS, "f2", "f4", "f8", "?", "c8")
KINDS = {
    "grey": ("minisblack", 1, ()),
    "white is zero": ("miniswhite", 1, ()),
    "grey, unspecified": ("minisblack", 2, (0,)),
    "grey, associated": ("minisblack", 2, (1,)),
    "grey, unassociated": ("minisblack", 2, (2,)),
    "colour": ("rgb", 3, ()),
    "colour, unspecified": ("rgb", 4, (0,)),
    "colour, associated": ("rgb", 4, (1,)),
    "colour, unassociated": ("rgb", 4, (2,)),
    "colour and two more": ("rgb", 5, (0, 0)),
    "three that are no colours": ("minisblack", 3, (0, 0)),
}
OPTIONS = {
    "dtype": DTYPES,
    "kind": tuple(KINDS),
    "planar": ("contig", "separate"),
    "compression": (None, "zlib", "lzma"),
    "predictor": (False, True),
    "tile": (None, (16, 16)),
    "rows": (None, 3),
    "order": ("<", ">"),
    "big": (False, True),
    "orientation": tuple(range(1, 9)),
}


def write(path, dtype, kind, planar, compression, predictor, tile, rows, order, big, orientation):
    """Write it; the stored array, (H, W, samples)."""
    photometric, samples, extra = KINDS[kind]
    stored = noise(dtype, (HEIGHT, WIDTH, samples), seed=orientation)
    data = stored[..., 0] if samples == 1 else stored
    if planar == "separate":
        data = np.moveaxis(stored, 2, 0)
    tifffile.imwrite(
        path,
        data,
        photometric=photometric,
        planarconfig=planar if samples > 1 else None,
        compression=compression,
        predictor=predictor,
        tile=tile,
        rowsperstrip=None if tile else rows,
        byteorder=order,
        bigtiff=big,
        extrasamples=extra if extra else None,
        extratags=[(274, "H", 1, orientation, True)],
        metadata=None,
    )
    return stored


def writable(case):
    """What tifffile writes: a predictor only for integers that it compresses, for one."""
    plain = case["dtype"][0] in "ui" and case["compression"] is not None
    if case["predictor"] and not plain:
        return False
    if case["rows"] and case["tile"]:
        return False
    one = KINDS[case["kind"]][1] == 1
    if case["dtype"] == "?" and not one and case["planar"] == "contig":
        return False  # it pads each pixel, and does not read that itself
    return not (one and case["planar"] == "separate")


def compare(path, cases):
    number = 0
    for case in filter(writable, cases):
        try:
            stored = write(path, **case)
        except (ValueError, NotImplementedError, KeyError):
            continue  # tifffile does not write this
        number += 1
        if case["dtype"] == "c8":
            expected = "has complex numbers"
        elif case["kind"] == "three that are no colours":
            expected = "has 3 channels and does not say that they are colours"
        else:
            values = stored[..., :3] if case["kind"].startswith("colour") else stored[..., 0]
            expected = shown(values, case["orientation"])
        outcome = read(path)
        check(outcome, expected, case)
        if not isinstance(outcome, str):
            assert outcome.inverted == (case["kind"] == "white is zero"), case
            assert (outcome.limits is None) == (case["dtype"][0] == "f"), case
    return number


def test_what_tifffile_writes(tmp_path):
    assert compare(tmp_path / "a.tif", some(2000, **OPTIONS)) > 750


@slow
def test_everything_that_tifffile_writes(tmp_path):
    assert compare(tmp_path / "a.tif", some(None, **OPTIONS)) > 50_000


def test_compressions_that_need_imagecodecs(tmp_path):
    pytest.importorskip("imagecodecs", reason="imagecodecs is missing")
    path, number = tmp_path / "a.tif", 0
    for name in ("lzw", "packbits", "zstd", "jpeg", "jpeg2000", "jpegxl", "webp", "lerc", "png"):
        for dtype in ("u1", "u2", "i2", "f4"):
            for samples in (1, 3):
                for tile in (None, (16, 16)):
                    shape = (20, 30, samples)
                    stored = smooth(shape) if name == "jpeg" else noise(dtype, shape)
                    data = stored[..., 0] if samples == 1 else stored
                    try:
                        tifffile.imwrite(
                            path,
                            data,
                            compression=name,
                            tile=tile,
                            photometric=("minisblack", "rgb")[samples == 3],
                            compressionargs={"lossless": True} if name in ("webp", "jpegxl") else None,
                            metadata=None,
                        )
                    except Exception:
                        continue
                    number += 1
                    expected = tifffile.imread(path)
                    outcome = read(path)
                    check(outcome, expected, (name, dtype, samples, tile), 4 if name == "jpeg" else 0)
    assert number > 60


PACKED = {"u1": (2, 3, 4, 5, 6, 7), "u2": (9, 10, 12, 14, 15), "u4": (17, 20, 24, 31)}


@pytest.mark.parametrize("samples", [1, 3])
def test_numbers_of_any_bits(tmp_path, samples):
    """Packed by hand: neither library packs them without imagecodecs."""
    path = tmp_path / "a.tif"
    for dtype, depths in PACKED.items():
        for bits in depths:
            stored = noise(dtype, (HEIGHT, WIDTH, samples)) >> (8 * np.dtype(dtype).itemsize - bits)
            rows = [
                "".join(f"{value:0{bits}b}" for value in row.ravel()) for row in stored.astype(object)
            ]
            rows = [row + "0" * (-len(row) % 8) for row in rows]
            data = b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
            path.write_bytes(by_hand(data, bits, samples))
            outcome = read(path)
            check(outcome, stored if samples == 3 else stored[..., 0], (bits, samples))
            assert (outcome.limits, outcome.bits) == ((0, 2**bits - 1), bits)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    "depth", [("u1", 1), *((dtype, bits) for dtype, depths in PACKED.items() for bits in depths)]
)
def test_numbers_in_whole_bytes_that_the_header_says_to_be_packed(tmp_path, samples, depth):
    (dtype, bits), path = depth, tmp_path / "a.tif"
    data = (noise(dtype, (HEIGHT, WIDTH, samples)) % (1 << bits)).astype(f">{dtype}").tobytes()
    path.write_bytes(by_hand(data, bits, samples))
    packed = -(-WIDTH * samples * bits // 8) * HEIGHT
    words = (
        f"is broken: strip 1 has {len(data)} bytes, and its pixels of {bits} bits make {packed}: its "
    )
    check(read(path), f"{words}BitsPerSample should be {8 * int(dtype[1])}", depth)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_strip_may_be_filled_up(tmp_path, bits):
    path, row = tmp_path / "a.tif", -(-WIDTH * bits // 8)
    data = noise("u1", (HEIGHT * row,)).tobytes()
    path.write_bytes(by_hand(data, bits, 1))
    whole = read(path).values
    for further in (1, 15, 16, 40):
        path.write_bytes(by_hand(data + bytes(further), bits, 1))
        refused = (
            f"strip 1 has {len(data) + further} bytes, and its pixels of {bits} bits make {len(data)}"
        )
        check(read(path), refused if further >= 16 else whole, (bits, further))


@pytest.mark.parametrize("filled", [16, 17])
def test_the_last_strip_may_have_as_many_rows_as_the_others(tmp_path, filled):
    path, stored = tmp_path / "a.tif", noise("u1", (18, WIDTH))
    tifffile.imwrite(path, stored, photometric="minisblack", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags[279]
        assert tag.value == (16 * WIDTH, 2 * WIDTH)
        tag.overwrite((16 * WIDTH, filled * WIDTH))
        file.filehandle.seek(0, 2)
        file.filehandle.write(bytes(16 * WIDTH))
    refused = f"strip 2 has {17 * WIDTH} bytes, and its pixels of 8 bits make {2 * WIDTH}"
    check(read(path), refused if filled > 16 else stored, filled)


def by_hand(data, bits, samples, others=()):
    """A TIFF of one strip, of big-endian byte order."""
    tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: 2 if samples == 3 else 1, 277: samples}
    tags |= {278: HEIGHT, 279: len(data)} | dict(others)
    tags = {tag: value for tag, value in tags.items() if value is not None}
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[273] = start + 6
    entries = b""
    for tag, value in sorted(tags.items()):
        if tag == 258 and samples == 3:
            entries += b"".join(n.to_bytes(s, "big") for n, s in ((258, 2), (3, 2), (3, 4), (start, 4)))
        else:
            entries += b"".join(n.to_bytes(s, "big") for n, s in ((tag, 2), (4, 2), (1, 4), (value, 4)))
    head = b"MM\0*" + (8).to_bytes(4, "big") + len(tags).to_bytes(2, "big")
    return head + entries + bytes(4) + 3 * bits.to_bytes(2, "big") + data


@pytest.mark.parametrize("bits", [1, 8, 16, 32])
@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("alpha", [False, True])
def test_channels_that_a_file_says_nothing_of(tmp_path, bits, samples, alpha):
    path = tmp_path / "a.tif"
    dtype = "?" if bits == 1 else f"u{bits // 8}"
    stored = noise(dtype, (HEIGHT, WIDTH, samples + alpha)).astype(f">{dtype}")
    data = np.packbits(stored.reshape(HEIGHT, -1), axis=1) if bits == 1 else stored
    others = {262: None, 277: samples + alpha} | ({338: 2} if alpha else {})
    path.write_bytes(by_hand(data.tobytes(), bits, samples, others))
    outcome = read(path)
    if samples == 4:
        check(outcome, "does not say what its 4 channels are (PhotometricInterpretation)", bits)
        return
    check(outcome, stored[..., 0] if samples == 1 else stored[..., :3], (bits, samples, alpha))
    assert not outcome.inverted


@pytest.mark.parametrize("compression", ["group4", "tiff_ccitt", None])
def test_without_a_word_on_it_ink_is_one_only_in_ccitt(tmp_path, compression):
    path, image = tmp_path / "a.tif", one_bit((16, 24), dither=True)
    image.save(path, compression=compression)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.filehandle.seek(file.pages[0].tags[262].offset)
        file.filehandle.write(struct.pack("<H", 263))  # Threshholding, which changes nothing.
    found = read(path)
    check(found, np.asarray(image), compression)
    assert found.inverted == (compression is not None)


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 64, 128])
@pytest.mark.parametrize("kind", [5, 6, 7, 9])
def test_numbers_of_no_known_kind_are_said_to_be_such(tmp_path, bits, kind):
    path = tmp_path / "a.tif"
    data = by_hand(bytes(HEIGHT * WIDTH * 16), bits, 1, {339: kind})
    path.write_bytes(data)
    assert read(path) == "has complex numbers or samples of an unknown kind, which are not read"


@pytest.mark.parametrize("kind", [1, 2, 11])
@pytest.mark.parametrize("tag", [256, 257, 277])
def test_a_number_that_is_written_as_no_integer(tmp_path, tag, kind):
    path = tmp_path / "a.tif"
    data = by_hand(bytes(HEIGHT * WIDTH), 8, 1)
    number = {256: WIDTH, 257: HEIGHT, 277: 1}[tag]
    written = {1: bytes([number, 0, 0, 0]), 2: b"%d\0\0\0" % number, 11: struct.pack(">f", number)}[kind]
    integer, other = (struct.pack(">HHI", tag, n, 1) for n in (4, kind))
    assert data.count(integer + number.to_bytes(4, "big")) == 1
    path.write_bytes(data.replace(integer + number.to_bytes(4, "big"), other + written[:4]))
    refused = "is broken: a tag of its directory, such as its width, is not of the type of an integer"
    check(read(path), refused, (tag, kind))


@pytest.mark.parametrize("number", [0, 12345, 32771, 32809, 32895, 34661, 34676, 65535])
def test_a_compression_that_nothing_reads_is_not_blamed_on_a_missing_package(tmp_path, number):
    path = tmp_path / "a.tif"
    path.write_bytes(by_hand(bytes(HEIGHT * WIDTH), 8, 1, {259: number}))
    assert read(path).startswith("is compressed as ")
    assert read(path).endswith(", which is not read: save it with another compression")


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_predictor_that_its_compression_does_not_have_is_passed_over(tmp_path, bits):
    """As libtiff, and so Pillow, passes over it."""
    path, dtype = tmp_path / "a.tif", f">u{bits // 8}"
    stored = noise("u4").astype(dtype)
    plain = stored.tobytes()
    runs = [plain[i : i + 64] for i in range(0, len(plain), 64)]
    packbits = b"".join(bytes([len(run) - 1]) + run for run in runs)
    differences = stored.copy()
    differences[:, 1:] -= stored[:, :-1]
    for compression, data, expected in (
        (1, plain, stored),
        (32773, packbits, stored),
        (8, zlib.compress(differences.tobytes()), stored),
    ):
        path.write_bytes(by_hand(data, bits, 1, {259: compression, 317: 2}))
        check(read(path), expected, compression)
        if bits < 32:
            with Image.open(path) as file:
                assert np.array_equal(np.asarray(file), expected), compression


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("white", [0, 1])
def test_a_second_channel_is_dropped_only_where_the_file_speaks_of_it(tmp_path, planar, white):
    path, reason = tmp_path / "a.tif", "has 2 channels and does not say that the second is alpha"
    stored = noise("u1", (HEIGHT, WIDTH, 2))
    data = stored if planar == 1 else np.moveaxis(stored, 2, 0)
    for extra in (0, 1, 2):
        tifffile.imwrite(
            path,
            data,
            photometric=("miniswhite", "minisblack")[white],
            planarconfig=("contig", "separate")[planar - 1],
            extrasamples=(extra,),
            metadata=None,
        )
        assert tifffile.TiffFile(path).pages[0].samplesperpixel == 2
        check(read(path), stored[..., 0], extra)
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags[338]
        file.filehandle.seek(tag.offset)
        file.filehandle.write(struct.pack("<H", 65000))  # A private tag instead of ExtraSamples.
    check(read(path), reason, None)


MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F")
COMPRESSIONS = (
    *(None, "tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate", "zstd", "lzma"),
    *("jpeg", "group3", "group4", "tiff_ccitt"),
)


def test_what_pillow_writes(tmp_path):
    path, number = tmp_path / "a.tif", 0
    for case in some(None, mode=MODES, compression=COMPRESSIONS, orientation=(1, 3, 6, 8)):
        mode, orientation = case["mode"], case["orientation"]
        image = picture(mode, lossy=case["compression"] == "jpeg")
        try:
            image.save(path, compression=case["compression"])
            with Image.open(path) as file:
                written = file.copy()  # its pixels may lie in the file, which is overwritten
            if written.mode != mode and mode != "I;16B":
                continue
            image.save(path, compression=case["compression"], tiffinfo={274: orientation})
        except (OSError, KeyError, ValueError, RuntimeError):
            continue  # Pillow does not write, or not read, this
        number += 1
        tolerance = 0
        if mode == "LAB":
            expected = "has pixels of kind CIELAB"
        elif mode == "YCbCr" and case["compression"] != "jpeg":
            expected = "has YCbCr pixels without JPEG compression"
        elif mode == "1":
            expected = np.asarray(written)
        elif mode in ("P", "CMYK", "YCbCr", "RGBX", "RGBA"):
            expected = np.asarray(written.convert("RGB"))
            tolerance = {"CMYK": 1, "YCbCr": 3}.get(mode, 0)
        else:
            expected = np.asarray(written)
            expected = expected[..., 0] if mode == "LA" else expected
        if case["compression"] == "jpeg":
            tolerance = 3
        if not isinstance(expected, str):
            expected = shown(expected, orientation)
        check(read(path), expected, case, tolerance)
    assert number > 250


def picture(mode, lossy):
    shape = (20, 30)
    if mode == "F":
        return Image.fromarray(noise("f4", shape))
    if mode == "I":
        return Image.fromarray(noise("i4", shape))
    if mode.startswith("I;16"):
        order = ">" if mode.endswith("B") else "<"
        return Image.frombytes(mode, shape[::-1], noise("u2", shape).astype(f"{order}u2").tobytes())
    samples = {"RGBA": 4, "RGBX": 4, "CMYK": 4, "LA": 2, "1": 1, "L": 1, "P": 1}.get(mode, 3)
    if lossy:
        grey = smooth((*shape, 3))
        return Image.fromarray(grey).convert(mode)
    data = noise("u1", (*shape, samples))
    if mode == "1":
        return Image.fromarray(data[..., 0] > 127)
    image = Image.frombytes(mode, shape[::-1], data.tobytes())
    if mode == "P":
        image.putpalette(noise("u1", (768,)).tobytes())
    return image


def test_what_opencv_writes(tmp_path):
    path, number = tmp_path / "a.tif", 0
    options = {"dtype": ("u1", "u2", "f4", "f8"), "samples": (1, 3, 4), "predictor": (1, 2, 3)}
    for case in some(None, **options, compression=(1, 5, 8, 32773, 32946), side=(7, 64)):
        stored = noise(case["dtype"], (case["side"], 2 * case["side"] + 1, case["samples"]))
        params = [cv2.IMWRITE_TIFF_COMPRESSION, case["compression"]]
        params += [cv2.IMWRITE_TIFF_PREDICTOR, case["predictor"]]
        try:
            if not cv2.imwrite(str(path), stored.squeeze(), params):
                continue
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
        except cv2.error:
            continue
        if page.dtype != stored.dtype or (page.predictor == 3 and stored.dtype.kind != "f"):
            continue
        number += 1
        expected = stored[..., 0] if case["samples"] == 1 else stored[..., 2::-1]
        check(read(path), expected, case)
    assert number > 200


@pytest.mark.parametrize("how", ["imagej", "shaped", "pages", "truncated"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_every_frame_of_a_stack(tmp_path, how, dtype):
    path, stack = tmp_path / "a.tif", noise(dtype, (5, HEIGHT, WIDTH))
    options = {"imagej": {"imagej": True}, "pages": {"metadata": None}, "truncated": {"truncate": True}}
    tifffile.imwrite(path, stack, photometric="minisblack", **options.get(how, {}))
    assert count_frames(path) == 5
    for i in range(5):
        assert np.array_equal(read_image(f"{path}#{i + 1}").values, stack[i])
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
        assert "is truncated: it names 5 images and holds 4" in read(f"{path}#5")


@pytest.mark.parametrize("how", [{"truncate": True}, {"metadata": None}, {}])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_every_frame_of_a_stack_of_colours(tmp_path, how, dtype, planar):
    path, stack = tmp_path / "a.tif", noise(dtype, (3, HEIGHT, WIDTH, 3))
    data = stack.transpose(0, 3, 1, 2) if planar == "separate" else stack
    tifffile.imwrite(path, data, photometric="rgb", planarconfig=planar, **how)
    assert count_frames(path) == 3
    for i in range(3):
        check(read(f"{path}#{i + 1}"), stack[i], (how, dtype, planar))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "lzma"])
def test_a_damaged_strip_is_an_error_or_leaves_the_pixels_alone(tmp_path, compression, capfd):
    """Bytes of the strips are zeroed here and there: never other pixels without a word, where the
    compression has a checksum or its strips come out too short."""
    path = tmp_path / "a.tif"
    image = Image.fromarray(noise("u1", (64, 64)) // 8)
    image.save(path, compression=compression)
    whole, data = read_image(path).values, path.read_bytes()
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        first, length = page.dataoffsets[0], page.databytecounts[0]
    outcomes = []
    for place in np.linspace(first, first + length - 40, 20).astype(int):
        path.write_bytes(data[:place] + bytes(40) + data[place + 40 :])
        outcomes.append(read(path))
    refused = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert all("is damaged" in outcome for outcome in refused)
    same = sum(not isinstance(o, str) and np.array_equal(o.values, whole) for o in outcomes)
    if compression not in ("packbits", "zstd"):  # which have nothing to tell damage by, but their length
        assert len(refused) + same >= 18
    assert capfd.readouterr().err == ""


CCITT = [("group4", 0), *(("group3", options) for options in (0, 1, 4, 5)), ("tiff_ccitt", 0)]


def one_bit(shape, dither):
    grey = noise("u1", (20, 20))
    image = Image.fromarray(grey).resize(shape[::-1])
    return image.convert("1", dither=Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE)


@pytest.mark.parametrize(("compression", "options"), CCITT)
@pytest.mark.parametrize("dither", [False, True])
def test_a_damaged_strip_of_ccitt_is_an_error(tmp_path, compression, options, dither, capfd):
    path, image = tmp_path / "a.tif", one_bit((160, 200), dither)
    tags = {278: 32} | ({292: options} if compression == "group3" else {})
    image.save(path, compression=compression, tiffinfo=tags)
    check(read(path), np.asarray(image), (compression, options))
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        places, lengths = page.dataoffsets, page.tags[279]
    for i, (place, size) in enumerate(zip(places, lengths.value, strict=True)):
        for kept in (0, size // 3, size // 2, 2 * size // 3):
            damaged = bytearray(data)
            damaged[place + kept : place + size] = bytes(size - kept)
            path.write_bytes(damaged)
            assert str(read(path)).startswith(f"is damaged: strip {i + 1} "), kept
        damaged, step = bytearray(data), 2 if lengths.dtype == 3 else 4
        entry = lengths.valueoffset + step * i
        damaged[entry : entry + step] = (size // 2).to_bytes(step, "little")
        path.write_bytes(damaged)
        assert str(read(path)).startswith(f"is damaged: strip {i + 1} ")
        damaged = bytearray(data)
        damaged[place + size // 3 : place + size] = noise("u1", (size - size // 3,), seed=i).tobytes()
        path.write_bytes(damaged)
        if compression == "group3":  # whose lines have ends; else bits may happen to be codes
            assert str(read(path)).startswith(f"is damaged: strip {i + 1} ")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("compression", [None, "group4", "group3", "tiff_ccitt", "tiff_lzw"])
def test_one_bit_is_the_same_whatever_packs_it(tmp_path, compression, white_is_zero):
    path, image = tmp_path / "a.tif", one_bit((40, 56), dither=True)
    image.save(path, compression=compression, tiffinfo={262: int(not white_is_zero)})
    with Image.open(path) as file:
        seen = np.asarray(file)
    outcome = read(path)
    check(outcome, seen != outcome.inverted, compression)  # as it is stored; turned round at the end
    spec = ImageSettings(size=40)
    assert np.array_equal(to_unit(outcome, spec), seen)
