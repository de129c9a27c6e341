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
    components: int,
    is_ycbcr: bool,
    kind: str,
) -> list[np.ndarray] | None:
    """Decode strips or tiles, and refuse what libtiff would fill up with grey or black.

    Args:
        segments: strips or tiles, as they are in the file.
        tables: what they share (JPEGTables), or nothing.
        sizes: the least and the largest that each may have.
        whole: size of a strip or tile.
        components: that each must have.
        is_ycbcr: they are YCbCr by the header of the file.
        kind: ``strip`` or ``tile``, for the message.

    Returns:
        (H, W) or (H, W, 3) uint8 each, RGB where they are YCbCr. None: one is of a kind that OpenCV does
        not decode to its components (with two or four of them, lossless), or has many rows too many.
        They are held against the directory, and where OpenCV can, their damage is found, as of others.

    Raises:
        ImageError: one is truncated, damaged or of another size.
    """
    images: list[np.ndarray | None] = []
    for number, (segment, (least, most)) in enumerate(zip(segments, sizes, strict=True), 1):
        data = bytes(segment)
        if tables:
            data = tables.removesuffix(b"\xff\xd9") + data.removeprefix(b"\xff\xd8")
        jpeg = JpegInside(data)
        frame = jpeg.frame
        fits = frame is not None and _fits(frame, least, most, components)
        # What is not needed is not kept: a forged size takes no memory.
        kept = fits and jpeg.is_decoded and frame.height <= whole[0] and not (is_ycbcr and frame.is_rgb)
        try:
            images.append(jpeg.decode(is_ycbcr) if kept else jpeg.check())
        except ImageError as error:
            raise ImageError(f"is damaged: {kind} {number} cannot be unpacked (it {error})") from None
        if frame is None:
            continue
        if not fits:
            raise ImageError(
                f"is broken: {kind} {number} is a JPEG of {frame.width} x {frame.height} x "
                f"{frame.components}, its header says {least[1]} x {least[0]} x {components}"
            )
        if is_ycbcr and frame.is_rgb:
            raise ImageError(f"is broken: {kind} {number} is a JPEG of RGB, its header says YCbCr")
    return None if any(image is None for image in images) else images


def _fits(frame: JpegFrame, least: Shape, most: Shape, components: int) -> bool:
    high = least[0] <= frame.height <= most[0]
    return high and least[1] <= frame.width <= most[1] and frame.components == components


def pile(images: Sequence[np.ndarray], heights: Sequence[int], width: int) -> np.ndarray:
    """Images one below the other.

    Args:
        images: (H, W) or (H, W, C) each; rows that are too many are cut off, what is missing has any
            value.
        heights: rows of each in the pile.
        width: of the pile.

    Returns:
        (sum of heights, width, C or 1).
    """
    if len(images) == 1 and images[0].shape[:2] == (heights[0], width):
        return images[0].reshape(heights[0], width, -1)
    found = np.empty((sum(heights), width, *images[0].shape[2:]), images[0].dtype)
    place = 0
    for image, height in zip(images, heights, strict=True):
        part = image[:height]
        found[place : place + len(part), : part.shape[1]] = part
        place += height
    return found.reshape(len(found), width, -1)
