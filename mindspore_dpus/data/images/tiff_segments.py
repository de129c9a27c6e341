"""The strips and tiles of a TIFF page, unpacked to their ends."""

import operator

import numpy as np
from tifffile import COMPRESSION, TiffPage

from mindspore_dpus.data.images import tiff_codecs as codecs
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.tiff_layout import CMYK, YCBCR, Layout, in_words, number_of
from mindspore_dpus.data.images.tiff_sizes import size_inside

# Bytes behind the pixels of a strip that is not compressed, at most.
_FILLING = 15
# What tifffile unpacks by imagecodecs, of what is not unpacked here.
_BY_IMAGECODECS = {
    *(
        codecs.OLD_JPEG,
        codecs.JPEG,
        33007,
        34892,
        33003,
        33004,
        33005,
        34712,
        22610,
        34934,
        34887,
        34933,
    ),
    *(34926, 34927, 48124, 50001, 50002, 52546, 50013, 65000, 65001, 65002),
}


def heights_of(page: TiffPage, layout: Layout, number: int) -> list[int]:
    """Rows of each of the strips or tiles of a plane."""
    heights = [layout.rows] * number
    if not layout.tiled:
        heights[-1] = page.imagelength - layout.rows * (number - 1)
    return heights


def unpack_plane(
    page: TiffPage, layout: Layout, segments: list[bytes | memoryview], kind: str
) -> np.ndarray:
    """(rows, columns, samples that are stored together) of a pile of strips or tiles."""
    samples, per_row = layout.together, layout.columns * layout.together
    row_bytes = -(-per_row * layout.bits // 8)
    heights = heights_of(page, layout, len(segments))
    rows = sum(heights)
    if page.fillorder == 2 and page.compression != codecs.JPEG:
        segments = [codecs.reverse_bits(bytes(segment)) for segment in segments]
    if page.compression == codecs.JPEG:
        extra = {347: bytes(page.jpegtables)} if page.jpegtables else {}
        if page.photometric == YCBCR and samples == 3:
            # Without their tag, libtiff takes the factors of the JPEG itself.
            extra |= {262: YCBCR} | ({530: list(page.subsampling)} if page.subsampling else {})
        elif page.photometric == CMYK and samples == 4:
            extra |= {262: CMYK}
        found = codecs.unpack_by_libtiff(
            segments, codecs.JPEG, (rows, layout.columns, samples), layout.rows, extra, kind
        )
        return found.reshape(rows, layout.columns, -1)
    if page.compression in codecs.BY_LIBTIFF and _undoes_differences(page, layout):
        shape = rows, layout.columns, samples
        found = codecs.unpack_by_libtiff(
            segments, page.compression, shape, layout.rows, {317: 2}, kind, layout.bits
        )
        return found.reshape(shape)
    if page.compression in codecs.CCITT:
        options = number_of(page, 292, 0)
        found = codecs.unpack_ccitt(segments, page.compression, heights, per_row, options, kind)
        return found.reshape(rows, layout.columns, samples)
    if page.compression in codecs.BY_LIBTIFF:
        shape = rows, row_bytes, 1
        found = codecs.unpack_by_libtiff(segments, page.compression, shape, layout.rows, {}, kind)
    else:
        sizes = [height * row_bytes for height in heights]
        if page.compression == codecs.NONE:
            _check_lengths(segments, sizes, layout, kind)
        found = codecs.unpack(segments, page.compression, sizes, kind).reshape(rows, row_bytes)
    order = page.parent.byteorder
    if layout.predictor == 3 and layout.kind == "f":
        numbers = codecs.undo_float_differences(found, layout.bits, samples)
    else:
        numbers = codecs.to_numbers(found, layout.bits, layout.kind, order, per_row)
        if layout.predictor == 2 and layout.bits in (8, 16, 32, 64):
            numbers = codecs.undo_differences(numbers, samples)
        elif layout.predictor != 1:
            raise ImageError(f"has the predictor {layout.predictor} at {layout.bits} bits; not read")
    return numbers.reshape(rows, layout.columns, samples)


def _check_lengths(
    segments: list[bytes | memoryview], sizes: list[int], layout: Layout, kind: str
) -> None:
    """Refuse strips or tiles, not compressed, that are longer than their pixels make them: those are stored
    in another way than the header says. Some bytes may fill up a strip, or rows the last one."""
    if not any(map(operator.gt, map(len, segments), sizes)):
        return  # as always; there may be hundreds
    per_row = layout.columns * layout.together
    packed = -(-per_row * layout.bits // 8)
    alone = per_row * (1 << max(0, (layout.bits - 1).bit_length() - 3))  # each in whole bytes of its own
    for i, (data, size) in enumerate(zip(segments, sizes, strict=True), 1):
        unpacked = packed != alone and len(data) == size // packed * alone
        if unpacked or len(data) > max(size + _FILLING, layout.rows * packed):
            hint = f": its BitsPerSample should be {8 * alone // per_row}" if unpacked else ""
            raise ImageError(
                f"is broken: {kind} {i} has {len(data)} bytes, and its pixels of {layout.bits} bits make "
                f"{size}{hint}"
            )


def _undoes_differences(page: TiffPage, layout: Layout) -> bool:
    """Whether libtiff, by way of Pillow, can also undo the predictor: faster than NumPy."""
    if layout.predictor != 2 or layout.kind != "u":
        return False
    deep = layout.bits == 16 and layout.together == 1 and page.parent.byteorder == "<"
    return deep or (layout.bits == 8 and layout.together in (1, 3))


def by_tifffile(page: TiffPage, layout: Layout, segments: list[bytes | memoryview]) -> np.ndarray:
    """Compressions that tifffile unpacks where imagecodecs is installed."""
    name = in_words(COMPRESSION, page.compression)
    if page.compression not in _BY_IMAGECODECS:
        raise ImageError(f"is compressed as {name}, which is not read: save it with another compression")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        raise ImageError(
            f"is compressed as {name} ({layout.bits} bits), for which imagecodecs is missing: "
            "pip install 'mindspore_dpus[tiff]'"
        ) from None
    whole = np.empty(page.shaped, page.dtype)
    across = -(-page.imagewidth // layout.columns)
    for index, data in enumerate(map(bytes, segments)):
        # Rows and columns that are in the image; others may be there to fill up a strip or tile.
        place = index % (across * -(-page.imagelength // layout.rows))
        rows = min(layout.rows, page.imagelength - place // across * layout.rows)
        columns = min(layout.columns, page.imagewidth - place % across * layout.columns)
        size = size_inside(page.compression, data)
        if size and (size[0] not in (columns, layout.columns) or size[1] not in (rows, layout.rows)):
            raise ImageError(
                f"is broken: a strip or tile is an image of {size[0]} x {size[1]} pixels, its header says "
                f"{columns} x {rows}"
            )
        try:
            found, (plane, _, top, left, _), _ = page.decode(data, index, jpegtables=page.jpegtables)
        except Exception as error:
            # Each of its hundred codecs has errors of its own.
            reason = " ".join(str(error).split())
            raise ImageError(f"is damaged, or its compression {name} is not read ({reason})") from None
        part = whole[plane, 0, top : top + rows, left : left + columns]
        fits = found.shape[1] in (rows, layout.rows) and found.shape[2] in (columns, layout.columns)
        if not fits or found.dtype != page.dtype or found.shape[3] != part.shape[2]:
            raise ImageError(
                f"is broken: a strip or tile holds {found.shape[1:]} {found.dtype}, its header says "
                f"{(rows, columns, layout.together)} {page.dtype}"
            )
        part[...] = found[0, :rows, :columns]
    return np.moveaxis(whole[:, 0], 0, 2).reshape(page.imagelength, page.imagewidth, layout.samples)
