"""BMP by hand, good and broken: where its pixels are, run lengths, palettes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from tests.data.images.kinds import HEIGHT, WIDTH, check, noise, read

ELSEWHERE = "is broken: its pixels are not where its header says"


def bmp(bits, pixels, palette=b"", *, packing=0, header=40, used=0, start=None, down=True):
    """A file of Windows, or of OS/2 (a header of 12 bytes)."""
    place = 14 + header + len(palette)
    head = struct.pack("<2sIHHI", b"BM", place + len(pixels), 0, 0, place if start is None else start)
    if header == 12:
        return head + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits) + palette + pixels
    height = HEIGHT if down else -HEIGHT
    info = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, packing, 0, 0, 0, used, 0)
    return head + info + bytes(header - 40) + palette + pixels


def rows_of(indices, bits):
    spread = np.unpackbits(indices[::-1, :, None], axis=2)[..., 8 - bits :].reshape(HEIGHT, -1)
    rows = np.packbits(spread, axis=1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def colours(number, seed=1):
    return np.pad(noise("u1", (number, 3), seed=seed), ((0, 0), (0, 1)))


@pytest.mark.parametrize("header", [40, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("grey", [False, True])
def test_palettes(tmp_path, header, bits, grey):
    path = tmp_path / "a.bmp"
    table = colours(1 << bits)
    if grey:
        table[:, :3] = table[:, :1]
    indices = noise("u1") & np.uint8((1 << bits) - 1)
    path.write_bytes(bmp(bits, rows_of(indices, bits), table.tobytes(), header=header))
    expected = table[indices][..., 2::-1]
    check(read(path), expected[..., 0] if grey else expected, (header, bits))
    with Image.open(path) as file:
        assert np.array_equal(np.asarray(file.convert("RGB")), expected)


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("number", [200, 256])
def test_a_palette_of_all_levels_leaves_pixels_as_they_are(tmp_path, number, down):
    path, levels = tmp_path / "a.bmp", np.arange(number, dtype=np.uint8)
    table = np.column_stack([levels, levels, levels, levels[::-1]])
    indices = noise("u1") % np.uint8(number) if number < 256 else noise("u1")
    pixels = rows_of(indices if down else indices[::-1], 8)
    path.write_bytes(bmp(8, pixels, table.tobytes(), used=number, down=down))
    check(read(path), indices, down)
    table[-1, :3] = 5
    indices[3, 4] = number - 1
    pixels = rows_of(indices if down else indices[::-1], 8)
    path.write_bytes(bmp(8, pixels, table.tobytes(), used=number, down=down))
    check(read(path), table[indices][..., 0], down)
    table[-1, 1] = 9
    path.write_bytes(bmp(8, pixels, table.tobytes(), used=number, down=down))
    check(read(path), table[indices][..., 2::-1], down)


OF_BOTH = [(1, 4), (4, 4), (8, 4), (24, 0)]


@pytest.mark.parametrize(
    ("header", "bits", "step"),
    [(12, *of_both) for of_both in OF_BOTH]
    + [(40, *of_both) for of_both in (*OF_BOTH, (16, 0), (32, 0))],
)
def test_the_header_and_the_palette_are_no_pixels(tmp_path, bits, step, header):
    path = tmp_path / "a.bmp"
    step = step and (3 if header == 12 else 4)
    palette = bytes(step << bits)  # one colour: no index tells that it is none
    pixels = bytes(HEIGHT * (-(-WIDTH * bits // 32) * 4))
    end = 14 + header
    for start in {0, 2, end - 2, *range(end, end + len(palette), 40)} - {end + len(palette)}:
        path.write_bytes(bmp(bits, pixels, palette, header=header, start=start))
        assert read(path) == ELSEWHERE, start
    path.write_bytes(bmp(bits, pixels, palette + bytes(6), header=header))
    assert not isinstance(read(path), str)


@pytest.mark.parametrize("bits", [1, 4, 8, 24])
@pytest.mark.parametrize("down", [True, False])
def test_a_file_that_lacks_pixels_is_truncated(tmp_path, bits, down):
    path = tmp_path / "a.bmp"
    if bits == 24:
        stored = noise("u1", (HEIGHT, WIDTH, 3))
        rows = np.pad(stored.reshape(HEIGHT, -1), ((0, 0), (0, -3 * WIDTH % 4)))[::-1].tobytes()
        palette, expected = b"", stored[..., ::-1]
    else:
        table, indices = colours(1 << bits), noise("u1") & np.uint8((1 << bits) - 1)
        rows, palette, expected = rows_of(indices, bits), table.tobytes(), table[indices][..., 2::-1]
    expected = expected if down else expected[::-1]
    data = bmp(bits, rows, palette, down=down)
    filling = len(rows) // HEIGHT - -(-WIDTH * bits // 8)
    assert filling > 0
    path.write_bytes(data[:-filling])  # which lacks no pixel
    check(read(path), expected, bits)
    for lost in (filling + 1, len(rows) // 2, len(rows)):
        path.write_bytes(data[:-lost])
        held, needed = len(rows) - lost, len(rows) - filling
        assert read(path) == f"is truncated: it holds {held} of {needed} bytes of pixels"
    path.write_bytes(data[:50])
    assert read(path).startswith("is truncated: it holds 0 of ")
    path.write_bytes(data[:40])
    assert read(path) == "is truncated: its header is not whole"


def codes(indices, bits, how):
    """Run lengths: pairs of equal pixels, or pixels as they are."""
    out = []
    for row in indices[::-1]:
        line = b""
        if how == "runs":
            for value in row:
                line += bytes([1, value if bits == 8 else value << 4 | 15])
        else:
            literal = row.tobytes()
            if bits == 4:
                even = np.pad(row, (0, len(row) % 2))
                literal = (even[::2] << 4 | even[1::2]).astype(np.uint8).tobytes()
            line = bytes([0, len(row)]) + literal + bytes(len(literal) % 2)
        out.append(line)
    return out


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("how", ["runs", "literal"])
def test_run_lengths_fill_every_row_or_the_file_is_refused(tmp_path, bits, how):
    path = tmp_path / "a.bmp"
    table, indices = colours(1 << bits), noise("u1") & np.uint8((1 << bits) - 1)
    lines = codes(indices, bits, how)
    expected = table[indices][..., 2::-1]

    def outcome(pixels):
        path.write_bytes(bmp(bits, pixels, table.tobytes(), packing=3 - bits // 4))
        return read(path)

    ends = {"both": b"\0\0", "none": b""}  # a full row needs no mark
    for end in ends.values():
        for last in (b"\0\1", b"", bytes(60)):
            whole = end.join(lines) + last
            check(outcome(whole), expected, (bits, how, end, last))
        with Image.open(io.BytesIO(path.read_bytes())) as file:
            if end and bits == 8:
                assert np.array_equal(np.asarray(file.convert("RGB")), expected)
    for number in range(HEIGHT):
        kept = b"".join(line + b"\0\0" for line in lines[:number])
        missing = b"\0\0".join(lines[number:])
        for rest in (b"", b"\0\1", bytes(len(missing)), b"\0\2\1\1" + missing):
            reason = (
                f"is truncated, or leaves pixels out: its row {number + 1} of {HEIGHT} has 0 of {WIDTH}"
            )
            assert outcome(kept + rest) == reason
    for length in range(0, len(lines[0]), 2 if how == "runs" else 100):
        assert f"its row {HEIGHT} of {HEIGHT} has {length // 2} of" in outcome(kept + lines[-1][:length])
    assert "has more than" in outcome(bytes([WIDTH + 1, 0]) + b"\0\0".join(lines))


def test_a_run_of_two_indices_takes_turns(tmp_path):
    path, table = tmp_path / "a.bmp", colours(16)
    line = bytes([WIDTH, 0x2C]) + b"\0\0"
    path.write_bytes(bmp(4, line * HEIGHT + b"\0\1", table.tobytes(), packing=2))
    expected = np.tile(np.arange(WIDTH) % 2, (HEIGHT, 1))
    check(read(path), table[np.where(expected, 12, 2)][..., 2::-1], "RLE4")


@pytest.mark.parametrize("packing", [0, 1])
@pytest.mark.parametrize("used", [0, 10])
def test_a_colour_behind_the_palette_is_an_error(tmp_path, packing, used):
    path, table = tmp_path / "a.bmp", colours(10)
    indices = noise("u1") % 10
    for top in (9, 10, 255):
        indices[3, 4] = top
        pixels = rows_of(indices, 8) if packing == 0 else b"\0\0".join(codes(indices, 8, "literal"))
        path.write_bytes(bmp(8, pixels, table.tobytes(), packing=packing, used=used))
        if top < 10:
            check(read(path), table[indices][..., 2::-1], packing)
        else:
            assert read(path) == f"is broken: its pixels name the colour {top + 1} of a palette of 10"
    path.write_bytes(bmp(8, pixels, table.tobytes(), packing=packing, used=11))
    assert read(path) == ELSEWHERE


@pytest.mark.parametrize(
    ("bits", "packing", "header"),
    [(2, 0, 40), (64, 0, 40), (0, 4, 40), (24, 4, 64), (1, 3, 64), (8, 2, 40)],
)
def test_what_is_not_read_is_said(tmp_path, bits, packing, header):
    path = tmp_path / "a.bmp"
    path.write_bytes(bmp(bits, bytes(9000), bytes(1024), packing=packing, header=header))
    assert read(path) == f"has {bits} bits a pixel and compression {packing}, which are not read"
    data = bytearray(path.read_bytes())
    data[14] = 16
    path.write_bytes(data)
    assert read(path) == "has a header of 16 bytes, which is not read"
