"""Where the frames of a TIFF file are: in pages, in the images behind one of them, in sub-directories."""

import bisect
import math
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from tifffile import TiffFile, TiffPage

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.quiet import quiet

COMPLEX = "has complex numbers or samples of an unknown kind, which are not read"
_REDUCED, _MASK = 1, 4
# How many images a directory stands for, in the descriptions of ImageJ and of tifffile.
_IMAGEJ = re.compile(r"^(images|channels|slices|frames)=(\d{1,9})\s*$", re.MULTILINE)
_SHAPED = re.compile(r'(?:shape=\(|\{.*"shape": ?\[)([\d, ]{1,200})[\])]', re.DOTALL)


@dataclass(frozen=True)
class Frame:
    """Where a frame's directory stands, and which of the images in it it is, from 0."""

    directory: int
    image: int = 0


# Of the file that was asked for last; one tuple, as threads share it. Each frame of a stack asks anew,
# and thousands of them would each walk thousands of pages.
_last: list[tuple[tuple | None, tuple[Frame, ...]]] = [(None, ())]


@contextmanager
def open_tiff(file: BinaryIO) -> Iterator[TiffFile]:
    """The file for tifffile, without its own special cases for certain microscopes and scanners."""
    try:
        with quiet("tifffile"):
            file.seek(0)
            tiff = TiffFile(file, is_ndpi=False, is_lsm=False, is_scanimage=False)
            if not tiff.pages:
                raise ImageError("is truncated or broken: its page 1 cannot be found")
            yield tiff
    except (ValueError, struct.error, OverflowError) as error:  # tifffile's own is a ValueError
        reason = " ".join(str(error).split())
        raise ImageError(f"is truncated or broken, or no TIFF that is read ({reason})") from None
    except TypeError as error:
        raise _unknown_type(error) from None


def _unknown_type(error: TypeError) -> ImageError:
    """tifffile asks NumPy for complex numbers of 16 bits, for one, which it does not have; and calculates
    with tags that are no numbers, where a directory writes a width as bytes, say."""
    if "not understood" in str(error):
        return ImageError(COMPLEX)
    return ImageError(
        "is broken: a tag of its directory, such as its width, is not of the type of an integer, but bytes, "
        "text or floating point: save it anew"
    )


def find_frames(file: BinaryIO, tiff: TiffFile) -> tuple[Frame, ...]:
    """The frames of an opened file, in their order.

    Raises:
        ImageError: directories are broken, or fewer images are there than named; the message lacks the
            file's name.
    """
    status = os.fstat(file.fileno())
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    known = _last[0]
    if known[0] != key:
        known = _last[0] = key, _look_for_frames(file, tiff)
    return known[1]


@dataclass(frozen=True)
class _Directory:
    """What the images of a directory are counted by.

    Args:
        place: where it stands.
        first: where its pixels begin; 0 where they lie nowhere.
        size: bytes of an image.
        named: images that the program that wrote it names.
        alone: they surely have no directories of their own.
    """

    place: int
    first: int
    size: int
    named: int
    alone: bool

    @classmethod
    def of(cls, page: TiffPage) -> "_Directory":
        first = page.dataoffsets[0] if page.dataoffsets else 0
        named = _named(page)
        if named > 1 and not (page.is_contiguous and page.nbytes):
            named = 1  # compressed: then each has a directory
        alone = page.is_stk or '"truncated": true' in (page.shaped_description or "")
        return cls(page.offset, first, page.nbytes if named > 1 else 0, named, alone)


