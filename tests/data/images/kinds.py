"""What the comparisons of every kind share: the pixels that a viewer shows, and how to compare."""

import itertools
import random

import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import Decoded, ImageError
from mindspore_dpus.data.images.preparing import ImageSettings, fit, to_unit
from mindspore_dpus.data.images.reading import read_image

HEIGHT, WIDTH = 7, 11
# Displayed row r and column c -> stored row and column, of H x W stored pixels (TIFF 6.0, page 36).
PLACES = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (h - 1 - c, r),
    7: lambda r, c, h, w: (h - 1 - c, w - 1 - r),
    8: lambda r, c, h, w: (c, w - 1 - r),
}


def shown(stored, orientation):
    """What a viewer shows of stored pixels."""
    height, width = stored.shape[:2]
    shape = (width, height) if orientation >= 5 else (height, width)
    rows, columns = np.indices(shape)
    return stored[PLACES[orientation](rows, columns, height, width)]


def noise(dtype, shape=(HEIGHT, WIDTH), seed=0):
    """Values that fill the range of a type; every byte of a number differs."""
    dtype, rng = np.dtype(dtype), np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def smooth(shape):
    """What JPEG keeps nearly."""
    rows, columns = np.indices(shape[:2])
    grey = (rows * 9 + columns * 7) % 200 + 20
    return np.dstack([grey, 240 - grey, grey // 2 + 60])[..., : shape[2]].astype(np.uint8)


def some(number, **options):
    """So many of all combinations, always the same ones; None: all."""
    every = [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]
    random.Random(0).shuffle(every)
    return every[:number]


def read(path):
    """A decoded frame, or why it was refused; anything but an ``ImageError`` fails the test."""
    try:
        return read_image(path, use_voi=False)
    except ImageError as error:
        reason = str(error)
    assert reason.startswith(f"{path} "), reason
    return reason.removeprefix(f"{path} ")


def check(outcome, expected, kind, tolerance=0):
    """Equal pixels, or a refusal with the expected words."""
    if isinstance(expected, str):
        assert isinstance(outcome, str), f"{kind}: read, but {expected!r} was expected"
        assert expected in outcome, f"{kind}: {outcome!r} in place of {expected!r}"
        return
    assert isinstance(outcome, Decoded), f"{kind}: {outcome}"
    values = outcome.values
    assert values.shape == expected.shape, f"{kind}: {values.shape} in place of {expected.shape}"
    if tolerance:
        worst = np.abs(values.astype(float) - expected.astype(float)).max()
        assert worst <= tolerance, f"{kind}: {worst} away"
    else:
        assert np.array_equal(values, expected), kind
    bits = expected.dtype.kind == "b"
    native = expected.dtype.newbyteorder("=")
    dtype = np.dtype({"bool": "u1", "float16": "f4"}.get(native.name, native))
    assert values.dtype == dtype, f"{kind}: {values.dtype} in place of {dtype}"
    if bits:
        assert (outcome.limits, outcome.bits) == ((0, 1), 1), f"{kind}: {outcome.limits}"
    if dtype.kind in "iu":
        low, high = outcome.limits
        assert low <= values.min() <= values.max() <= high, f"{kind}: {outcome.limits}"
    check_prepared(outcome, kind)


def check_prepared(outcome, kind):
    """What becomes of it in a training, by the range of the file and by its own."""
    values = outcome.values.astype(np.float64)
    channels = 1 if values.ndim == 2 else 3
    for value_range in ("file", "minmax", "percentiles"):
        if value_range == "file" and (outcome.limits is None or outcome.bits > 16):
            continue
        spec = ImageSettings(size=16, bits=16, channels=channels, value_range=value_range)
        unit = to_unit(outcome, spec)
        assert fit(unit, spec).shape == spec.shape, kind
        if value_range == "percentiles":
            continue
        own = values.min(), values.max()
        low, high = outcome.limits if value_range == "file" else own
        wanted = (values - low) / (high - low) if high > low else values * 0
        wanted = 1 - wanted if outcome.inverted else wanted
        assert np.abs(unit - wanted).max() < 1e-4, f"{kind}: {value_range}"


slow = pytest.mark.slow
