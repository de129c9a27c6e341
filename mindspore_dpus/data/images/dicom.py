"""DICOM and DICONDE files, by pydicom: one frame, and only what says how it is to be read."""

import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.dicom_palette import look_up_colours
from mindspore_dpus.data.images.dicom_values import give_meaning, stored_range, value_of
from mindspore_dpus.data.images.headers import codestream_size
from mindspore_dpus.data.images.jpeg import JpegInside
from mindspore_dpus.data.images.opened import Opened
from mindspore_dpus.data.images.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_TAGS = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *(
        f"{k}PixelPadding{what}"
        for k in ("", "Float", "DoubleFloat")
        for what in ("Value", "RangeLimit")
    ),
    *(f"{c}PaletteColorLookupTableDescriptor" for c in ("Red", "Green", "Blue")),
    *(f"{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
# PS3.3, C.7.6.3.1.2.
_YBR_FULL = ("YBR_FULL", "YBR_FULL_422")
_PALETTE = "PALETTE COLOR"
_MODULES = {
    "pillow": "PIL",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-libjpeg": "libjpeg",
    "pylibjpeg-openjpeg": "openjpeg",
}
# The elements that hold pixels, of group 7FE0.
_KEYWORDS = {0x0010: "PixelData", 0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData"}
# PS3.5, 7.1.1: an element whose length its header does not say.
_NO_LENGTH = 0xFFFFFFFF
# What the compressed data of a frame begin with: JPEG, JPEG-LS; JPEG 2000, without and with a file around it.
_CODESTREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
# Of a file that is deflated as a whole: its header, and what may stand beside its pixels.
_BESIDE_PIXELS = 1 << 26

# It warns of what does not concern the pixels, without the file's name.
warnings.filterwarnings("ignore", module=r"pydicom\.")


def count_dicom_frames(opened: Opened) -> int:
    """How many frames a file holds, by its header, as far as its size can hold them.

    Raises:
        ImageError: pydicom is missing, or the file is broken or cannot hold as many as it says. The
            message lacks the file's name.
    """
    return _in_our_words(lambda: _count(_read_header(opened.path)))


def read_dicom(opened: Opened) -> Decoded:
    """Decode one frame, and only that.

    Returns:
        The frame. With ``use_voi``, the file's VOI table or window is applied, where it has one: the
        first, and the table where it has both; values are then 0 (black) to 1 (white). Without a VOI,
        its limits are what ``BitsStored`` can hold, after the rescale, or what the modality table can
        give.

    Raises:
        ImageError: pydicom or the plug-in for the file's compression is missing; no such frame; a
            broken file; pixels of a kind that is not read. The message lacks the file's name.
    """
    return _in_our_words(lambda: _read(opened))


def _in_our_words(work: Callable[[], object]) -> object:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise ImageError(
            "is DICOM, for which pydicom is missing: pip install 'mindspore_dpus[dicom]'"
        ) from None
    try:
        with quiet("pydicom"):
            return work()
    except ImageError:
        raise
    except Exception as error:
        # pydicom and its plug-ins raise what they please on broken files, RecursionError included.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"cannot be read as DICOM: {reason}") from None


@dataclass(frozen=True)
class _Pixels:
    """The element that holds the pixels.

    Args:
        keyword: its name in the standard.
        start: where in the file its value begins.
        length: of its value in bytes, as its header says; ``_NO_LENGTH``: it does not say.
        words: whether it is written as words of two bytes (OW), as far as that is said.
    """

    keyword: str
    start: int
    length: int
    words: bool


@dataclass(frozen=True)
class _Source:
    """A file to read pixels from, and how it is encoded.

    Args:
        header: what says how pixels are to be read; other elements are passed over, however large.
        syntax: transfer syntax.
        place: the file, or, of one that is deflated as a whole, what is in it.
        size: its bytes.
        pixels: None where it ends before them.
    """

    header: "Dataset"
    syntax: "UID"
    place: Path | bytes
    size: int
    pixels: _Pixels | None

    def open(self) -> BinaryIO:
        return self.place.open("rb") if isinstance(self.place, Path) else io.BytesIO(self.place)


def _read_header(path: Path) -> _Source:
    from pydicom import dcmread, uid
    from pydicom.filereader import read_file_meta_info

    with path.open("rb") as file:
        whole = file.read(132)[128:] == b"DICM"
    if whole:
        meta = read_file_meta_info(path)
        syntax = meta.get("TransferSyntaxUID")
        if meta and not isinstance(syntax, uid.UID):
            raise ImageError("is broken: it does not say how it is encoded (Transfer Syntax UID)")
        if syntax == uid.DeflatedExplicitVRLittleEndian:
            return _inflate(path)
    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        syntax = header.file_meta.get("TransferSyntaxUID") if "file_meta" in header.__dict__ else None
        if syntax is not None and not getattr(syntax, "is_transfer_syntax", False):
            raise ImageError(
                f"is encoded by the transfer syntax {syntax}, which is none of DICOM's own: export it anew as "
                "Explicit VR Little Endian"
            )
        plain = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
        written = _written_syntax(header)
        if syntax in (None, *plain):
            syntax = written
        pixels = _find_pixels(file, written)
    return _Source(_checked(header), syntax, path, path.stat().st_size, pixels)


def _written_syntax(header: "Dataset") -> "UID":
    """How the elements of a file are written, as pydicom found them to be: without file meta information,
    and where that says something else (of compressed images, explicit VR; PS3.5, A.4)."""
    from pydicom import uid

    implicit, little = header.original_encoding
    if "Rows" in header:
        # As it was read, before anybody has asked for its value.
        implicit = header.get_item("Rows").is_implicit_VR
    if implicit and not little:
        raise ImageError("is written as no DICOM file is: implicit VR, big endian")
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _find_pixels(file: BinaryIO, syntax: "UID") -> _Pixels | None:
    """The element of the pixels, in a file that is open at it, if it is one."""
    order = "<" if syntax.is_little_endian else ">"
    # Tag and length; where the kind of value stands, four bytes between them.
    head = file.read(8 if syntax.is_implicit_VR else 12)
    tag = struct.unpack(f"{order}HH", head[:4]) if len(head) >= 8 else None
    if tag is None or tag[0] != 0x7FE0 or tag[1] not in _KEYWORDS:
        return None
    length = struct.unpack(f"{order}I", head[-4:])[0]
    return _Pixels(_KEYWORDS[tag[1]], file.tell(), length, head[4:6] == b"OW")


def _checked(header: "Dataset") -> "Dataset":
    for name in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if header.get(name) is None:
            raise ImageError(f"holds no image: it has no {name}")
    return header


def _inflate(path: Path) -> _Source:
    """A file that is deflated as a whole (PS3.5, A.5), unpacked: no more of it than its own header says
    that there is."""
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    start = 144 + int(read_file_meta_info(path).FileMetaInformationGroupLength)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as file:
        file.seek(start)
        front = unpacker.decompress(file.read(), _BESIDE_PIXELS)
    unpacked = io.BytesIO(front)
    header = _checked(dcmread(unpacked, stop_before_pixels=True, specific_tags=_TAGS, force=True))
    found = _find_pixels(unpacked, ExplicitVRLittleEndian)
    bits = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated
    pixels = -(-bits * max(1, int(header.get("NumberOfFrames") or 1)) // 16) * 2
    rest = unpacker.decompress(unpacker.unconsumed_tail, pixels + 1)
    if len(rest) > pixels:
        raise ImageError(f"is broken: it inflates to more than its header's {pixels} bytes of pixels")
    if not unpacker.eof and not unpacker.unconsumed_tail:
        raise ImageError("is truncated: its deflated data end too soon")
    return _Source(header, ExplicitVRLittleEndian, front + rest, len(front) + len(rest), found)


def _count(source: _Source) -> int:
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


def _plain_frames(source: _Source, number: int) -> tuple[int, int]:
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
    if source.pixels.length == _NO_LENGTH:
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


def _compressed_frames(source: _Source, number: int) -> tuple[int, int]:
    """As ``_plain_frames``, of compressed data, where a frame may be in several pieces."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    with source.open() as file:
        _seek_pixels(file, source)
        offsets = parse_basic_offsets(file)
        fragments, places = parse_fragments(file)
        begun = len(_begun_frames(file, source, places))
    extended = len(source.header.get("ExtendedOffsetTable") or b"") // 8
    return max(len(offsets), extended, begun), fragments


def _begun_frames(file: BinaryIO, source: _Source, places: list[int]) -> list[int]:
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


def _compressed_frame(source: _Source, index: int, number: int) -> bytes:
    """The compressed data of a frame of so many. A table of offsets that does not fit to the fragments is
    passed over."""
    from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments

    header = source.header
    with source.open() as file:
        _seek_pixels(file, source)
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


def _seek_pixels(file: BinaryIO, source: _Source) -> None:
    """Place an open file at the value of its pixel data."""
    if source.pixels is None:
        raise ImageError("holds no pixels, or is truncated before them")
    file.seek(source.pixels.start)


def _read(opened: Opened) -> Decoded:
    source = _read_header(opened.path)
    header = source.header
    check_size(header.Columns, header.Rows, opened.max_pixels)
    kind = header.PhotometricInterpretation
    known = (*_GREY, *_COLOUR, _PALETTE)
    if kind not in known:
        raise ImageError(f"has pixels of kind {kind}; {', '.join(known)} are read")
    if kind in _YBR_FULL and header.BitsAllocated != 8:
        raise ImageError(
            f"has {kind} of {header.BitsAllocated} bits, which DICOM defines for 8 bits: save it as RGB"
        )
    number = _count(source)
    index = check_frame(opened.frame, number)
    data = None
    if source.syntax.is_encapsulated:
        data = _checked_frame(source, index, number)
    try:
        if header.BitsAllocated == 1 and not source.syntax.is_encapsulated:
            stored = _single_bits(source, index)
        else:
            below = _bits_below(source)
            stored = _decode(source, index, data, correct_unused_bits=not below)
            if below:
                stored = _move_down(stored, header, below)
    except ValueError as error:
        if source.syntax.is_encapsulated and re.search("broadcast|multiple of element", str(error)):
            raise ImageError(
                "is broken: its compressed image has other channels or bits than its header says: "
                f"{kind}, {header.get('SamplesPerPixel', 1)} of {header.BitsAllocated} bits"
            ) from None
        if source.syntax.is_encapsulated or "reshape" not in str(error):
            raise
        raise ImageError("is truncated: its pixel data end too soon") from None
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    samples = 1 if kind in (*_GREY, _PALETTE) else 3
    wanted = (header.Rows, header.Columns) if samples == 1 else (header.Rows, header.Columns, samples)
    if stored.shape != wanted:
        raise ImageError(f"is broken: it gives pixels {stored.shape}, its header says {wanted}")
    if kind == _PALETTE:
        return Decoded.of(look_up_colours(stored, header, source.syntax.is_little_endian))
    if kind in _COLOUR:
        return Decoded(stored, *stored_range(header, stored))
    return give_meaning(header, source.syntax.is_little_endian, index, stored, opened.use_voi)


def _decode(source: _Source, index: int, data: bytes | None, **options: bool) -> np.ndarray:
    """A frame by pydicom's decoder; ``data``: those of the frame, where they are compressed.

    pydicom's own way from a file to there takes elements to be written as the transfer syntax says.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels import as_pixel_options, get_decoder

    with source.open() as file:
        _seek_pixels(file, source)
        options["pixel_keyword"] = source.pixels.keyword
        options["pixel_vr"] = "OW" if source.pixels.words else "OB"
        if data is not None:
            file, index = encapsulate([data]), 0
            options |= {"number_of_frames": 1, "extended_offsets": None}
        decoder = get_decoder(source.syntax)
        return decoder.as_array(file, index=index, **as_pixel_options(source.header, **options))[0]


def _bits_below(source: _Source) -> int:
    """How many bits lie below the values of an uncompressed file, or one of RLE: old ones may have them
    at the upper end of what is allocated (High Bit; PS3.5, 8.1.1, before it was retired)."""
    from pydicom.uid import RLELossless

    header = source.header
    coded = source.syntax.is_encapsulated and source.syntax != RLELossless
    if coded or (high := header.get("HighBit")) is None or (bits := header.get("BitsStored")) is None:
        return 0
    below = high - (bits - 1)
    return below if below > 0 and high < header.BitsAllocated else 0


def _move_down(stored: np.ndarray, header: "Dataset", below: int) -> np.ndarray:
    """Values to the lower end, without what lies above and below them; the highest bit is the sign's."""
    if stored.dtype.kind not in "iu":
        return stored
    above = header.BitsAllocated - 1 - header.HighBit
    return (stored << above) >> (above + below)


def _single_bits(source: _Source, index: int) -> np.ndarray:
    """A frame of one bit a pixel. Frames follow one another bit by bit (PS3.5, 8.1.1), which pydicom does
    not find where they are no whole bytes."""
    header = source.header
    pixels = header.Rows * header.Columns
    if header.get("SamplesPerPixel", 1) != 1:
        raise ImageError("has colours of one bit, which are not read")
    first = index * pixels
    with source.open() as file:
        start = first // 16 * 2
        _seek_pixels(file, source)
        file.seek(start, 1)
        data = file.read(-(-(first + pixels) // 16) * 2 - start)
    if 8 * len(data) < first - 8 * start + pixels:
        raise ImageError("is truncated: its pixel data end too soon")
    packed = np.frombuffer(data, np.uint8)
    if not source.syntax.is_little_endian and source.pixels.words:
        # Words of two bytes, of which the second comes first.
        packed = np.pad(packed, (0, len(packed) % 2)).reshape(-1, 2)[:, ::-1].ravel()
    bits = np.unpackbits(packed, bitorder="little")[first - 8 * start :]
    return bits[:pixels].reshape(header.Rows, header.Columns)


def _checked_frame(source: _Source, index: int, number: int) -> bytes:
    """The compressed data of a frame of so many; refuse what no plug-in here reads, and an image whose
    size is not the header's."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import RLELossless

    header, syntax = source.header, source.syntax
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"is compressed as {syntax.name}, which pydicom does not read") from None
    if not decoder.is_available:
        raise ImageError(f"is compressed as {syntax.name}; {_what_is_missing(syntax)}")
    data = _compressed_frame(source, index, number)
    if syntax == RLELossless:
        return data  # it has no size of its own
    size = codestream_size(io.BytesIO(data))
    if data.startswith(b"\xff\xd8"):
        # Where Pillow refuses a truncated one, pydicom turns to pylibjpeg, which fills it up.
        JpegInside(data).check()
    if size != (header.Columns, header.Rows):
        found = f"is {size[0]} x {size[1]} pixels" if size else "has no size"
        raise ImageError(
            f"is broken: its compressed image {found}, its header says {header.Columns} x {header.Rows}"
        )
    return data


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
