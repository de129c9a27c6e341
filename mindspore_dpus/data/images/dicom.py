"""DICOM and DICONDE files, by pydicom: one frame, and only what says how it is to be read."""

import io
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.dicom_values import give_meaning, stored_range
from mindspore_dpus.data.images.headers import codestream_size
from mindspore_dpus.data.images.jpeg import check_jpeg
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
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    *(f"{c}PaletteColorLookupTableDescriptor" for c in ("Red", "Green", "Blue")),
    *(f"{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_PALETTE = "PALETTE COLOR"
_MODULES = {
    "pillow": "PIL",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-libjpeg": "libjpeg",
    "pylibjpeg-openjpeg": "openjpeg",
}
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
class _Source:
    """A file to read pixels from, and how it is encoded.

    Args:
        header: what says how pixels are to be read; other elements are passed over, however large.
        syntax: transfer syntax.
        place: the file, or, of one that is deflated as a whole, what is in it.
        size: its bytes.
    """

    header: "Dataset"
    syntax: "UID"
    place: Path | bytes
    size: int

    def open(self) -> BinaryIO:
        return self.place.open("rb") if isinstance(self.place, Path) else io.BytesIO(self.place)


def _read_header(path: Path) -> _Source:
    from pydicom import dcmread, uid
    from pydicom.filereader import read_file_meta_info

    with path.open("rb") as file:
        whole = file.read(132)[128:] == b"DICM"
    if whole:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if not isinstance(syntax, uid.UID):
            raise ImageError("is broken: it does not say how it is encoded (Transfer Syntax UID)")
        if syntax.is_deflated:
            return _inflate(path)
    header = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
    syntax = header.file_meta.get("TransferSyntaxUID") if "file_meta" in header.__dict__ else None
    if syntax is None:
        # Without preamble and file meta information: as pydicom found the first element to be written.
        implicit, little = header.original_encoding
        syntax = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little
            else uid.ExplicitVRBigEndian
        )
    return _Source(_checked(header), syntax, path, path.stat().st_size)


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
    header = dcmread(io.BytesIO(front), stop_before_pixels=True, specific_tags=_TAGS, force=True)
    _checked(header)
    bits = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated
    pixels = -(-bits * max(1, int(header.get("NumberOfFrames") or 1)) // 16) * 2
    rest = unpacker.decompress(unpacker.unconsumed_tail, pixels + 1)
    if len(rest) > pixels:
        raise ImageError(f"is broken: it inflates to more than its header's {pixels} bytes of pixels")
    if not unpacker.eof and not unpacker.unconsumed_tail:
        raise ImageError("is truncated: its deflated data end too soon")
    return _Source(header, ExplicitVRLittleEndian, front + rest, len(front) + len(rest))


def _count(source: _Source) -> int:
    header = source.header
    number = int(header.get("NumberOfFrames") or 1)
    if number <= 1:
        return 1
    if source.syntax.is_encapsulated:
        from pydicom.encaps import parse_basic_offsets, parse_fragments

        with source.open() as file:
            _seek_compressed(file)
            parse_basic_offsets(file)
            possible, _ = parse_fragments(file)
    else:
        bits = header.Rows * header.Columns * header.BitsAllocated
        possible = 8 * source.size // max(bits, 1)
    if number > possible:
        raise ImageError(
            f"is truncated or broken: it names {number} frames and holds {possible} at most"
        )
    return number


def _seek_compressed(file: BinaryIO) -> None:
    """Place an open file at the value of its compressed pixel data, past its element's 12 bytes."""
    from pydicom import dcmread

    dcmread(file, stop_before_pixels=True, specific_tags=["Rows"], force=True)
    if file.read(12)[:4] != b"\xe0\x7f\x10\x00":
        raise ImageError("holds no pixels, or is truncated before them")


def _read(opened: Opened) -> Decoded:
    from pydicom.pixels import pixel_array

    source = _read_header(opened.path)
    header = source.header
    check_size(header.Columns, header.Rows, opened.max_pixels)
    kind = header.PhotometricInterpretation
    known = (*_GREY, *_COLOUR, _PALETTE)
    if kind not in known:
        raise ImageError(f"has pixels of kind {kind}; {', '.join(known)} are read")
    index = check_frame(opened.frame, _count(source))
    _check_compression(source, index)
    try:
        if header.BitsAllocated == 1 and not source.syntax.is_encapsulated:
            stored = _single_bits(source, index)
        else:
            below = _bits_below(source)
            with source.open() as file:
                stored = pixel_array(
                    file,
                    index=index,
                    transfer_syntax_uid=source.syntax,
                    correct_unused_bits=not below,
                )
            if below:
                stored = _move_down(stored, header, below)
    except ValueError as error:
        if source.syntax.is_encapsulated or "reshape" not in str(error):
            raise
        raise ImageError("is truncated: its pixel data end too soon") from None
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    samples = 1 if kind in (*_GREY, _PALETTE) else 3
    wanted = (header.Rows, header.Columns) if samples == 1 else (header.Rows, header.Columns, samples)
    if stored.shape != wanted:
        raise ImageError(f"is broken: it gives pixels {stored.shape}, its header says {wanted}")
    if kind == _PALETTE:
        return Decoded.of(_look_up(stored, header))
    if kind in _COLOUR:
        return Decoded(stored, *stored_range(header, stored))
    return give_meaning(header, source.syntax.is_little_endian, index, stored, opened.use_voi)


def _bits_below(source: _Source) -> int:
    """How many bits lie below the values of an uncompressed file, or one of RLE: old ones may have them
    at the upper end of what is allocated (High Bit; PS3.5, 8.1.1, before it was retired)."""
    from pydicom.uid import RLELossless

    header = source.header
    coded = source.syntax.is_encapsulated and source.syntax != RLELossless
    if coded or header.get("HighBit") is None or header.get("BitsStored") is None:
        return 0
    below = header.HighBit - (header.BitsStored - 1)
    return below if below > 0 and header.HighBit < header.BitsAllocated else 0


def _move_down(stored: np.ndarray, header: "Dataset", below: int) -> np.ndarray:
    """Values to the lower end, without what lies above and below them; the highest bit is the sign's."""
    if stored.dtype.kind not in "iu":
        return stored
    above = header.BitsAllocated - 1 - header.HighBit
    return (stored << above) >> (above + below)


def _single_bits(source: _Source, index: int) -> np.ndarray:
    """A frame of one bit a pixel. Frames follow one another bit by bit (PS3.5, 8.1.1), which pydicom does
    not find where they are no whole bytes."""
    from pydicom import dcmread

    header = source.header
    pixels = header.Rows * header.Columns
    if header.get("SamplesPerPixel", 1) != 1:
        raise ImageError("has colours of one bit, which are not read")
    first = index * pixels
    with source.open() as file:
        dcmread(file, stop_before_pixels=True, specific_tags=["Rows"], force=True)
        # Tag and length; where the kind of value stands, four bytes between them.
        head = file.read(8 if source.syntax.is_implicit_VR else 12)
        if head[:4] not in (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10"):
            raise ImageError("holds no pixels, or is truncated before them")
        swapped = not source.syntax.is_little_endian and head[4:6] == b"OW"
        # Words of two bytes, of which the second comes first.
        start = first // 16 * 2
        file.seek(start, io.SEEK_CUR)
        data = file.read(-(-(first + pixels) // 16) * 2 - start)
    if 8 * len(data) < first - 8 * start + pixels:
        raise ImageError("is truncated: its pixel data end too soon")
    packed = np.frombuffer(data, np.uint8)
    if swapped:
        packed = np.pad(packed, (0, len(packed) % 2)).reshape(-1, 2)[:, ::-1].ravel()
    bits = np.unpackbits(packed, bitorder="little")[first - 8 * start :]
    return bits[:pixels].reshape(header.Rows, header.Columns)


def _look_up(stored: np.ndarray, header: "Dataset") -> np.ndarray:
    """Palette -> RGB, of 8 or 16 bits as the palette has."""
    from pydicom.pixels import apply_color_lut

    return apply_color_lut(stored, header)


def _check_compression(source: _Source, index: int) -> None:
    """Refuse what no plug-in here reads, and a compressed image whose size is not the header's."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder
    from pydicom.uid import RLELossless

    header, syntax = source.header, source.syntax
    if not syntax.is_encapsulated:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"is compressed as {syntax.name}, which pydicom does not read") from None
    if not decoder.is_available:
        raise ImageError(f"is compressed as {syntax.name}; {_what_is_missing(syntax)}")
    if syntax == RLELossless:
        return  # it has no size of its own
    offsets = None
    if "ExtendedOffsetTable" in header:
        offsets = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
    number = int(header.get("NumberOfFrames") or 1)
    with source.open() as file:
        _seek_compressed(file)
        data = get_frame(file, index, number_of_frames=number, extended_offsets=offsets)
    size = codestream_size(io.BytesIO(data))
    if data.startswith(b"\xff\xd8"):
        # Where Pillow refuses a truncated one, pydicom turns to pylibjpeg, which fills it up.
        check_jpeg(data)
    if size != (header.Columns, header.Rows):
        found = f"is {size[0]} x {size[1]} pixels" if size else "has no size"
        raise ImageError(
            f"is broken: its compressed image {found}, its header says {header.Columns} x {header.Rows}"
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
