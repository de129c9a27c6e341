"""Compressed strips and tiles of TIFF -> rows of bytes; rows of bytes -> numbers.

Every strip and tile must unpack to all of its bytes: what is damaged is an error, never grey or black.
The codecs here need Python and Pillow, whose libtiff unpacks what Python does not. Whatever else
tifffile knows comes with the package imagecodecs (``tiff.py``).
"""

import contextlib
import ctypes
import io
import itertools
import lzma
import struct
import threading
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, _imaging

from mindspore_dpus.data.images.decoded import ImageError

# Of values that are unpacked bit by bit, at a time.
_BLOCK = 1 << 20
_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))
NONE, JPEG, OLD_JPEG = 1, 7, 6
# CCITT's three, LZW, PackBits, Zstandard: whole images of strips, by libtiff.
BY_LIBTIFF = frozenset({2, 3, 4, 5, 32773, 50000})
CCITT = frozenset({2, 3, 4})
# Those before which a predictor may stand.
PREDICTED = frozenset({5, 8, 32946, 34925, 50000})


# libtiff prints what it does not like; here it is an error, which names the file. Where Pillow has it
# inside itself, as on Windows, the lines stay.
_here = threading.local()


@ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
def _note(_: bytes | None, text: bytes | None, __: int | None) -> None:
    """Keep what libtiff says for whoever reads in this thread; the numbers in it are not filled in."""
    if hasattr(_here, "heard") and text:
        _here.heard.append(text.split(b" at ")[0].decode(errors="replace"))


with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(_note)


def reverse_bits(data: bytes) -> bytes:
    """FillOrder 2: the bits of each byte the other way round."""
    return data.translate(_REVERSED)


def inflate(data: bytes, size: int) -> bytes:
    """Deflate (8, 32946), to its checksum, but keep no more than ``size`` bytes."""
    unpacker = zlib.decompressobj()
    found, rest = unpacker.decompress(data, size), unpacker.unconsumed_tail
    while not unpacker.eof:
        more = unpacker.decompress(rest, 1 << 16)
        if not more and unpacker.unconsumed_tail == rest:
            raise ValueError("it ends too soon")
        rest = unpacker.unconsumed_tail
    return found


def unpack_lzma(data: bytes, size: int) -> bytes:
    """LZMA (34925)."""
    return lzma.LZMADecompressor().decompress(data, size)


UNPACKERS: dict[int, Callable[[bytes, int], bytes]] = {
    NONE: lambda data, size: data[:size],
    8: inflate,
    32946: inflate,
    34925: unpack_lzma,
}