def _look_for_frames(file: BinaryIO, tiff: TiffFile) -> tuple[Frame, ...]:
    pages, reduced, inside = [], [], []
    for page in _walk(file, tiff):
        found = _Directory.of(page)
        if _is_reduced(page):
            reduced.append(found)
            inside += page.subifds or ()
        else:
            pages.append(found)
    if not pages:
        places = _whole_among(file, tiff, inside) if inside else [page.place for page in reduced]
        return tuple(map(Frame, places))
    # What ends the images of a directory: other directories and their pixels, and the end of the file.
    ends = {place for page in (*pages, *reduced) for place in (page.place, page.first)}
    ends = sorted({*ends, file.seek(0, os.SEEK_END)})
    return tuple(Frame(page.place, i) for page in pages for i in range(_images(page, ends, len(pages))))


def _is_reduced(page: TiffPage) -> bool:
    """Whether it is a thumbnail or a mask."""
    kind = page.subfiletype
    return isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))


def _whole_among(file: BinaryIO, tiff: TiffFile, places: list[int]) -> list[int]:
    """The sub-directories that are no thumbnails (DNG has them below one)."""
    found = [place for place in places if not _is_reduced(read_page(file, tiff, place, 1))]
    if not found:
        raise ImageError("holds reduced copies only, in its directories and below them")
    return found


def _walk(file: BinaryIO, tiff: TiffFile) -> Iterator[TiffPage]:
    """Every page of the chain. tifffile stops in silence where the chain is broken."""
    form = tiff.tiff
    page, seen, number = tiff.pages.first, set(), 1
    while True:
        yield page
        seen.add(page.offset)
        try:
            file.seek(page.offset)
            (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
            file.seek(tags * form.tagsize, os.SEEK_CUR)
            (place,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        except struct.error:
            raise ImageError(f"is truncated or broken: its page {number} has no end") from None
        if place == 0:
            return
        number += 1
        if place in seen:
            raise ImageError("is broken: its pages form a ring")
        page = read_page(file, tiff, place, number)


def read_page(file: BinaryIO, tiff: TiffFile, place: int, number: int) -> TiffPage:
    """The page whose directory stands at a place; its number, from 1, is for the message.

    Raises:
        ImageError: there is none; the message lacks the file's name.
    """
    try:
        file.seek(place)
        return TiffPage(tiff, index=number - 1)
    except (ValueError, OverflowError, struct.error):
        raise ImageError(f"is truncated or broken: its page {number} cannot be found") from None
    except TypeError as error:
        raise _unknown_type(error) from None


def _images(page: _Directory, ends: list[int], pages: int) -> int:
    """How many images a directory stands for, which follow one another behind it.

    Args:
        page: the directory; not a thumbnail.
        ends: where something else begins or the file ends, in order.
        pages: how many directories there are, without thumbnails.

    Raises:
        ImageError: more are named than there are.
    """
    if page.named < 2:
        return 1
    end = ends[min(bisect.bisect_left(ends, page.first + page.size), len(ends) - 1)]
    held = max(0, end - page.first) // page.size
    if held >= page.named:
        return page.named
    # They have directories of their own, or whoever saved this one alone has kept its description.
    if (pages >= page.named and not page.alone) or (held == 1 and end < ends[-1]):
        return 1
    raise ImageError(f"is truncated: it names {page.named} images and holds {held}")


def _named(page: TiffPage) -> int:
    """How many images a directory stands for, by the program that wrote it: ImageJ, tifffile, MetaMorph."""
    if page.is_stk:
        return page.tags[33629].count if 33629 in page.tags else 1
    if page.is_imagej:
        found = {key: int(value) for key, value in _IMAGEJ.findall(page.imagej_description)}
        images, channels = found.get("images", 1), found.get("channels", 1)
        stacked = found.get("slices", 1) * found.get("frames", 1)
        # Some count the colours of an image as channels.
        coloured = page.samplesperpixel == channels > 1
        if coloured and (page.planarconfig == 2 or images == stacked):
            return stacked
        return max(images, stacked * channels)
    shape = _SHAPED.match(page.shaped_description or "")
    if shape is None or not page.size:
        return 1
    return max(1, math.prod(map(int, re.findall(r"\d+", shape[1]))) // page.size)
