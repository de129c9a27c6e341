"""JPEG inside TIFF: strips and tiles are decoded and held against the directory."""

from collections.abc import Sequence

import numpy as np

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.jpeg import JpegFrame, JpegInside

Shape = tuple[int, int]
"""Height and width."""


def segment_sizes(image: Shape, whole: Shape, tiled: bool) -> list[tuple[Shape, Shape]]:
    """The least and the largest size of each strip or tile of a plane, if it is a JPEG: some are cut to
    the image at its right and lower edge.

    Args:
        image: size of the image.
        whole: size of a strip or tile.
        tiled: tiles, else strips.
    """
    sizes = []
    for top in range(0, image[0], whole[0]):
        height = min(whole[0], image[0] - top)
        # A JPEG has no more rows; those behind the last one of the image are cut off.
        most = whole[0] if tiled or top + whole[0] < image[0] else max(whole[0], 0xFFFF)
        for left in range(0, image[1], whole[1]):
            sizes.append(((height, min(whole[1], image[1] - left)), (most, whole[1])))
    return sizes


def decode_jpegs(
    segments: Sequence[bytes | memoryview],
    tables: bytes,
    sizes: Sequence[tuple[Shape, Shape]],
    whole: Shape,
    heights: Sequence[int],
    components: int,
    is_ycbcr: bool,
    kind: str,
) -> np.ndarray | None:
    """Decode strips or tiles, and refuse what libtiff would fill up with grey or black.

    Args:
        segments: strips or tiles, as they are in the file.
        tables: what they share (JPEGTables), or nothing.
        sizes: the least and the largest that each may have.
        whole: size of a strip or tile.
        heights: rows of each, one below the other.
        components: that each must have.
        is_ycbcr: they are YCbCr by the header of the file.
        kind: ``strip`` or ``tile``, for the message.

    Returns:
        (sum of heights, columns of one, components) uint8, RGB where they are YCbCr; what is outside of
        the image has any value. None: one is of a kind that OpenCV does not decode to its components
        (with two or four of them, lossless), or has many rows too many. Such are held against the
        directory, too, and where OpenCV can, their damage is found.

    Raises:
        ImageError: one is truncated, damaged or of another size.
    """
    found, place, kept = None, 0, True
    for number, (segment, (least, most)) in enumerate(zip(segments, sizes, strict=True), 1):
        data = bytes(segment)
        if tables:
            data = tables.removesuffix(b"\xff\xd9") + data.removeprefix(b"\xff\xd8")
        jpeg = JpegInside(data)
        frame = jpeg.frame
        fits = frame is not None and _fits(frame, least, most, components)
        # What is not needed is not kept: a forged size takes no memory.
        decoded = (
            fits and jpeg.is_decoded and frame.height <= whole[0] and not (is_ycbcr and frame.is_rgb)
        )
        try:
            if decoded:
                if found is None:
                    found = np.empty((sum(heights), whole[1], components), np.uint8)
                out = found[place : place + min(heights[number - 1], frame.height), : frame.width]
                jpeg.decode_into(out, is_ycbcr)
            else:
                jpeg.check()
        except ImageError as error:
            raise ImageError(f"is damaged: {kind} {number} cannot be unpacked (it {error})") from None
        place, kept = place + heights[number - 1], kept and decoded
        if frame is None:
            continue
        if not fits:
            raise ImageError(
                f"is broken: {kind} {number} is a JPEG of {frame.width} x {frame.height} x "
                f"{frame.components}, its header says {least[1]} x {least[0]} x {components}"
            )
        if is_ycbcr and frame.is_rgb:
            raise ImageError(f"is broken: {kind} {number} is a JPEG of RGB, its header says YCbCr")
        if components == 3 and not is_ycbcr and frame.is_reduced:
            raise ImageError(
                f"is broken: {kind} {number} is a JPEG whose colours have fewer pixels, as only YCbCr has; its "
                "header says RGB"
            )
    return found if kept else None


def _fits(frame: JpegFrame, least: Shape, most: Shape, components: int) -> bool:
    high = least[0] <= frame.height <= most[0]
    return high and least[1] <= frame.width <= most[1] and frame.components == components
