"""DICOM and DICONDE files, by pydicom: one frame, and only what says how it is to be read."""

import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError, check_frame, check_size
from mindspore_dpus.data.images.dicom_frames import compressed_frame, count_frames, other_kind
from mindspore_dpus.data.images.dicom_palette import look_up_colours
from mindspore_dpus.data.images.dicom_source import Source, read_header
from mindspore_dpus.data.images.dicom_values import give_meaning, stored_range
from mindspore_dpus.data.images.opened import Opened
from mindspore_dpus.data.images.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
# PS3.3, C.7.6.3.1.2.
_YBR_FULL = ("YBR_FULL", "YBR_FULL_422")
_PALETTE = "PALETTE COLOR"

# It warns of what does not concern the pixels, without the file's name.
warnings.filterwarnings("ignore", module=r"pydicom\.")


def count_dicom_frames(opened: Opened) -> int:
    """How many frames a file holds, by its header, as far as its size can hold them.

    Raises:
        ImageError: pydicom is missing, or the file is broken or cannot hold as many as it says. The
            message lacks the file's name.
    """
    return _in_our_words(lambda: count_frames(read_header(opened.path)))


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


def _read(opened: Opened) -> Decoded:
    source = read_header(opened.path)
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
    number = count_frames(source)
    index = check_frame(opened.frame, number)
    data = None
    if source.syntax.is_encapsulated:
        data = compressed_frame(source, index, number)
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
            raise other_kind(header) from None
        if source.syntax.is_encapsulated or "reshape" not in str(error):
            raise
        raise ImageError("is truncated: its pixel data end too soon") from None
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if source.syntax.is_encapsulated and _exceeds(stored, header):
        raise other_kind(header)
    samples = 1 if kind in (*_GREY, _PALETTE) else 3
    wanted = (header.Rows, header.Columns) if samples == 1 else (header.Rows, header.Columns, samples)
    if stored.shape != wanted:
        raise ImageError(f"is broken: it gives pixels {stored.shape}, its header says {wanted}")
    if kind == _PALETTE:
        return Decoded.of(look_up_colours(stored, header, source.syntax.is_little_endian))
    if kind in _COLOUR:
        return Decoded(stored, *stored_range(header, stored))
    return give_meaning(header, source.syntax.is_little_endian, index, stored, opened.use_voi)


def _decode(source: Source, index: int, data: bytes | None, **options: bool) -> np.ndarray:
    """A frame by pydicom's decoder; ``data``: those of the frame, where they are compressed.

    pydicom's own way from a file to there takes elements to be written as the transfer syntax says.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels import as_pixel_options, get_decoder
    from pydicom.uid import RLELossless

    with source.open() as file:
        options["pixel_keyword"] = source.pixels.keyword
        options["pixel_vr"] = "OW" if source.pixels.words else "OB"
        if data is not None:
            file, index = encapsulate([data]), 0
            options |= {"number_of_frames": 1, "extended_offsets": None}
            if source.header.get("SamplesPerPixel", 1) > 1 and source.syntax != RLELossless:
                # In which order colours lie is a matter of the compressed image (PS3.5, 8.2), whatever the
                # header says; decoders give them pixel by pixel.
                options["planar_configuration"] = 0
        decoder = get_decoder(source.syntax)
        return decoder.as_array(file, index=index, **as_pixel_options(source.header, **options))[0]


def _exceeds(stored: np.ndarray, header: "Dataset") -> bool:
    """Whether whole numbers need more bits than the header says that are used (JPEG 2000 brings bits of its
    own)."""
    bits = header.get("BitsStored")
    if stored.dtype.kind not in "iu" or not bits or bits >= 8 * stored.itemsize:
        return False
    least = -(1 << bits - 1) if stored.dtype.kind == "i" else 0
    return bool(stored.min() < least or stored.max() >= least + (1 << bits))


def _bits_below(source: Source) -> int:
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


def _single_bits(source: Source, index: int) -> np.ndarray:
    """A frame of one bit a pixel. Frames follow one another bit by bit (PS3.5, 8.1.1), which pydicom does
    not find where they are no whole bytes."""
    header = source.header
    pixels = header.Rows * header.Columns
    if header.get("SamplesPerPixel", 1) != 1:
        raise ImageError("has colours of one bit, which are not read")
    first = index * pixels
    with source.open() as file:
        start = first // 16 * 2
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
