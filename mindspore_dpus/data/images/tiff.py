"""TIFF and BigTIFF files: tifffile says what is in them, every strip and tile is unpacked to its end.

What a page's header says (depth, samples, size, number of strips) is held against what was unpacked. A
kind whose meaning is not plain is refused by its name.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from tifffile import TiffPage

from mindspore_dpus.data.images import tiff_codecs as codecs
from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.opened import Opened
from mindspore_dpus.data.images.orientation import upright
from mindspore_dpus.data.images.tiff_directories import find_frames, open_tiff, read_page
from mindspore_dpus.data.images.tiff_jpeg import decode_jpegs, segment_sizes
from mindspore_dpus.data.images.tiff_layout import (
    CMYK,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
    check_types,
    layout_of,
    number_of,
    photometric,
)
from mindspore_dpus.data.images.tiff_segments import by_tifffile, heights_of, unpack_plane

# Deflate, the densest of the compressions, packs at most 1032 bytes into one; CCITT's lines and JPEG's
# blocks can be as dense.
_DENSEST = 1032 * 8


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
        check_types(page)
        page.photometric = photometric(page)
        check_size(page.imagewidth, page.imagelength, opened.max_pixels)
        layout = layout_of(page)
        length = file.seek(0, os.SEEK_END)
        if page.imagewidth * page.imagelength * layout.bits > 8 * _DENSEST * length:
            raise ImageError(
                f"is broken: its {length} bytes cannot hold {page.imagewidth} x {page.imagelength} "
                "pixels"
            )
        stored = _samples(file, page, layout, wanted.image, length)
        decoded = _give_meaning(page, layout, stored)
        values = upright(decoded.values, number_of(page, 274, 1))
        return dataclasses.replace(decoded, values=values)


def _samples(file: BinaryIO, page: TiffPage, layout: Layout, image: int, length: int) -> np.ndarray:
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
        tables, is_ycbcr = bytes(page.jpegtables or b""), page.photometric == YCBCR
        heights = heights_of(page, layout, down * across) * layout.planes
        piled = decode_jpegs(segments, tables, sizes, whole, heights, layout.together, is_ycbcr, kind)
    if page.compression not in (*codecs.UNPACKERS, *codecs.BY_LIBTIFF, codecs.JPEG):
        return by_tifffile(page, layout, segments)
    if page.compression == codecs.JPEG and (layout.bits != 8 or layout.together > 4):
        return by_tifffile(page, layout, segments)
    # Strips are piled up to planes; tiles to a column, from which they are put in their places.
    each = number // layout.planes
    if piled is None:
        planes = [
            unpack_plane(page, layout, segments[i * each : (i + 1) * each], kind)
            for i in range(layout.planes)
        ]
    else:
        planes = np.split(piled, layout.planes)
    if page.compression == codecs.JPEG and layout.kind == "i":
        planes = [plane.view(np.int8) for plane in planes]
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


def _give_meaning(page: TiffPage, layout: Layout, stored: np.ndarray) -> Decoded:
    """Grey or RGB of what is stored."""
    if stored.dtype == np.float16:
        stored = stored.astype(np.float32)  # OpenCV knows no half
    if page.photometric == PALETTE:
        return Decoded.of(_look_up(page, layout, stored[..., 0]))
    if page.photometric == CMYK:
        return Decoded.of(_mix(stored))
    if page.photometric in (RGB, YCBCR):
        return Decoded.of(np.ascontiguousarray(stored[..., :3]), layout.bits)
    grey = np.ascontiguousarray(stored[..., 0])
    return dataclasses.replace(Decoded.of(grey, layout.bits), inverted=page.photometric == WHITE_IS_ZERO)


def _look_up(page: TiffPage, layout: Layout, indices: np.ndarray) -> np.ndarray:
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
