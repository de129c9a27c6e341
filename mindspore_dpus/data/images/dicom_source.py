"""Where a DICOM file has its pixels, and what it says of them, by pydicom."""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mindspore_dpus.data.images.decoded import ImageError

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
# The elements that hold pixels, of group 7FE0.
_KEYWORDS = {0x0010: "PixelData", 0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData"}
# PS3.5, 7.1.1: an element whose length its header does not say.
NO_LENGTH = 0xFFFFFFFF
# Of a file that is deflated as a whole: its header, and what may stand beside its pixels.
_BESIDE_PIXELS = 1 << 26


@dataclass(frozen=True)
class Pixels:
    """The element that holds the pixels.

    Args:
        keyword: its name in the standard.
        start: where in the file its value begins.
        length: of its value in bytes, as its header says; ``NO_LENGTH``: it does not say.
        words: whether it is written as words of two bytes (OW), as far as that is said.
    """

    keyword: str
    start: int
    length: int
    words: bool


@dataclass(frozen=True)
class Source:
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
    pixels: Pixels | None

    def open(self) -> BinaryIO:
        """The file, at the value of its pixel data.

        Raises:
            ImageError: it has none.
        """
        if self.pixels is None:
            raise ImageError("holds no pixels, or is truncated before them")
        file = self.place.open("rb") if isinstance(self.place, Path) else io.BytesIO(self.place)
        file.seek(self.pixels.start)
        return file


def read_header(path: Path) -> Source:
    """Read all of a file but its pixels.

    Raises:
        ImageError: it holds no image, or is broken.
    """
    from pydicom import uid
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
        header = _read_elements(file)
        syntax = header.file_meta.get("TransferSyntaxUID") if "file_meta" in header.__dict__ else None
        if syntax is not None and not getattr(syntax, "is_transfer_syntax", False):
            raise ImageError(
                f"is encoded by the transfer syntax {syntax}, a maker's own or one that pydicom does not know: "
                "export it anew as Explicit VR Little Endian"
            )
        plain = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
        written = _written_syntax(header)
        if syntax in (None, *plain):
            syntax = written
        pixels = _find_pixels(file, written)
    return Source(_checked(header), syntax, path, path.stat().st_size, pixels)


def _read_elements(file: BinaryIO) -> "Dataset":
    """The elements before the pixels, at which the file is left. Zeros where one should begin are a file
    that is not yet complete: pydicom would walk through them, a second for each megabyte."""
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    def is_at_pixels(tag: int, kind: str | None, length: int) -> bool:
        if tag == 0:
            raise ImageError("is broken or not yet complete: it holds zeros instead of elements")
        return tag >> 16 == 0x7FE0 and tag & 0xFFFF in _KEYWORDS

    head = file.read(144)
    place = 132 if head[128:132] == b"DICM" else 0
    if place and head[132:136] == b"\2\0\0\0":
        # Meta information, the first element of which is its length.
        place = 144 + int.from_bytes(head[140:], "little")
    file.seek(place)
    if file.read(4) == bytes(4):
        is_at_pixels(0, None, 0)
    file.seek(0)
    return read_partial(file, is_at_pixels, force=True, specific_tags=[Tag(name) for name in _TAGS])


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


def _find_pixels(file: BinaryIO, syntax: "UID") -> Pixels | None:
    """The element of the pixels, in a file that is open at it, if it is one."""
    order = "<" if syntax.is_little_endian else ">"
    # Tag and length; where the kind of value stands, four bytes between them.
    head = file.read(8 if syntax.is_implicit_VR else 12)
    tag = struct.unpack(f"{order}HH", head[:4]) if len(head) >= 8 else None
    if tag is None or tag[0] != 0x7FE0 or tag[1] not in _KEYWORDS:
        return None
    length = struct.unpack(f"{order}I", head[-4:])[0]
    return Pixels(_KEYWORDS[tag[1]], file.tell(), length, head[4:6] == b"OW")


def _checked(header: "Dataset") -> "Dataset":
    for name in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if header.get(name) is None:
            raise ImageError(f"holds no image: it has no {name}")
    return header


def _inflate(path: Path) -> Source:
    """A file that is deflated as a whole (PS3.5, A.5), unpacked: no more of it than its own header says
    that there is."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    start = 144 + int(read_file_meta_info(path).FileMetaInformationGroupLength)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as file:
        file.seek(start)
        front = unpacker.decompress(file.read(), _BESIDE_PIXELS)
    unpacked = io.BytesIO(front)
    header = _checked(_read_elements(unpacked))
    found = _find_pixels(unpacked, ExplicitVRLittleEndian)
    bits = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated
    pixels = -(-bits * max(1, int(header.get("NumberOfFrames") or 1)) // 16) * 2
    rest = unpacker.decompress(unpacker.unconsumed_tail, pixels + 1)
    if len(rest) > pixels:
        raise ImageError(f"is broken: it inflates to more than its header's {pixels} bytes of pixels")
    if not unpacker.eof and not unpacker.unconsumed_tail:
        raise ImageError("is truncated: its deflated data end too soon")
    return Source(header, ExplicitVRLittleEndian, front + rest, len(front) + len(rest), found)
