"""Loops on blocked arrays: what lies between oneDNN's convolutions.

A blocked array is (N, C / block, H, W, block). Where a loop does not care for rows, it takes it as
(N, C / block, M, K): K numbers, a multiple of the block, are a long vector, and M of them make a map.
Numbers per channel are (C / block, block). Each call is for one part of a batch, in one thread that lets
others run meanwhile, and its sums have one order. All arrays are float32 but for sums.

They are in one file for the same reason as those of ``loops``.
"""

import numpy as np
from numba import types

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

LONGEST = 16  # Times the block: so many numbers stay in the first cache beside a few other vectors.
NOWHERE = 255


def as_vectors(blocked: np.ndarray) -> np.ndarray:
    """(N, C / block, H, W, block) -> (N, C / block, M, K), the same memory."""
    n, channels, height, width, block = blocked.shape
    pixels = height * width
    times = next(k for k in range(min(LONGEST, pixels), 0, -1) if pixels % k == 0)
    return blocked.reshape(n, channels, pixels // times, times * block)


@compiled()
def _repeat(values, out):
    """A channel block's values again and again."""
    for j in range(out.size):
        out[j] = values[j % values.size]


@compiled()
def _fold(lanes, out):
    """Add the lanes of a long vector to the channels that they belong to, float64."""
    # With a number that the compiler knows, the inner loop becomes two instructions.
    if out.size == 16:
        for j in range(0, lanes.size, 16):
            for lane in range(16):
                out[lane] += lanes[j + lane]
    else:
        for j in range(0, lanes.size, out.size):
            for lane in range(out.size):
                out[lane] += lanes[j + lane]


@interruptible
@from_disk
@compiled(nogil=True)
def moments(x, mean, squares):
    """Mean of every channel, and the sum of the squared distances from it.

    Args:
        x: (N, C / block, M, K).
        mean, squares: (C / block, block) float64, written. Chan et al. 1983, Eq. 1.5.
    """
    n, channels, rows, width = x.shape
    block = mean.shape[1]
    lanes, centre = np.empty(width, np.float32), np.empty(width, np.float32)
    own, rest = np.empty(block), np.empty(block)
    pixels = rows * (width // block)
    for c in range(channels):
        count = 0.0
        for i in range(n):
            lanes[:] = 0
            for m in range(rows):
                r = x[i, c, m]
                for j in range(width):
                    lanes[j] += r[j]
            own[:] = 0
            _fold(lanes, own)
            for lane in range(block):
                own[lane] /= pixels
            for j in range(width):
                centre[j] = own[j % block]
            # About the mean as it was rounded; what the rounding adds is far below what is lost anyway.
            lanes[:] = 0
            for m in range(rows):
                r = x[i, c, m]
                for j in range(width):
                    d = r[j] - centre[j]
                    lanes[j] += d * d
            rest[:] = 0
            _fold(lanes, rest)
            both = count + pixels
            for lane in range(block):
                if i == 0:
                    mean[c, lane], squares[c, lane] = own[lane], rest[lane]
                else:
                    d = own[lane] - mean[c, lane]
                    mean[c, lane] += d * pixels / both
                    squares[c, lane] += rest[lane] + d * d * count * pixels / both
            count = both


@interruptible
@from_disk
@compiled(nogil=True)
def scale_and_cut(x, scale, shift, low, high, out):
    """``out = clip(x * scale + shift, low, high)``; what is no number stays so."""
    n, channels, rows, width = x.shape
    a, b = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(shift[c], b)
        for i in range(n):
            for m in range(rows):
                r, o = x[i, c, m], out[i, c, m]
                for j in range(width):
                    v = r[j] * a[j] + b[j]
                    v = low if v < low else v
                    o[j] = high if v > high else v


@interruptible
@from_disk
@compiled(nogil=True)
def scale_add_and_cut(x, scale, shift, other, low, high, out):
    """``out = clip(x * scale + shift + other, low, high)``."""
    n, channels, rows, width = x.shape
    a, b = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(shift[c], b)
        for i in range(n):
            for m in range(rows):
                r, o, e = x[i, c, m], out[i, c, m], other[i, c, m]
                for j in range(width):
                    v = r[j] * a[j] + b[j] + e[j]
                    v = low if v < low else v
                    o[j] = high if v > high else v


@interruptible
@from_disk
@compiled(nogil=True)
def gradient_sums(gradient, x, scale, shift, low, high, mean, total, products):
    """Sums over the gradient that goes through ``scale_and_cut``, and its products with ``x - mean``.

    Args:
        gradient: of the result; unchanged.
        total, products: (C / block, block) float64, written.
    """
    n, channels, rows, width = x.shape
    a, b, mu = (np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32))
    s, p = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(shift[c], b)
        _repeat(mean[c], mu)
        total[c] = 0
        products[c] = 0
        for i in range(n):
            s[:] = 0
            p[:] = 0
            for m in range(rows):
                r, g = x[i, c, m], gradient[i, c, m]
                for j in range(width):
                    v = r[j] * a[j] + b[j]
                    d = np.float32(0) if v <= low or v >= high else g[j]
                    s[j] += d
                    p[j] += d * (r[j] - mu[j])
            _fold(s, total[c])
            _fold(p, products[c])


@interruptible
@from_disk
@compiled(nogil=True)
def gradient_through(gradient, x, scale, shift, low, high, slope, offset):
    """``gradient = scale * (gradient where not cut) + slope * x + offset``, in place."""
    n, channels, rows, width = x.shape
    a, b = np.empty(width, np.float32), np.empty(width, np.float32)
    v, w = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(shift[c], b)
        _repeat(slope[c], v)
        _repeat(offset[c], w)
        for i in range(n):
            for m in range(rows):
                r, g = x[i, c, m], gradient[i, c, m]
                for j in range(width):
                    y = r[j] * a[j] + b[j]
                    d = np.float32(0) if y <= low or y >= high else g[j]
                    g[j] = a[j] * d + v[j] * r[j] + w[j]


@interruptible
@from_disk
@compiled(nogil=True)
def join_gradients(one, other, two, out, low, high, x, mean, total, products):
    """``one = (one + other) where out was not cut``, and sums as in ``gradient_sums``.

    Args:
        two: whether there is an ``other``.
        out: what ``scale_add_and_cut`` or ``scale_and_cut`` wrote.
    """
    n, channels, rows, width = x.shape
    mu, s, p = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _repeat(mean[c], mu)
        total[c] = 0
        products[c] = 0
        for i in range(n):
            s[:] = 0
            p[:] = 0
            for m in range(rows):
                g, h, z, r = one[i, c, m], other[i, c, m], out[i, c, m], x[i, c, m]
                if two:
                    for j in range(width):
                        d = np.float32(0) if z[j] <= low or z[j] >= high else g[j] + h[j]
                        g[j] = d
                        s[j] += d
                        p[j] += d * (r[j] - mu[j])
                else:
                    for j in range(width):
                        d = np.float32(0) if z[j] <= low or z[j] >= high else g[j]
                        g[j] = d
                        s[j] += d
                        p[j] += d * (r[j] - mu[j])
            _fold(s, total[c])
            _fold(p, products[c])


@interruptible
@from_disk
@compiled(nogil=True)
def combine(gradient, x, scale, slope, offset, out):
    """``out = scale * gradient + slope * x + offset``."""
    n, channels, rows, width = x.shape
    a, v, w = (np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32))
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(slope[c], v)
        _repeat(offset[c], w)
        for i in range(n):
            for m in range(rows):
                g, r, o = gradient[i, c, m], x[i, c, m], out[i, c, m]
                for j in range(width):
                    o[j] = a[j] * g[j] + v[j] * r[j] + w[j]


