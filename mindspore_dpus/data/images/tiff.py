"""TIFF and BigTIFF files: tifffile says what is in them, every strip and tile is unpacked to its end.

What a page's header says (depth, samples, size, number of strips) is held against what was unpacked. A
kind whose meaning is not plain is refused by its name.
"""

import dataclasses
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from mindspore_dpus.data.images import tiff_codecs as codecs
from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.opened import Opened
from mindspore_dpus.data.images.orientation import upright
from mindspore_dpus.data.images.tiff_directories import COMPLEX, find_frames, open_tiff, read_page
from mindspore_dpus.data.images.tiff_jpeg import decode_jpegs, segment_sizes

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
# Unspecified, associated, unassociated: programs write the first for alpha, too.
_ALPHA = ((0,), (1,), (2,))
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # 4: "undefined", which readers take for unsigned
_DEPTHS = {"u": (*range(1, 33), 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
# Deflate, the densest of the compressions, packs at most 1032 bytes into one; CCITT's lines and JPEG's
# blocks can be as dense.
_DENSEST = 1032 * 8
# Bytes behind the pixels of a strip that is not compressed, at most.
_FILLING = 15
# What tifffile unpacks by imagecodecs, of what is not unpacked here.
_BY_IMAGECODECS = {
    *(
        codecs.OLD_JPEG,
        codecs.JPEG,
        33007,
        34892,
        33003,
        33004,
        33005,
        34712,
        22610,
        34934,
        34887,
        34933,
    ),
    *(34926, 34927, 48124, 50001, 50002, 52546, 50013, 65000, 65001, 65002),
}


def count_tiff_frames(opened: Opened) -> int:
    """How many frames a file holds: its pages, but for reduced copies (thumbnails) and masks; where a
    program (ImageJ, tifffile, MetaMorph) has put several images behind a directory, each of them.

    Raises:
        ImageError: the chain of pages is broken, or images are missing; the message lacks the file's name.
    """
    with open_tiff(opened.file) as tiff:
        return len(find_frames(opened.file, tiff))


def read_tiff(opened: Opened) -> Decoded:
    """Decode one frame, and only that, the way up that its orientation says.

    Returns:
        Grey: stored values, of the file's own range. RGB; CMYK, YCbCr of JPEG and palettes are turned to
        RGB; alpha and other extra samples are dropped, and colours are left as they are stored.

    Raises:
        ImageError: no such frame, a broken file, or a kind that is not read; the message lacks the
            file's name.
    """
    file = opened.file
    with open_tiff(file) as tiff:
        frames = find_frames(file, tiff)
        wanted = frames[check_frame(opened.frame, len(frames))]
        if tiff.pages.first.offset == wanted.directory:
            page = tiff.pages.first
        else:
            page = read_page(file, tiff, wanted.directory, 1)
        page.photometric = _photometric(page)
        check_size(page.imagewidth, page.imagelength, opened.max_pixels)
        layout = _layout(page)
        length = file.seek(0, os.SEEK_END)
        if page.imagewidth * page.imagelength * layout.bits > 8 * _DENSEST * length:
            raise ImageError(
                f"is broken: its {length} bytes cannot hold {page.imagewidth} x {page.imagelength} "
                "pixels"
            )
        stored = _samples(file, page, layout, wanted.image, length)
        decoded = _give_meaning(page, layout, stored)
        values = upright(decoded.values, _number(page, 274, 1))
        return dataclasses.replace(decoded, values=values)


def _photometric(page: TiffPage) -> int:
    """What the samples are; where a page does not say so, as libtiff takes it."""
    if 262 in page.tags or page.compression == codecs.OLD_JPEG:  # which tifffile knows by itself
        return page.photometric
    colours = page.samplesperpixel - len(page.extrasamples)
    if colours == 1:
        return _WHITE_IS_ZERO if page.compression in codecs.CCITT else _BLACK_IS_ZERO
    if colours == 3:
        return _RGB
    raise ImageError(f"does not say what its {colours} channels are (PhotometricInterpretation)")


@dataclass(frozen=True)
class _Layout:
    """How the samples of a page are stored.

    Args:
        bits: of a sample.
        kind: ``u``, ``i`` or ``f``.
        samples: of a pixel, extra ones included.
        planes: 1, or, where the samples are stored apart, as many as these.
        tiled: tiles, else strips.
        rows, columns: of a tile or strip.
        predictor: 1 (none), 2 (differences) or 3 (of floating point).
    """

    bits: int
    kind: str
    samples: int
    planes: int
    tiled: bool
    rows: int
    columns: int
    predictor: int

    @property
    def together(self) -> int:
        """Samples that are stored side by side."""
        return self.samples // self.planes


def _layout(page: TiffPage) -> _Layout:
    bits, form, samples = page.bitspersample, page.sampleformat, page.samplesperpixel
    if not isinstance(bits, int) or not isinstance(form, int):
        raise ImageError(f"has channels of different kinds ({bits} bits), which are not read")
    if form not in _KINDS:
        raise ImageError(COMPLEX)
    kind = _KINDS[form]
    if bits not in _DEPTHS[kind]:
        name = {"u": "unsigned", "i": "signed", "f": "floating-point"}[kind]
        raise ImageError(f"has {name} pixels of {bits} bits, which are not read")
    if page.photometric not in _SAMPLES:
        raise ImageError(
            f"has pixels of kind {_name(PHOTOMETRIC, page.photometric)}; grey, RGB, palette, CMYK and "
            "JPEG's YCbCr are read"
        )
    wanted = _SAMPLES[page.photometric]
    if samples < wanted:
        raise ImageError(f"is broken: it has {samples} channels, its kind needs {wanted}")
    if wanted == 1 and samples > 2:
        raise ImageError(
            f"has {samples} channels and does not say that they are colours; 1 (grey), 2 (grey and "
            "alpha), 3 (RGB) and 4 (RGB and alpha) are read"
        )
    if wanted == 1 and samples == 2 and page.extrasamples not in _ALPHA:
        raise ImageError("has 2 channels and does not say that the second is alpha: save each by itself")
    if page.photometric == _CMYK and (kind != "u" or bits not in (8, 16)):
        raise ImageError(f"has CMYK pixels of {bits} bits; 8 and 16 are read")
    if page.photometric == _YCBCR and page.compression not in (codecs.JPEG, 34892, 33003, 33004, 34712):
        raise ImageError("has YCbCr pixels without JPEG compression, which are not read")
    if page.photometric == _YCBCR and page.planarconfig == 2:
        raise ImageError("has YCbCr pixels in separate planes, which are not read")
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise ImageError(f"is a volume of {page.imagedepth} layers in one page, which is not read")
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
    if rows < 1 or columns < 1:
        raise ImageError("is broken: its strips or tiles have no pixels")
    planes = samples if page.planarconfig == 2 else 1
    # Elsewhere the tag has no meaning, and libtiff passes over it.
    predictor = page.predictor if page.compression in codecs.PREDICTED else 1
    return _Layout(bits, kind, samples, planes, page.is_tiled, rows, columns, predictor)


def _name(names: type, value: object) -> str:
    """A tag's value in words."""
    try:
        return f"{names(value).name} ({int(value)})"
    except (ValueError, TypeError):
        return str(value)


def _number(page: TiffPage, tag: int, default: int) -> int:
    value = page.tags.valueof(tag)
    return value if isinstance(value, int) else default


def _samples(file: BinaryIO, page: TiffPage, layout: _Layout, image: int, length: int) -> np.ndarray:
    """(H, W, samples) as they are stored."""
    height, width = page.imagelength, page.imagewidth
    down, across = -(-height // layout.rows), -(-width // layout.columns)
    offsets, sizes = page.dataoffsets, page.databytecounts
    if image:
        each = page.nbytes // layout.planes
        offsets = [offsets[0] + image * page.nbytes + i * each for i in range(layout.planes)]
        sizes = [each] * layout.planes
        layout = dataclasses.replace(layout, rows=height, columns=width, tiled=False)
        down = across = 1
    number = down * across * layout.planes
    found = min(len(offsets), len(sizes))
    if found != number or len(page.dataoffsets) < number:
        raise ImageError(f"is broken: it has {found} strips or tiles in place of {number}")
    kind = "tile" if layout.tiled else "strip"
    places, sizes = _whole_numbers(offsets[:number]), _whole_numbers(sizes[:number])
    if (missing := (places <= 0) | (sizes <= 0)).any():
        i = missing.argmax() + 1
        raise ImageError(f"is broken or not yet complete: its {kind} {i} is not there")
    if (behind := places + sizes > length).any():
        i = behind.argmax() + 1
        raise ImageError(f"is truncated: its {kind} {i} of {number} ends behind the end of the file")
    segments, piled = _read_segments(file, places, sizes), None
    if page.compression == codecs.JPEG:
        whole = layout.rows, layout.columns
        sizes = segment_sizes((height, width), whole, layout.tiled) * layout.planes
        tables, is_ycbcr = bytes(page.jpegtables or b""), page.photometric == _YCBCR
        heights = _heights(page, layout, down * across) * layout.planes
        piled = decode_jpegs(segments, tables, sizes, whole, heights, layout.together, is_ycbcr, kind)
    if page.compression not in (*codecs.UNPACKERS, *codecs.BY_LIBTIFF, codecs.JPEG):
        return _by_tifffile(page, layout, segments)
    if page.compression == codecs.JPEG and (layout.bits != 8 or layout.together > 4):
        return _by_tifffile(page, layout, segments)
    # Strips are piled up to planes; tiles to a column, from which they are put in their places.
    each = number // layout.planes
    if piled is None:
        planes = [
            _unpack_plane(page, layout, segments[i * each : (i + 1) * each], kind)
            for i in range(layout.planes)
        ]
    else:
        planes = np.split(piled, layout.planes)
    if layout.tiled:
        shape = down, across, layout.rows, layout.columns, -1
        planes = [
            plane.reshape(shape)
            .swapaxes(1, 2)
            .reshape(down * layout.rows, across * layout.columns, -1)[:height, :width]
            for plane in planes
        ]
    return planes[0] if layout.planes == 1 else np.concatenate(planes, axis=2)


def _whole_numbers(numbers: Sequence[object]) -> np.ndarray:
    """(N,) floating point, which no number in a broken file is too large for; what is no whole number is 0."""
    if set(map(type, numbers)) != {int}:
        numbers = [number if type(number) is int else 0 for number in numbers]
    return np.array(numbers, np.float64)


def _read_segments(file: BinaryIO, places: np.ndarray, sizes: np.ndarray) -> list[bytes | memoryview]:
    """The bytes of strips or tiles; in one go where they follow one another."""
    ends = places + sizes
    if np.array_equal(ends[:-1], places[1:]):
        file.seek(int(places[0]))
        data = memoryview(file.read(int(sizes.sum())))
        begins, ends = ((x - places[0]).astype(int).tolist() for x in (places, ends))
        return [data[begin:end] for begin, end in zip(begins, ends, strict=True)]
    segments = []
    for place, size in zip(places, sizes, strict=True):
        file.seek(int(place))
        segments.append(file.read(int(size)))
    return segments


def _heights(page: TiffPage, layout: _Layout, number: int) -> list[int]:
    """Rows of each of the strips or tiles of a plane."""
    heights = [layout.rows] * number
    if not layout.tiled:
        heights[-1] = page.imagelength - layout.rows * (number - 1)
    return heights


def _unpack_plane(
    page: TiffPage, layout: _Layout, segments: list[bytes | memoryview], kind: str
) -> np.ndarray:
    """(rows, columns, samples that are stored together) of a pile of strips or tiles."""
    samples, per_row = layout.together, layout.columns * layout.together
    row_bytes = -(-per_row * layout.bits // 8)
    heights = _heights(page, layout, len(segments))
    rows = sum(heights)
    if page.fillorder == 2 and page.compression != codecs.JPEG:
        segments = [codecs.reverse_bits(bytes(segment)) for segment in segments]
    if page.compression == codecs.JPEG:
        extra = {347: bytes(page.jpegtables)} if page.jpegtables else {}
        if page.photometric == _YCBCR and samples == 3:
            # Without their tag, libtiff takes the factors of the JPEG itself.
            extra |= {262: _YCBCR} | ({530: list(page.subsampling)} if page.subsampling else {})
        elif page.photometric == _CMYK and samples == 4:
            extra |= {262: _CMYK}
        found = codecs.unpack_by_libtiff(
            segments, codecs.JPEG, (rows, layout.columns, samples), layout.rows, extra, kind
        )
        return found.reshape(rows, layout.columns, -1)
    if page.compression in codecs.BY_LIBTIFF and _undoes_differences(page, layout):
        shape = rows, layout.columns, samples
        found = codecs.unpack_by_libtiff(
            segments, page.compression, shape, layout.rows, {317: 2}, kind, layout.bits
        )
        return found.reshape(shape)
    if page.compression in codecs.CCITT:
        options = _number(page, 292, 0)
        found = codecs.unpack_ccitt(segments, page.compression, heights, per_row, options, kind)
        return found.reshape(rows, layout.columns, samples)
    if page.compression in codecs.BY_LIBTIFF:
        shape = rows, row_bytes, 1
        found = codecs.unpack_by_libtiff(segments, page.compression, shape, layout.rows, {}, kind)
    else:
        sizes = [height * row_bytes for height in heights]
        if page.compression == codecs.NONE:
            _check_lengths(segments, sizes, layout, kind)
        found = codecs.unpack(segments, page.compression, sizes, kind).reshape(rows, row_bytes)
    order = page.parent.byteorder
    if layout.predictor == 3 and layout.kind == "f":
        numbers = codecs.undo_float_differences(found, layout.bits, samples)
    else:
        numbers = codecs.to_numbers(found, layout.bits, layout.kind, order, per_row)
        if layout.predictor == 2 and layout.bits in (8, 16, 32, 64):
            numbers = codecs.undo_differences(numbers, samples)
        elif layout.predictor != 1:
            raise ImageError(f"has the predictor {layout.predictor} at {layout.bits} bits; not read")
    return numbers.reshape(rows, layout.columns, samples)


def _check_lengths(
    segments: list[bytes | memoryview], sizes: list[int], layout: _Layout, kind: str
) -> None:
    """Refuse strips or tiles, not compressed, that are longer than their pixels make them: those are stored
    in another way than the header says. Some bytes may fill up a strip, or rows the last one."""
    if not any(map(operator.gt, map(len, segments), sizes)):
        return  # as always; there may be hundreds
    per_row = layout.columns * layout.together
    packed = -(-per_row * layout.bits // 8)
    alone = per_row * (1 << max(0, (layout.bits - 1).bit_length() - 3))  # each in whole bytes of its own
    for i, (data, size) in enumerate(zip(segments, sizes, strict=True), 1):
        unpacked = packed != alone and len(data) == size // packed * alone
        if unpacked or len(data) > max(size + _FILLING, layout.rows * packed):
            hint = f": its BitsPerSample should be {8 * alone // per_row}" if unpacked else ""
            raise ImageError(
                f"is broken: {kind} {i} has {len(data)} bytes, and its pixels of {layout.bits} bits make "
                f"{size}{hint}"
            )


def _undoes_differences(page: TiffPage, layout: _Layout) -> bool:
    """Whether libtiff, by way of Pillow, can also undo the predictor: faster than NumPy."""
    if layout.predictor != 2 or layout.kind != "u":
        return False
    deep = layout.bits == 16 and layout.together == 1 and page.parent.byteorder == "<"
    return deep or (layout.bits == 8 and layout.together in (1, 3))


def _by_tifffile(page: TiffPage, layout: _Layout, segments: list[bytes | memoryview]) -> np.ndarray:
    """Compressions that tifffile unpacks where imagecodecs is installed."""
    name = _name(COMPRESSION, page.compression)
    if page.compression not in _BY_IMAGECODECS:
        raise ImageError(f"is compressed as {name}, which is not read: save it with another compression")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        raise ImageError(
            f"is compressed as {name} ({layout.bits} bits), for which imagecodecs is missing: "
            "pip install 'mindspore_dpus[tiff]'"
        ) from None
    whole = np.empty(page.shaped, page.dtype)
    for index, data in enumerate(segments):
        try:
            found, (plane, _, top, left, _), _ = page.decode(
                bytes(data), index, jpegtables=page.jpegtables
            )
        except Exception as error:
            # Each of its hundred codecs has errors of its own.
            reason = " ".join(str(error).split())
            raise ImageError(f"is damaged, or its compression {name} is not read ({reason})") from None
        part = whole[plane, 0, top : top + found.shape[1], left : left + found.shape[2]]
        needed = (min(layout.rows, page.imagelength - top), min(layout.columns, page.imagewidth - left))
        if part.shape[:2] != needed or found.dtype != page.dtype or found.shape[3] != part.shape[2]:
            raise ImageError(
                f"is broken: a strip or tile holds {found.shape[1:]} {found.dtype}, its header says "
                f"{(*needed, layout.together)} {page.dtype}"
            )
        part[...] = found[0, : needed[0], : needed[1]]
    return np.moveaxis(whole[:, 0], 0, 2).reshape(page.imagelength, page.imagewidth, layout.samples)


def _give_meaning(page: TiffPage, layout: _Layout, stored: np.ndarray) -> Decoded:
    """Grey or RGB of what is stored."""
    if stored.dtype == np.float16:
        stored = stored.astype(np.float32)  # OpenCV knows no half
    if page.photometric == _PALETTE:
        return Decoded.of(_look_up(page, layout, stored[..., 0]))
    if page.photometric == _CMYK:
        return Decoded.of(_mix(stored))
    if page.photometric in (_RGB, _YCBCR):
        return Decoded.of(np.ascontiguousarray(stored[..., :3]), layout.bits)
    grey = np.ascontiguousarray(stored[..., 0])
    return dataclasses.replace(
        Decoded.of(grey, layout.bits), inverted=page.photometric == _WHITE_IS_ZERO
    )


def _look_up(page: TiffPage, layout: _Layout, indices: np.ndarray) -> np.ndarray:
    """Palette -> RGB of 8 bits, as viewers show it."""
    table = page.tags.valueof(320)
    if layout.kind != "u" or layout.bits > 16 or np.size(table) != 3 << layout.bits:
        raise ImageError(f"is broken: its palette does not fit to pixels of {layout.bits} bits")
    colours = np.array(table, np.int64).reshape(3, -1).T
    if colours.max() > 255:  # else written by those who took 8 bits for the rule
        colours >>= 8
    return colours.astype(np.uint8)[indices]


def _mix(stored: np.ndarray) -> np.ndarray:
    """CMYK -> RGB without a colour profile: (1 - ink) (1 - black), as libtiff does it."""
    top = np.iinfo(stored.dtype).max
    light = (top - stored[..., :4]).astype(np.uint16 if top == 255 else np.uint32)  # holds a product
    return (light[..., :3] * light[..., 3:] // top).astype(stored.dtype)
