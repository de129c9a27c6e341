"""How the pixels of a TIFF page are stored, by its header; what has no plain meaning is refused by its name."""

from dataclasses import dataclass

from tifffile import PHOTOMETRIC, TiffPage

from mindspore_dpus.data.images import tiff_codecs as codecs
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.tiff_directories import COMPLEX

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
# Unspecified, associated, unassociated: programs write the first for alpha, too.
_ALPHA = ((0,), (1,), (2,))
# What says how pixels lie and what they mean.
_WHOLE = {
    258: "BitsPerSample",
    259: "Compression",
    262: "PhotometricInterpretation",
    266: "FillOrder",
    274: "Orientation",
    284: "PlanarConfiguration",
    292: "T4Options",
    293: "T6Options",
    317: "Predictor",
    332: "InkSet",
    338: "ExtraSamples",
    339: "SampleFormat",
}
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # 4: "undefined", which readers take for unsigned
_DEPTHS = {"u": (*range(1, 33), 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}


def check_types(page: TiffPage) -> None:
    """Refuse whole numbers that are written as bytes: they would be passed over.

    Raises:
        ImageError: names the tag.
    """
    for number, name in _WHOLE.items():
        if number in page.tags and page.tags[number].dtype == 1:
            raise ImageError(
                f"is broken: its tag {name} ({number}) is of bytes instead of a whole number: save it anew"
            )


def photometric(page: TiffPage) -> int:
    """What the samples are; where a page does not say so, as libtiff takes it."""
    if 262 in page.tags or page.compression == codecs.OLD_JPEG:  # which tifffile knows by itself
        return page.photometric
    colours = page.samplesperpixel - len(page.extrasamples)
    if colours == 1:
        return WHITE_IS_ZERO if page.compression in codecs.CCITT else BLACK_IS_ZERO
    if colours == 3:
        return RGB
    raise ImageError(f"does not say what its {colours} channels are (PhotometricInterpretation)")


@dataclass(frozen=True)
class Layout:
    """How the samples of a page are stored.

    Args:
        bits: of a sample.
        kind: ``u``, ``i`` or ``f``.
        samples: of a pixel, extra ones included.
        planes: 1, or, where the samples are stored apart, as many as these.
        tiled: tiles, else strips.
        rows, columns: of a tile or strip.
        predictor: 1 (none), 2 (differences) or 3 (of floating point).
    """

    bits: int
    kind: str
    samples: int
    planes: int
    tiled: bool
    rows: int
    columns: int
    predictor: int

    @property
    def together(self) -> int:
        """Samples that are stored side by side."""
        return self.samples // self.planes


def layout_of(page: TiffPage) -> Layout:
    """How a page's samples are stored.

    Raises:
        ImageError: its header makes no sense, or is of a kind that is not read.
    """
    bits, form, samples = page.bitspersample, page.sampleformat, page.samplesperpixel
    if not isinstance(bits, int) or not isinstance(form, int):
        raise ImageError(f"has channels of different kinds ({bits} bits), which are not read")
    if form not in _KINDS:
        raise ImageError(COMPLEX)
    kind = _KINDS[form]
    if bits not in _DEPTHS[kind]:
        name = {"u": "unsigned", "i": "signed", "f": "floating-point"}[kind]
        raise ImageError(f"has {name} pixels of {bits} bits, which are not read")
    if page.photometric not in _SAMPLES:
        raise ImageError(
            f"has pixels of kind {in_words(PHOTOMETRIC, page.photometric)}; grey, RGB, palette, CMYK and "
            "JPEG's YCbCr are read"
        )
    wanted = _SAMPLES[page.photometric]
    if samples < wanted:
        raise ImageError(f"is broken: it has {samples} channels, its kind needs {wanted}")
    if wanted == 1 and samples > 2:
        raise ImageError(
            f"has {samples} channels and does not say that they are colours; 1 (grey), 2 (grey and "
            "alpha), 3 (RGB) and 4 (RGB and alpha) are read"
        )
    if wanted == 1 and samples == 2 and page.extrasamples not in _ALPHA:
        raise ImageError("has 2 channels and does not say that the second is alpha: save each by itself")
    if page.photometric == CMYK and (kind != "u" or bits not in (8, 16)):
        raise ImageError(f"has CMYK pixels of {bits} bits; 8 and 16 are read")
    if page.photometric == CMYK and number_of(page, 332, 1) != 1:
        raise ImageError("has inks that are not CMYK (InkSet 2), which are not read")
    if page.photometric == YCBCR and page.compression not in (codecs.JPEG, 34892, 33003, 33004, 34712):
        raise ImageError("has YCbCr pixels without JPEG compression, which are not read")
    if page.photometric == YCBCR and page.planarconfig == 2:
        raise ImageError("has YCbCr pixels in separate planes, which are not read")
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise ImageError(f"is a volume of {page.imagedepth} layers in one page, which is not read")
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
    if rows < 1 or columns < 1:
        raise ImageError("is broken: its strips or tiles have no pixels")
    planes = samples if page.planarconfig == 2 else 1
    # Elsewhere the tag has no meaning, and libtiff passes over it.
    predictor = page.predictor if page.compression in codecs.PREDICTED else 1
    return Layout(bits, kind, samples, planes, page.is_tiled, rows, columns, predictor)


def in_words(names: type, value: object) -> str:
    """A tag's value in words."""
    try:
        return f"{names(value).name} ({int(value)})"
    except (ValueError, TypeError):
        return str(value)


def number_of(page: TiffPage, tag: int, default: int) -> int:
    """The number that a tag holds; ``default`` where it is not there, or holds something else."""
    value = page.tags.valueof(tag)
    return value if isinstance(value, int) else default