@interruptible
@from_disk
@compiled(nogil=True)
def pool(x, scale, shift, out, where):
    """ReLU of ``x * scale + shift``, and the largest of every 3x3 window, 2 apart, padded by 1.

    Args:
        x: (N, C / block, H, W, block).
        out: (N, C / block, ceil(H / 2), ceil(W / 2), block), written.
        where: the same shape, uint8, written: place of the largest in its window, from 0 to 8; or
            ``NOWHERE`` where none is above 0.
    """
    n, channels, height, width, block = x.shape
    line = width * block
    best, at = np.empty(line + 2 * block, np.float32), np.empty(line + 2 * block, np.uint8)
    a, b = np.empty(line, np.float32), np.empty(line, np.float32)
    for c in range(channels):
        _repeat(scale[c], a)
        _repeat(shift[c], b)
        for i in range(n):
            for y in range(out.shape[2]):
                # First along the height: a row with a zero pixel at both ends.
                best[:] = 0
                at[:] = 255
                middle, place = best[block : block + line], at[block : block + line]
                for dy in range(3):
                    row = 2 * y - 1 + dy
                    if row < 0 or row >= height:
                        continue
                    r = x[i, c, row].reshape(line)
                    label = np.uint8(3 * dy)
                    for j in range(line):
                        v = r[j] * a[j] + b[j]
                        larger = v > middle[j] or v != v
                        middle[j] = v if larger else middle[j]
                        place[j] = label if larger else place[j]
                for z in range(out.shape[3]):
                    o, w = out[i, c, y, z], where[i, c, y, z]
                    start = 2 * z * block
                    for lane in range(block):
                        v, q = best[start + lane], at[start + lane]
                        k = start + block + lane
                        larger = best[k] > v or best[k] != best[k]
                        v = best[k] if larger else v
                        q = at[k] + np.uint8(1) if larger else q
                        k += block
                        larger = best[k] > v or best[k] != best[k]
                        v = best[k] if larger else v
                        q = at[k] + np.uint8(2) if larger else q
                        o[lane], w[lane] = v, q