def unpack(segments: Sequence[bytes], compression: int, sizes: Sequence[int], kind: str) -> np.ndarray:
    """Unpack strips or tiles one by one.

    Args:
        segments: their bytes, as they are in the file.
        compression: a key of ``UNPACKERS``.
        sizes: bytes that each must give; more are cut off.
        kind: ``strip`` or ``tile``, for the message.

    Returns:
        (sum of sizes,) uint8.

    Raises:
        ImageError: one is damaged.
    """
    if compression == NONE and [len(data) for data in segments] == list(sizes):
        return np.frombuffer(_joined(segments), np.uint8)
    rows = np.empty(sum(sizes), np.uint8)
    place = 0
    for number, (data, size) in enumerate(zip(segments, sizes, strict=True), 1):
        try:
            found = UNPACKERS[compression](data, size)
        except (ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise ImageError(f"is damaged: {kind} {number} cannot be unpacked ({error})") from None
        if len(found) < size:
            raise ImageError(f"is damaged: {kind} {number} gives {len(found)} of {size} bytes")
        rows[place : place + size] = np.frombuffer(found, np.uint8)
        place += size
    return rows


def _joined(segments: Sequence[bytes | memoryview]) -> bytes:
    """All of them; without a copy where they are the parts of one piece of memory."""
    whole = segments[0].obj if isinstance(segments[0], memoryview) else b""
    if len(whole) == sum(len(segment) for segment in segments):
        return whole
    return b"".join(segments)


def unpack_by_libtiff(
    segments: Sequence[bytes],
    compression: int,
    shape: tuple[int, int, int],
    rows_each: int,
    extra: dict[int, int | bytes | Sequence[int]],
    kind: str,
    bits: int = 8,
) -> np.ndarray:
    """Unpack strips or tiles, piled up as one image of strips, by the libtiff in Pillow.

    Args:
        segments: their bytes, as they are in the file.
        compression: of ``BY_LIBTIFF``, or ``JPEG``.
        shape: rows, columns and samples of the pile; CCITT: columns of one bit; ``JPEG``: samples of one
            byte, turned from YCbCr to RGB where ``extra`` says so; the others: bytes.
        rows_each: rows of each but the last.
        extra: further tags and their values: bytes for JPEG's tables, else one number or several.
        kind: ``strip`` or ``tile``, for the message.
        bits: of a sample: 8, or 16 for a single one of little-endian byte order.

    Returns:
        ``shape`` uint8 or uint16; without alpha, and without the last axis where one sample is left.

    Raises:
        ImageError: one is damaged.
    """
    rows, columns, samples = shape
    bits = 1 if compression in CCITT else bits
    tags: dict[int, int | bytes | Sequence[int]] = {256: columns, 257: rows, 258: [bits] * samples}
    tags |= {259: compression, 262: 1 if samples < 3 else 2, 277: samples, 278: rows_each, 284: 1}
    tags |= extra
    if samples == 2 or (samples == 4 and tags[262] == 2):
        tags[338] = 0  # of no known meaning: Pillow drops it, and leaves the colours alone
        samples -= 1
    if sum(len(segment) for segment in segments) >> 32:
        raise ImageError(f"has more than 4 GB in its {kind}s, which is not read")
    file = _tiff_file(tags, segments)
    try:
        with TiffImagePlugin.TiffImageFile(io.BytesIO(file)) as image:
            found = _load(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"is damaged: a {kind} cannot be unpacked ({error})") from None
    shape = (rows, columns, samples) if samples > 1 else (rows, columns)
    if found.shape != shape:
        raise ImageError(f"is damaged: its {kind}s give {found.shape} in place of {shape}")
    return found


def unpack_ccitt(
    segments: Sequence[bytes],
    compression: int,
    heights: Sequence[int],
    width: int,
    options: int,
    kind: str,
) -> np.ndarray:
    """Unpack strips or tiles of CCITT's compressions.

    libtiff leaves the rows that it does not reach as they were. So each is unpacked twice, once over
    white and once over black, and must not show what was there before; nor may libtiff complain of it.

    Args:
        segments: their bytes, the highest bit first.
        compression: of ``CCITT``.
        heights: rows of each.
        width: pixels of a row.
        options: T4Options; 0 where there are none.
        kind: ``strip`` or ``tile``, for the message.

    Returns:
        (sum of heights, width) uint8, 0 or 1.

    Raises:
        ImageError: one is damaged.
    """
    found = np.empty((sum(heights), width), np.uint8)
    extra = {292: options} if compression == 3 else {}
    grounds: dict[int, list[bytes]] = {}
    place = 0
    for number, (segment, height) in enumerate(zip(segments, heights, strict=True), 1):
        if height not in grounds:
            grounds[height] = [_pack_ground(g, compression, height, width, options) for g in (0, 1)]
        white, black = grounds[height]
        # A last code and what fills up its byte have fewer than 16 zeros: more are no data.
        segment = bytes(segment).rstrip(b"\0") + b"\0\0"
        _here.heard = heard = []
        try:
            rows = unpack_by_libtiff(
                [white, segment, black, segment],
                compression,
                (4 * height, width, 1),
                height,
                extra,
                kind,
            )
        except ImageError:
            raise ImageError(f"is damaged: {kind} {number} cannot be unpacked") from None
        finally:
            del _here.heard
        rows, again = rows[height : 2 * height], rows[3 * height :]
        if heard:
            raise ImageError(f"is damaged: {kind} {number} cannot be unpacked ({heard[0]})")
        if missing := np.count_nonzero((rows != again).any(axis=1)):
            raise ImageError(f"is damaged: {kind} {number} lacks {missing} of {height} rows")
        found[place : place + height] = rows
        place += height
    return found


def _pack_ground(value: int, compression: int, height: int, width: int, options: int) -> bytes:
    """A strip of one value, by Pillow."""
    file = io.BytesIO()
    name = {2: "tiff_ccitt", 3: "group3", 4: "group4"}[compression]
    tags = {278: height} | ({292: options} if compression == 3 else {})
    Image.new("1", (width, height), value).save(file, "TIFF", compression=name, tiffinfo=tags)
    with TiffImagePlugin.TiffImageFile(io.BytesIO(file.getvalue())) as image:
        (place,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return file.getvalue()[place : place + size]


# Pillow's modes whose memory is that of an array.
_IN_MEMORY = {"L": (np.uint8, ()), "I;16": (np.uint16, ()), "RGBX": (np.uint8, (4,))}


def _load(image: TiffImagePlugin.TiffImageFile) -> np.ndarray:
    """The pixels of an opened image. Pillow hands them out as bytes, in pieces, which takes a quarter of
    the time of unpacking; so it unpacks into an array of ours, where it can: colours with a fourth byte."""
    mode = {"RGB": "RGBX"}.get(image.mode, image.mode)
    if mode not in _IN_MEMORY:
        return np.asarray(image)
    dtype, samples = _IN_MEMORY[mode]
    found = np.empty((*image.size[::-1], *samples), dtype)
    memory = Image.frombuffer(mode, image.size, found, "raw", mode, 0, 1).im
    image.im, image._mode = memory, mode
    image.load()
    whole = found if image.im is memory else np.asarray(image)
    return cv2.cvtColor(whole, cv2.COLOR_RGBA2RGB) if mode == "RGBX" else whole


def _tiff_file(tags: dict[int, int | bytes | Sequence[int]], strips: Sequence[bytes]) -> bytes:
    """A TIFF file of one directory; where its strips lie is added to the tags."""
    lengths = np.array([len(strip) for strip in strips], np.uint32)
    packed = {
        tag: value if isinstance(value, bytes) else np.array(value, np.uint32).tobytes()
        for tag, value in tags.items()
    }
    packed |= {273: lengths.tobytes(), 279: lengths.tobytes()}
    first = 8 + 2 + 12 * len(packed) + 4
    start = first + sum(len(value) for value in packed.values() if len(value) > 4)
    packed[273] = (start + np.cumsum(lengths, dtype=np.int64) - lengths).astype(np.uint32).tobytes()
    entries, values = [], []
    for tag, value in sorted(packed.items()):
        code, count = (7, len(value)) if isinstance(tags.get(tag), bytes) else (4, len(value) // 4)
        inside = value if len(value) <= 4 else struct.pack("<I", first)
        entries.append(struct.pack("<HHI4s", tag, code, count, inside))
        if len(value) > 4:
            values.append(value)
            first += len(value)
    head = struct.pack("<4sIH", b"II*\0", 8, len(packed))
    return b"".join([head, *entries, bytes(4), *values, _joined(strips)])


def to_numbers(rows: np.ndarray, bits: int, kind: str, order: str, number: int) -> np.ndarray:
    """Rows of bytes -> rows of numbers.

    Args:
        rows: (R, B) uint8, each row beginning at a whole byte.
        bits: of a number.
        kind: ``u``, ``i`` or ``f``.
        order: ``<`` or ``>``.
        number: how many numbers a row holds.

    Returns:
        (R, number), of the smallest type that holds them, native byte order.
    """
    if bits in (8, 16, 32, 64):
        found = rows.view(f"{order}{kind}{bits // 8}")
        return found.astype(found.dtype.newbyteorder("="), copy=False)
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=number)
    width = 8 if bits < 8 else 16 if bits < 16 else 32
    found = np.empty((len(rows), number), f"u{width // 8}")
    step = max(1, _BLOCK // max(number, 1))
    for first in range(0, len(rows), step):
        part = np.unpackbits(rows[first : first + step], axis=1, count=number * bits)
        padded = np.zeros((len(part), number, width), np.uint8)
        padded[..., width - bits :] = part.reshape(len(part), number, bits)
        packed = np.packbits(padded, axis=2)
        found[first : first + step] = packed.view(f">u{width // 8}")[..., 0]
    return found


def undo_differences(numbers: np.ndarray, samples: int) -> np.ndarray:
    """Predictor 2: a number is the difference from that of the pixel on its left.

    Args:
        numbers: (R, W * samples), as ``to_numbers`` gives them; floating point is added up as integers.
        samples: interleaved in a row.
    """
    kind = numbers.dtype
    whole = numbers.view(f"u{kind.itemsize}").reshape(len(numbers), -1, samples)
    if kind.itemsize <= 2 and samples in (3, 4):
        # All rows at once, column by column: NumPy's own sums take three times as long.
        columns = cv2.transpose(whole).reshape(whole.shape[1], -1)
        for left, column in itertools.pairwise(columns):
            np.add(column, left, out=column)
        back = cv2.transpose(columns.reshape(whole.shape[1], len(whole), samples))
        return back.reshape(len(numbers), -1).view(kind)
    return np.add.accumulate(whole, axis=1, dtype=whole.dtype).reshape(len(numbers), -1).view(kind)


def undo_float_differences(rows: np.ndarray, bits: int, samples: int) -> np.ndarray:
    """Predictor 3: the bytes of a row's numbers apart, the highest first, and those as differences.

    Args:
        rows: (R, B) uint8.
        bits: 16, 32 or 64.
        samples: interleaved in a row.

    Returns:
        (R, B / bytes of a number) floating point, native byte order.
    """
    size = bits // 8
    whole = np.add.accumulate(rows.reshape(len(rows), -1, samples), axis=1, dtype=np.uint8)
    apart = whole.reshape(len(rows), size, -1)
    together = np.ascontiguousarray(apart.transpose(0, 2, 1)).reshape(len(rows), -1)
    return together.view(f">f{size}").astype(f"=f{size}")
