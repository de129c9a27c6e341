"""The frames of a DICOM file: how many there are, and the compressed data of one, by pydicom."""

import io
import math
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.dicom_source import NO_LENGTH, Source
from mindspore_dpus.data.images.dicom_values import value_of
from mindspore_dpus.data.images.headers import codestream_frame
from mindspore_dpus.data.images.jpeg import JpegInside

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_MODULES = {
    "pillow": "PIL",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-libjpeg": "libjpeg",
    "pylibjpeg-openjpeg": "openjpeg",
}
# What the compressed data of a frame begin with: JPEG, JPEG-LS; JPEG 2000, without and with a file around it.
_CODESTREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")


def count_frames(source: Source) -> int:
    """How many frames there are, by the header.

    Raises:
        ImageError: there is no place for as many in the file, or there are further ones.
    """
    number = max(1, int(value_of(source.header, "NumberOfFrames") or 1))
    find = _compressed_frames if source.syntax.is_encapsulated else _plain_frames
    whole, possible = find(source, number)
    if number > 1 and possible < number:
        raise ImageError(
            f"is truncated or broken: it names {number} frames and holds {possible} at most"
        )
    if whole > number:
        raise ImageError(
            f"is broken: it holds {whole} frames and names {number}: correct its Number of Frames"
        )
    return number


def _plain_frames(source: Source, number: int) -> tuple[int, int]:
    """How many whole frames are there, where so many are named; and how many the file has place for."""
    header = source.header
    samples = value_of(header, "SamplesPerPixel") or 1
    plane = header.Rows * header.Columns * header.BitsAllocated
    possible = 8 * source.size // max(plane, 1)
    # Two pixels share their colours in YBR_FULL_422.
    shared = samples == 3 and header.PhotometricInterpretation == "YBR_FULL_422"
    one = plane * (2 if shared else samples)
    if source.pixels is None or one <= 0:
        return 0, possible
    if source.pixels.length == NO_LENGTH:
        raise ImageError(
            "is broken: its pixel data have no length, as compressed ones have none, but it says that they "
            f"are not compressed ({source.syntax.name}): correct its Transfer Syntax UID"
        )
    if shared and 8 * source.pixels.length // plane == 3 * number:
        raise ImageError(
            "has 3 bytes a pixel, and YBR_FULL_422 that is not compressed has 2: correct its Photometric "
            "Interpretation, probably to YBR_FULL or RGB"
        )
    # An element's length is even: its last byte may be no pixel's.
    further = 8 * min(source.pixels.length, source.size) - -(-number * one // 16) * 16
    return number + further // one, possible


def _compressed_frames(source: Source, number: int) -> tuple[int, int]:
    """As ``_plain_frames``, of compressed data, where a frame may be in several pieces."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    with source.open() as file:
        offsets = parse_basic_offsets(file)
        fragments, places = parse_fragments(file)
        begun = len(_begun_frames(file, source, places))
    extended = len(source.header.get("ExtendedOffsetTable") or b"") // 8
    return max(len(offsets), extended, begun), fragments


def _begun_frames(file: BinaryIO, source: Source, places: list[int]) -> list[int]:
    """Of the places of fragments, those at which a frame begins, by what is in them."""
    from pydicom.uid import RLELossless

    if source.syntax == RLELossless:
        return places  # a frame is never in several (PS3.5, A.4.2)
    begun = []
    for place in places:
        file.seek(place + 8)
        if file.read(12).startswith(_CODESTREAMS):
            begun.append(place)
    return begun


def _frame_data(source: Source, index: int, number: int) -> bytes:
    """The compressed data of a frame of so many. A table of offsets that does not fit to the fragments is
    passed over."""
    from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments

    header = source.header
    with source.open() as file:
        if "ExtendedOffsetTable" in header:
            offsets = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
            return get_frame(file, index, number_of_frames=number, extended_offsets=offsets)
        offsets = parse_basic_offsets(file)
        front = file.tell()
        _, places = parse_fragments(file)
        starts = [front + offset for offset in offsets]
        fit = starts[:1] == places[:1] and starts == sorted(set(starts) & set(places))
        if len(starts) != number or not fit:
            starts = places[:1] if number == 1 else places
            if len(starts) != number:
                starts = _begun_frames(file, source, places)
        if len(starts) != number:
            raise ImageError(
                f"is broken: its {len(places)} pieces of compressed data are of {len(starts)} frames, it "
                f"names {number}: correct its Number of Frames"
            )
        end = starts[index + 1] if index + 1 < number else math.inf
        data = []
        for place in places:
            if starts[index] <= place < end:
                file.seek(place + 4)
                data.append(file.read(struct.unpack("<I", file.read(4))[0]))
    return b"".join(data)


def compressed_frame(source: Source, index: int, number: int) -> bytes:
    """The compressed data of a frame of so many.

    Raises:
        ImageError: no plug-in here reads them, or the size of the image is not the header's.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import RLELossless

    header, syntax = source.header, source.syntax
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"is compressed as {syntax.name}, which pydicom does not read") from None
    if not decoder.is_available:
        raise ImageError(f"is compressed as {syntax.name}; {_what_is_missing(syntax)}")
    data = _frame_data(source, index, number)
    if syntax == RLELossless:
        return data  # it has no size of its own
    frame = codestream_frame(io.BytesIO(data))
    size = frame and frame[:2]
    if data.startswith(b"\xff\xd8"):
        # Where Pillow refuses a truncated one, pydicom turns to pylibjpeg, which fills it up.
        JpegInside(data).check()
    if size != (header.Columns, header.Rows):
        found = f"is {size[0]} x {size[1]} pixels" if size else "has no size"
        raise ImageError(
            f"is broken: its compressed image {found}, its header says {header.Columns} x {header.Rows}"
        )
    if frame[2] > header.BitsAllocated:
        raise other_kind(header)
    return data


def other_kind(header: "Dataset") -> ImageError:
    """What to say of a compressed image that is not what the header says."""
    return ImageError(
        "is broken: its compressed image has other channels or bits than its header says: "
        f"{header.PhotometricInterpretation}, {header.get('SamplesPerPixel', 1)} of "
        f"{header.BitsAllocated} bits ({header.get('BitsStored', header.BitsAllocated)} used)"
    )


def _what_is_missing(syntax: "UID") -> str:
    """Which packages would read a compression, of those that are not here, and how to get one."""
    from pydicom import uid

    if syntax in (uid.JPEGBaseline8Bit, uid.JPEG2000, uid.JPEG2000Lossless):
        needed, extra = ["pillow"], "dicom"
    elif syntax in (uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL):
        needed, extra = ["pylibjpeg", "pylibjpeg-openjpeg"], None
    else:
        needed, extra = ["pylibjpeg", "pylibjpeg-libjpeg"], "dicom-jpeg"
    missing = " and ".join(name for name in needed if find_spec(_MODULES[name]) is None)
    if not missing:
        return f"the installed {' and '.join(needed)} cannot be used by pydicom: install them anew"
    how = f"pip install 'mindspore_dpus[{extra}]'" if extra else f"pip install {' '.join(needed)}"
    return f"{missing} is missing: {how}"