@interruptible
@from_disk
@compiled(nogil=True)
def pool_gradient(one, other, two, where, x, mean, out, total, products):
    """The gradient of ``pool``'s ``x * scale + shift``, written to ``out``, and sums as in
    ``gradient_sums``.

    Args:
        one, other, two: the gradient of the result, the sum of both where ``two``.
    """
    n, channels, height, width, block = one.shape
    s, p = np.empty(block, np.float32), np.empty(block, np.float32)
    for c in range(channels):
        total[c] = 0
        products[c] = 0
        for i in range(n):
            out[i, c] = 0
            s[:] = 0
            p[:] = 0
            for y in range(height):
                for z in range(width):
                    for lane in range(block):
                        q = where[i, c, y, z, lane]
                        if q != 255:
                            v = one[i, c, y, z, lane]
                            if two:
                                v += other[i, c, y, z, lane]
                            row, column = 2 * y - 1 + q // 3, 2 * z - 1 + q % 3
                            out[i, c, row, column, lane] += v
                            s[lane] += v
                            p[lane] += v * (x[i, c, row, column, lane] - mean[c, lane])
            for lane in range(block):
                total[c, lane] += s[lane]
                products[c, lane] += p[lane]


@interruptible
@from_disk
@compiled(nogil=True)
def average_maps(x, out):
    """The mean of every map.

    Args:
        x: (N, C / block, M, K).
        out: (N, C / block, block), written.
    """
    n, channels, rows, width = x.shape
    block = out.shape[2]
    lanes, own = np.empty(width, np.float32), np.empty(block)
    for i in range(n):
        for c in range(channels):
            lanes[:] = 0
            for m in range(rows):
                r = x[i, c, m]
                for j in range(width):
                    lanes[j] += r[j]
            own[:] = 0
            _fold(lanes, own)
            for lane in range(block):
                out[i, c, lane] = own[lane] / (rows * (width // block))


@interruptible
@from_disk
@compiled(nogil=True)
def spread_average(gradient, out):
    """The gradient of ``average_maps``: of (N, C / block, block), to (N, C / block, M, K)."""
    n, channels, rows, width = out.shape
    block = gradient.shape[2]
    lanes = np.empty(width, np.float32)
    for i in range(n):
        for c in range(channels):
            _repeat(gradient[i, c], lanes)
            for j in range(width):
                lanes[j] /= np.float32(rows * (width // block))
            for m in range(rows):
                for j in range(width):
                    out[i, c, m, j] = lanes[j]


@interruptible
@from_disk
@compiled(nogil=True)
def add_up(parts, size):
    """The sum of rows, in their order, into the first: of (P, at least ``size``), the first ``size``."""
    first = parts[0]
    for p in range(1, parts.shape[0]):
        other = parts[p]
        for j in range(size):
            first[j] += other[j]


@interruptible
@from_disk
@compiled(nogil=True)
def equal(one, other):
    """Whether two flat arrays are the same numbers."""
    for start in range(0, one.size, 4096):
        different = 0
        for j in range(start, min(start + 4096, one.size)):
            different += one[j] != other[j]
        if different:
            return False
    return True


_MAPS, _VECTORS, _CHANNELS = (types.Array(types.float32, d, "C") for d in (5, 4, 2))
_MEANS, _SUMS, _PLACES = (
    types.Array(types.float32, 3, "C"),
    types.Array(types.float64, 2, "C"),
    types.Array(types.uint8, 5, "C"),
)
_LINE, _NUMBER = types.Array(types.float32, 1, "C"), types.float32
_BOUNDS, _BOTH_SUMS = (_NUMBER, _NUMBER), (_SUMS, _SUMS)
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "moments": (_VECTORS, *_BOTH_SUMS),
    "scale_and_cut": (_VECTORS, _CHANNELS, _CHANNELS, *_BOUNDS, _VECTORS),
    "scale_add_and_cut": (_VECTORS, _CHANNELS, _CHANNELS, _VECTORS, *_BOUNDS, _VECTORS),
    "gradient_sums": (
        *(_VECTORS, _VECTORS, _CHANNELS, _CHANNELS),
        *(*_BOUNDS, _CHANNELS, *_BOTH_SUMS),
    ),
    "gradient_through": (
        *(_VECTORS, _VECTORS, _CHANNELS, _CHANNELS),
        *(*_BOUNDS, _CHANNELS, _CHANNELS),
    ),
    "join_gradients": (
        *(_VECTORS, _VECTORS, types.boolean, _VECTORS),
        *(*_BOUNDS, _VECTORS, _CHANNELS, *_BOTH_SUMS),
    ),
    "combine": (_VECTORS, _VECTORS, _CHANNELS, _CHANNELS, _CHANNELS, _VECTORS),
    "pool": (_MAPS, _CHANNELS, _CHANNELS, _MAPS, _PLACES),
    "pool_gradient": (
        *(_MAPS, _MAPS, types.boolean, _PLACES, _MAPS),
        *(_CHANNELS, _MAPS, *_BOTH_SUMS),
    ),
    "average_maps": (_VECTORS, _MEANS),
    "spread_average": (_MEANS, _VECTORS),
    "add_up": (_CHANNELS, types.int64),
    "equal": (_LINE, _LINE),
}
