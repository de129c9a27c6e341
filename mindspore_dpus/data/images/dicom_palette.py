"""Palettes of DICOM files (PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6)."""

from typing import TYPE_CHECKING

import numpy as np

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.dicom_values import descriptor_of

if TYPE_CHECKING:
    from pydicom import Dataset


def look_up_colours(stored: np.ndarray, header: "Dataset", little_endian: bool) -> np.ndarray:
    """Numbers of colours -> RGB.

    Args:
        stored: (H, W), integers.
        header: with the palette.
        little_endian: how its numbers are written.

    Returns:
        (H, W, 3), of 8 bits where the palette is, else of 16.

    Raises:
        ImageError: there is no palette, or it is not as its descriptor says.
    """
    channels, depths = [], []
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        if f"{name}Descriptor" not in header:
            raise ImageError(f"has no {name}Descriptor: its palette is missing")
        number, first, bits = descriptor_of(header, f"{name}Descriptor")
        if bits not in (8, 16):
            raise ImageError(f"has a palette of {bits} bits; 8 and 16 are read")
        if f"{name}Data" in header:
            entries = _entries(header, f"{name}Data", number, bits, little_endian)
        else:
            entries = _expanded(header, number, first)[:, len(channels)]
        # Beyond its ends, the first and the last entry.
        places = np.clip(stored.astype(np.int64) - first, 0, number - 1)
        channels.append(entries[places])
        # Where 16 bits are written for each, some files say 8 and mean 16.
        depths.append(16 if entries.max() > 255 else bits)
    return np.dstack(channels).astype(f"u{max(depths) // 8}")


def _entries(header: "Dataset", name: str, number: int, bits: int, little_endian: bool) -> np.ndarray:
    """One channel of a palette: (number,) whole numbers. Those of 8 bits may have 16 each."""
    data = header[name].value
    if len(data) == 2 * number:
        return np.frombuffer(data, "<u2" if little_endian else ">u2")
    # An element's length is even.
    if bits != 8 or len(data) != number + number % 2:
        raise ImageError(
            f"has a palette of {bits} bits and {number} entries in {len(data)} bytes, where "
            f"{'1 or 2' if bits == 8 else 2} bytes an entry are needed"
        )
    entries = np.frombuffer(data, np.uint8)
    if not little_endian and header[name].VR == "OW":
        entries = entries.reshape(-1, 2)[:, ::-1].ravel()
    return entries[:number]


def _expanded(header: "Dataset", number: int, first: int) -> np.ndarray:
    """A palette in segments (C.7.9.2): (number, 3)."""
    from pydicom.pixels import apply_color_lut

    return apply_color_lut(np.arange(first, first + number), header)
