"""What the numbers in a DICOM file stand for (PS3.3, C.11.1 and C.11.2).

The order is the standard's: stored values, modality table or rescale, then, where it is asked for, the
file's own table or window of the values of interest (VOI). MONOCHROME1 comes last, as
``Decoded.inverted``: it is left to whoever turns values to grey.

The steps are written out here because pydicom's functions take eight bytes a pixel several times over,
know no functional groups of multi-frame files, and let the indices of 8-bit tables wrap around.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mindspore_dpus.data.images.decoded import Decoded, ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

Change = Callable[[np.ndarray], np.ndarray]
BLOCK = 1 << 20


def give_meaning(
    header: "Dataset", little_endian: bool, index: int, stored: np.ndarray, use_voi: bool
) -> Decoded:
    """Stored values of one grey frame, turned to what the header says that they stand for.

    Args:
        header: the elements of the file that concern pixels.
        little_endian: how its numbers are written.
        index: of the frame, from 0.
        stored: (H, W), integer or floating point.
        use_voi: apply the VOI table or window where there is one: the first, and the table where there
            are both. Values are then 0 (black) to 1 (white), float32.

    Returns:
        The frame. Without a VOI, its limits are what ``BitsStored`` can hold, after the rescale, or what
        the modality table can give; floating point has none.

    Raises:
        ImageError: a table or window that cannot be applied.
    """
    inverted = header.PhotometricInterpretation == "MONOCHROME1"
    modality, limits, bits = _modality(header, little_endian, index, stored)
    voi = _voi(header, little_endian, index) if use_voi else None
    if voi:
        values = _blockwise(stored, lambda block: voi(modality(block) if modality else block))
        limits, bits = (0.0, 1.0), None
    else:
        values = _blockwise(stored, modality) if modality else stored
    padding = _padding(header, stored)
    if padding is not None:
        values = _darken(values, padding, inverted)
    windowed = not use_voi and _has_voi(header, index)
    return Decoded(values, limits, bits, inverted, windowed)


def value_of(dataset: "Dataset", name: str, of: Callable = lambda value: value) -> object:
    """What is made of the value of an element; None where there is none.

    Raises:
        ImageError: it is not of its kind, as the window ``1,5`` is none; names the element.
    """
    try:
        value = dataset.get(name)
        return None if value is None else of(value)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"has a {name} that cannot be read ({reason}): correct it in the file"
        ) from None


def _number(value: object) -> float | None:
    """The first of several values; None where there is none."""
    values = np.atleast_1d(np.array(value, dtype=float))
    return float(values[0]) if len(values) else None


def stored_range(header: "Dataset", stored: np.ndarray) -> tuple[tuple[float, float] | None, int | None]:
    """What ``BitsStored`` can hold, and how many they are; both None for floating point."""
    if stored.dtype.kind not in "iu":
        return None, None
    bits = int(header.BitsStored)
    low = -(1 << bits - 1) if header.PixelRepresentation else 0
    return (float(low), float(low + (1 << bits) - 1)), bits


def _padding(header: "Dataset", stored: np.ndarray) -> np.ndarray | None:
    """Where no picture is: pixels that only fill up the rectangle (C.7.5.1.1.2); None: nowhere."""
    kind = {"f4": "Float", "f8": "DoubleFloat"}.get(stored.dtype.str[1:], "")
    ends = [value_of(header, f"{kind}PixelPadding{what}") for what in ("Value", "RangeLimit")]
    if ends[0] is None:
        return None
    ends = [end for end in ends if end is not None and not isinstance(end, bytes)]
    if kind:
        ends = [stored.dtype.type(end) for end in ends]
        found = (stored >= min(ends)) & (stored <= max(ends)) | (np.isnan(ends).all() & np.isnan(stored))
        return found if found.any() and not found.all() else None
    if not ends or stored.dtype.kind not in "iu":
        return None
    ends = [int(end) for end in ends]
    # Files write a negative one as if it were unsigned, and the other way round.
    full = np.iinfo(stored.dtype)
    ends = [(end - full.min) % (1 << full.bits) + full.min for end in ends]
    found = (stored >= min(ends)) & (stored <= max(ends))
    return found if found.any() and not found.all() else None


def _darken(values: np.ndarray, padding: np.ndarray, inverted: bool) -> np.ndarray:
    """Padding gets the darkest value of the picture, so that it neither shines nor widens a range."""
    picture = values[~padding]
    return np.where(padding, picture.max() if inverted else picture.min(), values)


def _blockwise(stored: np.ndarray, change: Change) -> np.ndarray:
    """A change of (H, W) values in float64, kept as float32; block by block, for the memory's sake."""
    values = np.empty(stored.shape, np.float32)
    rows = max(1, BLOCK // stored.shape[1])
    # What becomes infinite is refused by whoever prepares the image.
    with np.errstate(over="ignore"):
        for first in range(0, len(stored), rows):
            values[first : first + rows] = change(stored[first : first + rows].astype(np.float64))
    return values


def _modality(
    header: "Dataset", little_endian: bool, index: int, stored: np.ndarray
) -> tuple[Change | None, tuple[float, float] | None, int | None]:
    """Modality table or rescale (C.11.1), None where there is none; the limits of what it gives, and
    their depth; both None for floating point."""
    limits, bits = stored_range(header, stored)
    section = _section(header, index, "PixelValueTransformationSequence")
    if section.get("ModalityLUTSequence"):
        table, bits = _table(section.ModalityLUTSequence[0], little_endian)
        return table, (0.0, float((1 << bits) - 1)), bits
    slope, intercept = (value_of(section, f"Rescale{what}", _number) for what in ("Slope", "Intercept"))
    if slope is None or intercept is None:
        return None, limits, bits
    ends = limits and tuple(sorted(value * slope + intercept for value in limits))
    if not _leaves_an_image(slope, intercept, ends):
        raise ImageError(
            f"has the Rescale Slope {slope} and Rescale Intercept {intercept}, which leave no image: "
            "correct them in the file"
        )
    if (slope, intercept) == (1, 0):
        return None, limits, bits
    return (lambda values: values * slope + intercept), ends, bits


def _leaves_an_image(slope: float, intercept: float, ends: tuple[float, float] | None) -> bool:
    """Whether float32, in which values are kept, holds different finite ones after a rescale.

    Args:
        slope, intercept: of the rescale.
        ends: the smallest and largest value that it gives; None where they are not known.
    """
    if not math.isfinite(intercept) or not math.isfinite(slope) or slope == 0:
        return False
    with np.errstate(all="ignore"):
        return ends is None or 0 < np.float32(ends[1]) - np.float32(ends[0]) < np.inf


def _has_voi(header: "Dataset", index: int) -> bool:
    section = _section(header, index, "FrameVOILUTSequence")
    return any(value_of(section, name) is not None for name in ("VOILUTSequence", "WindowWidth"))


def _voi(header: "Dataset", little_endian: bool, index: int) -> Change | None:
    """VOI table or window (C.11.2), as a change of values to 0..1; None where the file has neither."""
    section = _section(header, index, "FrameVOILUTSequence")
    tables = section.get("VOILUTSequence")
    if tables and "LUTData" in tables[0]:
        table, bits = _table(tables[0], little_endian)
        return lambda values: table(values) / ((1 << bits) - 1)
    centre, width = (value_of(section, f"Window{what}", _number) for what in ("Center", "Width"))
    if centre is None or width is None:
        return None
    function = (section.get("VOILUTFunction") or "LINEAR").upper()
    smallest = 1 if function == "LINEAR" else np.finfo(float).tiny
    if not (smallest <= width < math.inf and math.isfinite(centre)):
        raise ImageError(
            f"has the {function} window {centre} (centre), {width} (width), which shows nothing: set "
            "images.value_range to dtype, minmax, percentiles or window"
        )
    if function == "SIGMOID":
        # 1 / (1 + exp(-x)), without its overflow.
        return lambda values: 0.5 + 0.5 * np.tanh(2 * (values - centre) / width)
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise ImageError(f"has a window of the unknown function {function}")
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    low = centre - width / 2
    if width == 0:
        return lambda values: (values > low).astype(float)
    return lambda values: np.clip((values - low) / width, 0, 1)


def _section(header: "Dataset", index: int, name: str) -> "Dataset":
    """Where a frame's settings stand: its own functional group, that of all frames, or the header."""
    own = (header.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    shared = (header.get("SharedFunctionalGroupsSequence") or [])[:1]
    for group in (*own, *shared):
        if group.get(name):
            return group.get(name)[0]
    return header


def descriptor_of(dataset: "Dataset", name: str) -> tuple[int, int, int]:
    """Of a look-up table: the number of its entries, the value that has the first, and their bits."""
    parts = value_of(dataset, name, lambda value: [int(part) for part in value])
    if parts is None or len(parts) != 3:
        raise ImageError(f"has a look-up table without three numbers in its {name}")
    number, first, bits = parts
    # Zero is 65536; where pixels are signed, implicit VR makes all three signed.
    return number % (1 << 16) or 1 << 16, first, bits


def _table(item: "Dataset", little_endian: bool) -> tuple[Change, int]:
    """A look-up table: values beyond its ends get its first or last entry. With its entries' depth."""
    number, first, bits = descriptor_of(item, "LUTDescriptor")
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * number else np.uint8)
    entries = np.atleast_1d(np.asarray(data, dtype=np.float64))[:number]
    if len(entries) < number or not 1 <= bits <= 16:
        raise ImageError(f"has a look-up table of {bits} bits with {len(entries)} of {number} entries")

    def look_up(values: np.ndarray) -> np.ndarray:
        places = np.clip(np.floor(values) - first, 0, number - 1)
        return entries[places.astype(np.intp)]

    return look_up, bits
