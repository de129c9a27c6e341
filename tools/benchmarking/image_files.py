"""Reading image files: the product, OpenCV and tifffile, each on the same files. No MindSpore here."""

import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarking.measuring import Prepared

HEIGHT, WIDTH, NUMBER = 1024, 1280, 4
# Those of TIFF that tifffile unpacks by imagecodecs only.
BY_IMAGECODECS = ("LZW", "JPEG")
_TIFF = {"": 1, "Deflate": 8, "LZW": 5}
# Name -> ending, whether colour, bits, and OpenCV's options.
FILES: dict[str, tuple[str, bool, int, list[int]]] = {
    "PNG, 8 bits": (".png", False, 8, []),
    "PNG, 16 bits": (".png", False, 16, []),
    "PNG, colour": (".png", True, 8, []),
    "JPEG, grey": (".jpg", False, 8, []),
    "JPEG, colour": (".jpg", True, 8, []),
} | {
    f"TIFF{f', {name}' if name else ''}, {kind}": (
        ".tif",
        kind.startswith("colour"),
        16 if "16" in kind else 8,
        [cv2.IMWRITE_TIFF_COMPRESSION, code, cv2.IMWRITE_TIFF_PREDICTOR, 2 if name else 1],
    )
    for name, code in _TIFF.items()
    for kind in ("8 bits", "16 bits", "colour", "colour of 16 bits")
}
# Those that OpenCV does not write; by Pillow, in strips of 16 rows.
_BY_PILLOW = {"TIFF, JPEG, 8 bits": False, "TIFF, JPEG, colour": True}
FILES |= {name: (".tif", colour, 8, []) for name, colour in _BY_PILLOW.items()}


def _product(path: Path) -> np.ndarray:
    from mindspore_dpus.data.images.reading import read_image

    return read_image(path).values


def _opencv(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def _tifffile(path: Path) -> np.ndarray:
    import tifffile

    return tifffile.imread(path)


READERS = {"product": _product, "OpenCV": _opencv, "tifffile": _tifffile}


def read(folder: Path, kind: str, reader: str) -> Prepared:
    """Files of one kind, with one reader, by the time of the processor: one thread works."""
    ending, colour, bits, options = FILES[kind]
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}{ending}" for i in range(NUMBER)]
    for path in paths:
        noise = rng.normal(size=(HEIGHT, WIDTH, 3) if colour else (HEIGHT, WIDTH))
        smooth = cv2.normalize(cv2.GaussianBlur(noise, (9, 9), 3), None, 0, 2**bits - 1, cv2.NORM_MINMAX)
        pixels = smooth.astype(np.uint16 if bits == 16 else np.uint8)
        if kind in _BY_PILLOW:
            Image.fromarray(pixels).save(path, compression="jpeg", quality=95, tiffinfo={278: 16})
        elif not cv2.imwrite(str(path), pixels, options):
            raise OSError(f"{path} could not be written")

    def call() -> None:
        for path in paths:
            READERS[reader](path)

    return Prepared(call, NUMBER, clock=time.process_time)
