"""DICOM and DICONDE files, by pydicom: one frame, and only what says how it is to be read."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.dicom_values import give_meaning
from mindspore_dpus.data.images.headers import codestream_size

if TYPE_CHECKING:
    from pydicom import Dataset

_TAGS = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
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
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


def count_dicom_frames(path: Path) -> int:
    """How many frames a file holds, by its header, as far as its size can hold them.

    Raises:
        ImageError: pydicom is missing, or the file is broken or cannot hold as many as it says. The
            message lacks the file's name.
    """
    return _in_our_words(lambda: _count(path, _read_header(path)))


def read_dicom(path: Path, frame: int | None, use_voi: bool, max_pixels: int) -> Decoded:
    """Decode one frame, and only that.

    Args:
        path: a DICOM file.
        frame: its number, from 1; None in a file of one frame.
        use_voi: apply the file's VOI table or window, where it has one: the first, and the table where
            it has both. Values are then 0 (black) to 1 (white).
        max_pixels: the most that are decoded.

    Returns:
        The frame. Without a VOI, its limits are what ``BitsStored`` can hold, after the rescale, or what
        the modality table can give.

    Raises:
        ImageError: pydicom or the plug-in for the file's compression is missing; no such frame; a
            broken file; pixels of a kind that is not read. The message lacks the file's name.
    """
    return _in_our_words(lambda: _read(path, frame, use_voi, max_pixels))


def _in_our_words(work: Callable[[], object]) -> object:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise ImageError(
            "is DICOM, for which pydicom is missing: pip install 'mindspore_dpus[dicom]'"
        ) from None
    try:
        return work()
    except ImageError:
        raise
    except Exception as error:
        # pydicom and its plug-ins raise what they please on broken files, RecursionError included.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"cannot be read as DICOM: {reason}") from None


def _read_header(path: Path) -> "Dataset":
    """What says how pixels are to be read; other elements are passed over, however large."""
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import UID

    syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    if not isinstance(syntax, UID):
        raise ImageError("is broken: it does not say how it is encoded (Transfer Syntax UID)")
    if syntax.is_deflated:
        raise ImageError(f"is deflated as a whole ({syntax.name}), which is not read: save it otherwise")
    header = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    for name in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if header.get(name) is None:
            raise ImageError(f"holds no image: it has no {name}")
    return header


def _count(path: Path, header: "Dataset") -> int:
    number = int(header.get("NumberOfFrames") or 1)
    if number <= 1:
        return 1
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        from pydicom.encaps import parse_basic_offsets, parse_fragments

        with path.open("rb") as file:
            _seek_compressed(file)
            parse_basic_offsets(file)
            possible, _ = parse_fragments(file)
    else:
        bits = header.Rows * header.Columns * header.BitsAllocated
        possible = 8 * path.stat().st_size // max(bits, 1)
    if number > possible:
        raise ImageError(
            f"is truncated or broken: it names {number} frames and holds {possible} at most"
        )
    return number


def _seek_compressed(file: BinaryIO) -> None:
    """Place an open file at the value of its compressed pixel data, past its element's 12 bytes."""
    from pydicom import dcmread

    dcmread(file, stop_before_pixels=True, specific_tags=["Rows"])
    if file.read(12)[:4] != b"\xe0\x7f\x10\x00":
        raise ImageError("holds no pixels, or is truncated before them")


def _read(path: Path, frame: int | None, use_voi: bool, max_pixels: int) -> Decoded:
    from pydicom.pixels import pixel_array

    header = _read_header(path)
    check_size(header.Columns, header.Rows, max_pixels)
    kind = header.PhotometricInterpretation
    if kind not in (*_GREY, *_COLOUR):
        raise ImageError(f"has pixels of kind {kind}; {', '.join((*_GREY, *_COLOUR))} are read")
    index = check_frame(frame, _count(path, header))
    _check_compression(path, header, index)
    stored = pixel_array(path, index=index)
    return Decoded.of(stored) if kind in _COLOUR else give_meaning(header, index, stored, use_voi)


def _check_compression(path: Path, header: "Dataset", index: int) -> None:
    """Refuse what no plug-in here reads, and a compressed image whose size is not the header's."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder
    from pydicom.uid import RLELossless

    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"is compressed as {syntax.name}, which pydicom does not read") from None
    if not decoder.is_available:
        missing = " | ".join(decoder.missing_dependencies)
        raise ImageError(
            f"is compressed as {syntax.name}; that needs a plug-in of pydicom, one of: {missing} "
            "(pip install 'mindspore_dpus[dicom,dicom-jpeg]' brings one for each JPEG)"
        )
    if syntax == RLELossless:
        return  # it has no size of its own
    offsets = None
    if "ExtendedOffsetTable" in header:
        offsets = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
    number = int(header.get("NumberOfFrames") or 1)
    with path.open("rb") as file:
        _seek_compressed(file)
        data = get_frame(file, index, number_of_frames=number, extended_offsets=offsets)
    size = codestream_size(io.BytesIO(data))
    if size != (header.Columns, header.Rows):
        found = f"is {size[0]} x {size[1]} pixels" if size else "has no size"
        raise ImageError(
            f"is broken: its compressed image {found}, its header says {header.Columns} x {header.Rows}"
        )
