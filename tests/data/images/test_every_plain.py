"""Every kind of PNG, JPEG and BMP that Pillow writes, and PNM by hand: equal pixels, or the reason."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.images.kinds import HEIGHT, WIDTH, check, noise, read, shown, smooth, some

ORIENTATIONS = tuple(range(9))


def exif(orientation):
    block = Image.Exif()
    block[274] = orientation
    return block.tobytes()


def picture(mode, pixels):
    """A picture of a Pillow mode from (H, W, 4) uint8."""
    if mode == "1":
        return Image.fromarray(pixels[..., 0] > 127)
    if mode == "I;16":
        return Image.fromarray(noise("u2", pixels.shape[:2]))
    samples = {"L": 1, "P": 1, "LA": 2, "RGB": 3}.get(mode, 4)
    image = Image.frombytes(mode, pixels.shape[1::-1], pixels[..., :samples].tobytes())
    if mode == "P":
        image.putpalette(noise("u1", (768,)).tobytes())
    return image


def expected_pixels(image):
    """Grey or RGB of a picture, by Pillow."""
    if image.mode in ("1", "I;16", "L"):
        found = np.asarray(image)
        return (255 * found).astype(np.uint8) if image.mode == "1" else found
    if image.mode == "LA":
        return np.asarray(image)[..., 0]
    if image.mode == "RGBA":
        return np.asarray(image)[..., :3]
    return np.asarray(image.convert("RGB"))


def test_png(tmp_path):
    path, number = tmp_path / "a.png", 0
    kinds = {"mode": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "see_through": (False, True)}
    for case in some(None, **kinds, level=(0, 6), orientation=ORIENTATIONS):
        image = picture(case["mode"], noise("u1", (HEIGHT, WIDTH, 4)))
        options = {"exif": exif(case["orientation"])} if case["orientation"] else {}
        if case["see_through"]:
            if case["mode"] not in ("L", "P", "RGB"):
                continue
            options["transparency"] = (1, 2, 3) if case["mode"] == "RGB" else 5
        image.save(path, compress_level=case["level"], **options)
        number += 1
        expected = shown(expected_pixels(image), max(case["orientation"], 1))
        outcome = read(path)
        if case["mode"] == "P" and outcome.values.ndim == 2:
            outcome.values = np.dstack([outcome.values] * 3)
        check(outcome, expected, case)
    assert number >= 180


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_png_palettes_of_few_colours(tmp_path, bits):
    image = picture("P", noise("u1", (HEIGHT, WIDTH, 4)) % (1 << bits))
    image.save(tmp_path / "a.png", bits=bits)
    check(read(tmp_path / "a.png"), np.asarray(image.convert("RGB")), bits)


def test_an_animation_is_refused(tmp_path):
    frames = [picture("L", noise("u1", (HEIGHT, WIDTH, 4), seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "is an animation of 3 frames" in read(tmp_path / "a.png")


def test_jpeg(tmp_path):
    path, number = tmp_path / "a.jpg", 0
    options = {"mode": ("L", "RGB", "CMYK"), "progressive": (False, True), "optimize": (False, True)}
    for case in some(None, **options, subsampling=(0, 1, 2), orientation=ORIENTATIONS):
        pixels = smooth((40, 56, 3))
        image = Image.fromarray(pixels).convert(case["mode"])
        plain = {key: case[key] for key in ("progressive", "optimize", "subsampling")}
        if case["orientation"]:
            plain["exif"] = exif(case["orientation"])
        image.save(path, quality=90, **plain)
        number += 1
        with Image.open(path) as file:
            expected = shown(expected_pixels(file), max(case["orientation"], 1))
        check(read(path), expected, case, tolerance=3 if case["mode"] == "CMYK" else 1)
    assert number == 324


@pytest.mark.parametrize(
    ("marker", "bits", "kind"),
    [(0xF7, 8, "JPEG-LS"), (0xC5, 8, "hierarchical JPEG"), (0xC1, 12, "JPEG of 12 bits")],
)
def test_jpeg_of_another_kind_is_named(tmp_path, marker, bits, kind):
    data = bytearray(cv2.imencode(".jpg", smooth((40, 56, 1)))[1].tobytes())
    place = data.find(b"\xff\xc0")
    data[place + 1], data[place + 4] = marker, bits
    (tmp_path / "a.jpg").write_bytes(data)
    message = f"is {kind}, which is not read: save it as PNG or as JPEG of 8 bits"
    assert read(tmp_path / "a.jpg") == message
    # Scans of JPEG-LS may hold what would be a marker elsewhere: not taken for a file that is cut.
    place = data.find(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[: place + 20] + b"\xff\x20\xff\xff" + data[place + 20 :])
    assert read(tmp_path / "a.jpg") == message


def test_of_several_pictures_in_a_jpeg_the_first_is_read(tmp_path):
    first, second = (Image.fromarray(smooth((40, 56, 3))[::turn]) for turn in (1, -1))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second], quality=95)
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.n_frames == 2
        check(read(tmp_path / "a.jpg"), np.asarray(file), "MPO", tolerance=1)


def test_what_follows_the_end_of_a_jpeg_does_not_matter(tmp_path):
    """As phones append a video, and cameras another picture, which may be damaged."""
    path, file = tmp_path / "a.jpg", io.BytesIO()
    image = Image.fromarray(smooth((40, 56, 3)))
    image.save(file, "JPEG", quality=95)
    data = file.getvalue()
    for tail in (b"\0\0\0\x18ftypmp42\xff\xda\0\0", b"\xff\xda\1\2", data[: len(data) // 2], bytes(99)):
        path.write_bytes(data + tail)
        check(read(path), np.asarray(Image.open(file)), tail[:8], tolerance=1)
        path.write_bytes(data[:-40] + tail)
        assert isinstance(read(path), str)


def test_a_progressive_jpeg_that_was_closed_behind_one_of_its_scans(tmp_path):
    path = tmp_path / "a.jpg"
    for mode in ("L", "RGB", "CMYK"):
        file = io.BytesIO()
        Image.fromarray(smooth((40, 56, 3))).convert(mode).save(file, "JPEG", progressive=True)
        data = file.getvalue()
        path.write_bytes(data)
        assert not isinstance(read(path), str)
        scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
        assert len(scans) > 5
        for place in scans[1:]:
            tables = data.rfind(b"\xff\xc4", 0, place)
            for end in (place, tables):
                path.write_bytes(data[:end] + b"\xff\xd9")
                assert read(path) == "is truncated: the end of the image is missing"


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_may_be_a_number_of_another_kind(tmp_path, kind, order):
    value = struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], 6).ljust(4, b"\0")
    block = struct.pack(f"{order}2sHIHHHI", b"II" if order == "<" else b"MM", 42, 8, 1, 274, kind, 1)
    image = Image.fromarray(smooth((40, 56, 3)))
    for ending in (".jpg", ".png"):
        path = tmp_path / f"a{ending}"
        image.save(path, exif=b"Exif\0\0" + block + value + bytes(4))
        with Image.open(path) as file:
            check(read(path), shown(np.asarray(file), 6), ending, tolerance=1)


def test_bmp(tmp_path):
    path = tmp_path / "a.bmp"
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        for ending in ("BMP", "DIB"):
            image = picture(mode, noise("u1", (HEIGHT, WIDTH, 4)))
            image.save(path, format=ending)
            expected = expected_pixels(image)
            if ending == "DIB":
                expected = "is broken or not an image"  # without a file's header
            check(read(path), expected, (mode, ending))


@pytest.mark.parametrize("bits", [1, 4, 8, 24])
@pytest.mark.parametrize("shorter", [False, True])
def test_bitmaps_of_os2_keep_their_colours(tmp_path, bits, shorter):
    """By hand (the OS/2 header of 12 bytes, colours of three); Pillow reads it."""
    number = 0 if bits == 24 else (1 << bits) - (shorter and bits > 1)
    colours = noise("u1", (max(number, 1), 3))
    if bits == 24:
        rows = noise("u1", (HEIGHT, 3 * WIDTH))
    else:
        indices = (noise("u2", (HEIGHT, WIDTH)) % number).astype(np.uint8)
        spread = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :].reshape(HEIGHT, -1)
        rows = np.packbits(spread, axis=1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    palette = colours.tobytes() if number else b""
    start = 14 + 12 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + rows.size, 0, 0, start)
    info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    data = head + info + palette + rows.tobytes()
    (tmp_path / "a.bmp").write_bytes(data)
    with Image.open(io.BytesIO(data)) as file:
        expected = np.asarray(file.convert("RGB"))
    outcome = read(tmp_path / "a.bmp")
    check(outcome, expected, bits)


BITFIELDS = {
    16: ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0x1F, 0x7E0, 0xF800), (0xF00, 0xF0, 0xF)),
    32: (
        *((0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000), (0xFF000000, 0xFF0000, 0xFF00)),
        *((0x3FF00000, 0xFFC00, 0x3FF), (0xFFFFF000, 0xF00, 0xF)),
    ),
}


def bitfields(bits, masks, header, rows, down=True, packing=3):
    """A BMP of numbers, by hand; without masks: those that 16 and 32 bits have by themselves."""
    rows = np.pad(rows, ((0, 0), (0, rows.shape[1] * bits // 8 % 4 * 8 // bits)))
    rows = rows[::-1] if down else rows
    words = struct.pack("<IIII", *masks, 0) if packing else b""
    info = struct.pack(
        "<IiiHHIIiiII", header, WIDTH, HEIGHT if down else -HEIGHT, 1, bits, packing, 0, 0, 0, 0, 0
    )
    info += words[: 12 if header == 40 else 16] if packing else b""
    info += bytes(max(0, header - len(info)))
    data = rows.astype(f"<u{bits // 8}").tobytes()
    return struct.pack("<2sIHHI", b"BM", 14 + len(info) + len(data), 0, 0, 14 + len(info)) + info + data


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("down", [True, False])
def test_bitmaps_whose_colours_are_bits_of_a_number(tmp_path, header, down):
    path = tmp_path / "a.bmp"
    for bits, kinds in BITFIELDS.items():
        stored = noise(f"u{bits // 8}")
        stored[0, 0] = np.iinfo(stored.dtype).max
        for masks in (*kinds, None):
            used = masks or {16: (0x7C00, 0x3E0, 0x1F), 32: (0xFF0000, 0xFF00, 0xFF)}[bits]
            path.write_bytes(bitfields(bits, used, header, stored, down, 3 if masks else 0))
            # Digit by digit: the bits of a mask as a number of their own.
            expected = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            for place in np.ndindex(HEIGHT, WIDTH):
                for i, mask in enumerate(used):
                    ones = [k for k in range(bits) if mask >> k & 1]
                    number = sum((int(stored[place]) >> k & 1) << n for n, k in enumerate(ones))
                    expected[(*place, i)] = round(number * 255 / (2 ** len(ones) - 1))
            check(read(path), expected, (bits, masks))
            assert read(path).values[0, 0].tolist() == [255] * 3
            if header == 40 and down and masks in ((0xF800, 0x7E0, 0x1F), (0xFF0000, 0xFF00, 0xFF)):
                with Image.open(path) as file:
                    check(read(path), np.asarray(file.convert("RGB")), masks, tolerance=8)
    path.write_bytes(path.read_bytes()[:-1])
    assert "is truncated: it holds" in read(path)
    path.write_bytes(bitfields(32, (0xF0F, 0xF0, 0xF000), header, stored))
    assert read(path) == "has colour masks that are not read: 0xf0f, 0xf0, 0xf000"


def pnm_body(kind, stored):
    if kind == 1:
        return "\n".join("".join(map(str, row)) for row in stored).encode()
    if kind < 4:
        return "\n".join(" ".join(map(str, row)) for row in stored).encode() + b"\n"
    if kind == 4:
        return np.packbits(stored, axis=1).tobytes()
    return stored.astype(stored.dtype.newbyteorder(">")).tobytes()


def test_pnm(tmp_path):
    path, number = tmp_path / "a.pnm", 0
    options = {"kind": (1, 2, 3, 4, 5, 6), "top": (1, 2, 100, 255, 256, 1000, 4095, 65535)}
    for case in some(144, **options, line=(b"\n", b"\r\n", b"\r"), last=(False, True)):
        kind, top, line = case["kind"], case["top"], case["line"]
        samples = 3 if kind in (3, 6) else 1
        if kind in (1, 4):
            top = 1
        dtype = "u1" if top < 256 else "u2"
        stored = (noise("u4", (HEIGHT, WIDTH * samples)) % (top + 1)).astype(dtype)
        stored.flat[0] = top
        body = pnm_body(kind, stored)
        maxval = b"" if kind in (1, 4) else b"%d\n" % top
        header = b"P%d\n# a comment\n%d %d\n%s" % (kind, WIDTH, HEIGHT, maxval)
        path.write_bytes(header.replace(b"\n", line) + body + line * case["last"])
        number += 1
        expected = 1 - stored if kind in (1, 4) else stored
        outcome = read(path)
        check(outcome, expected.reshape((HEIGHT, WIDTH, 3) if samples == 3 else (HEIGHT, WIDTH)), case)
        assert outcome.limits == (0, top), case
        if line != b"\n":
            continue  # where Pillow takes the second half of the header's last line for a pixel
        with Image.open(path) as file:  # which stretches to 8 or 16 bits
            seen = np.asarray(file.convert("RGB") if samples == 3 else file, np.float64)
        if samples == 1:
            share = outcome.values / top
            assert np.abs(share - seen / (seen.max() / share.max())).max() < 0.01, case
    assert number == 144


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P5 2 2 100\n\x01\x02\x03\xc8", "it holds 200, but its maxval is 100"),
        (b"P5 2 2 70000\n\x01\x02\x03\xc8", "its maxval is not a number from 1 to 65535"),
        (b"P5 2 2 255\n\x01\x02\x03", "it holds 3 of 4 bytes"),
        (b"P2 2 2 255\n1 2 3 \n", "it holds 3 of 4 values"),
        (b"P2 2 2 255\n1 2 3 x\n", "its pixels are not all numbers"),
        (b"P2 2 2 255\n1 2 3 99999\n", "its pixels are not all from 0 to 65535"),
        (b"P5 2 1 255\n\x01\x02P5 2 1 255\n\x01\x02", "holds several images"),
        (b"P2 2 1 255\n1 2\nP2 2 1 255\n3 4\n", "holds several images"),
        (b"P1 2 1\n10\n# more\nP1 2 1\n01\n", "holds several images"),
        (b"P2 2 1 255\n1 2 3\n", "it holds more than its 2 values"),
        (b"P3 1 1 255\n1 2 3 4", "it holds more than its 3 values"),
        (b"P1 2 1\n1 0 1\n", "it holds more than its 2 values"),
        (b"P1 2 1\n1x\n", "its pixels are not all 0 or 1"),
        (b"P5 2 1 255\n\n\x01\x02", "it holds 3 bytes of pixels, its header says 2"),
        (b"P5 2 1 255\n#c\n\x01\x02", "it holds 5 bytes of pixels, its header says 2"),
        (b"P4 8 1\r\n\x01\x02", "it holds 2 bytes of pixels, its header says 1"),
        (b"P5 2 1 255\xff\x01\x02", "no blank divides its header from its pixels"),
    ],
)
def test_broken_pnm(tmp_path, data, words):
    (tmp_path / "a.pgm").write_bytes(data)
    assert words in read(tmp_path / "a.pgm")


@pytest.mark.parametrize(
    "head", [b"P5 3 2 255#c\n", b"P5 3 2 255\n", b"P5 3 2#c\n255 ", b"P4 3 6#c\r\n"]
)
def test_a_comment_may_follow_the_last_number_at_once(tmp_path, head):
    """As netpbm reads it."""
    (tmp_path / "a.pgm").write_bytes(head + bytes(range(35, 41)))
    stored = np.arange(35, 41, dtype=np.uint8)
    if head.startswith(b"P4"):
        check(read(tmp_path / "a.pgm"), 1 - np.unpackbits(stored[:, None], axis=1)[:, :3], head)
    else:
        check(read(tmp_path / "a.pgm"), stored.reshape(2, 3), head)


# What they are called when they are read.
READ = {"PNG", "JPEG", "MPO", "TIFF", "BMP", "PPM"}
NAMED = {"WEBP": "WebP", "GIF": "GIF", "JPEG2000": "JPEG 2000", "AVIF": "HEIF or AVIF", "PDF": "PDF"}


def test_every_other_format_that_pillow_writes_is_refused_by_name_of_those_that_are_read(tmp_path):
    Image.init()
    number = 0
    for name in sorted(set(Image.SAVE) - READ):
        for mode in ("RGB", "L", "P"):
            written, path = tmp_path / "a.other", tmp_path / "a.png"
            try:
                # Pillow takes the ending for SPIDER's from then on.
                picture(mode, noise("u1", (64, 64, 4))).save(written, format=name)
            except Exception:
                continue
            outcome = read(written.replace(path))
            assert isinstance(outcome, str), name
            what = NAMED.get(name)
            what = f"a {what} file" if what else "broken or not an image"
            assert outcome == f"is {what}: PNG, JPEG, DICOM, TIFF, BMP and PNM are read", name
            number += 1
            break
    assert number >= 10
