"""Loops on blocked arrays for what EfficientNet has between its convolutions: SiLU, channels weighted by
what all of them have in the mean, and branches that are dropped for some images.

Arrays are as those of ``kernels.blocked``; numbers per image and channel are (N, C / block, block). They
are in one file for the same reason as those of ``loops``.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)
LOG2_E = np.float32(1.44269504)
# ln 2 in two parts: the first has few digits, so that its products with small integers are exact.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
ONE, HALF = np.float32(1), np.float32(0.5)


@intrinsic
def _two_to(typing_context, n):
    """2 to an integer that a float32 holds, -126 to 127: the number with these bits."""

    def generate(context, builder, signature, arguments):
        integer = ir.IntType(32)
        exponent = builder.fptosi(arguments[0], integer)
        bits = builder.shl(builder.add(exponent, integer(127)), integer(23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), generate


# Python's error for a division by zero, which there is none of here, would keep vectors away.
@compiled(error_model="numpy")
def _sigmoid(y):
    """1 / (1 + exp(-y)), the power as 2 to an integer, whose bits are written, times a polynomial (Cephes'
    ``expf``). What is no number stays so."""
    z = LOWEST if -y < LOWEST else (HIGHEST if -y > HIGHEST else -y)
    n = np.floor(z * LOG2_E + HALF)
    r = z - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    power = (p * r * r + r + ONE) * _two_to(n)
    return ONE / (ONE + power)


@compiled()
def _slope(y):
    """The derivative of ``y * sigmoid(y)``."""
    s = _sigmoid(y)
    return s * (ONE + y * (ONE - s))


@compiled()
def _again(values, out):
    """A channel block's values again and again."""
    for j in range(out.size):
        out[j] = values[j % values.size]


@compiled()
def _gather(lanes, out):
    """Add the lanes of a long vector to the channels that they belong to."""
    for j in range(0, lanes.size, out.size):
        for lane in range(out.size):
            out[lane] += lanes[j + lane]


@compiled()
def _dot(one, other):
    total = np.float32(0)
    for j in range(one.size):
        total += one[j] * other[j]
    return total


@compiled()
def _add_times(factor, values, out):
    for j in range(out.size):
        out[j] += factor * values[j]


@interruptible
@from_disk
@compiled(nogil=True)
def scale_and_silu(x, scale, shift, out):
    """``out = silu(x * scale + shift)``.

    Args:
        x, out: (N, C / block, M, K).
        scale, shift: (C / block, block).
    """
    n, channels, rows, width = x.shape
    a, b = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _again(scale[c], a)
        _again(shift[c], b)
        for i in range(n):
            for m in range(rows):
                r, o = x[i, c, m], out[i, c, m]
                for j in range(width):
                    y = r[j] * a[j] + b[j]
                    o[j] = y * _sigmoid(y)


@interruptible
@from_disk
@compiled(nogil=True)
def gate_maps(x, gate):
    """Multiply every map by its number, in place.

    Args:
        x: (N, C / block, M, K).
        gate: (N, C / block, block).
    """
    n, channels, rows, width = x.shape
    a = np.empty(width, np.float32)
    for i in range(n):
        for c in range(channels):
            _again(gate[i, c], a)
            for m in range(rows):
                r = x[i, c, m]
                for j in range(width):
                    r[j] *= a[j]


@interruptible
@from_disk
@compiled(nogil=True)
def gate_products(gradient, x, scale, shift, out):
    """The gradient of ``gate_maps``'s numbers where it follows ``scale_and_silu``.

    Args:
        gradient: of the result, (N, C / block, M, K).
        x, scale, shift: as there.
        out: (N, C / block, block), written.
    """
    n, channels, rows, width = x.shape
    a, b, lanes = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    own = np.empty(out.shape[2])
    for c in range(channels):
        _again(scale[c], a)
        _again(shift[c], b)
        for i in range(n):
            lanes[:] = 0
            for m in range(rows):
                r, g = x[i, c, m], gradient[i, c, m]
                for j in range(width):
                    y = r[j] * a[j] + b[j]
                    lanes[j] += g[j] * (y * _sigmoid(y))
            own[:] = 0
            _gather(lanes, own)
            for lane in range(own.size):
                out[i, c, lane] = own[lane]


@interruptible
@from_disk
@compiled(nogil=True)
def silu_gradients(gradient, x, scale, shift, gate, extra, mean, total, products):
    """``gradient = (gradient * gate + extra) * silu'(x * scale + shift)``, in place; its sums, and those
    of its products with ``x - mean``.

    Args:
        gradient: of the gated result, (N, C / block, M, K).
        x, scale, shift: as in ``scale_and_silu``.
        gate, extra: (N, C / block, block): what the result was multiplied by, and the gradient that comes
            through the numbers themselves.
        mean: (C / block, block).
        total, products: (C / block, block) float64, written.
    """
    n, channels, rows, width = x.shape
    a, b, mu = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    k, e = np.empty(width, np.float32), np.empty(width, np.float32)
    s, p = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _again(scale[c], a)
        _again(shift[c], b)
        _again(mean[c], mu)
        total[c] = 0
        products[c] = 0
        for i in range(n):
            _again(gate[i, c], k)
            _again(extra[i, c], e)
            s[:] = 0
            p[:] = 0
            for m in range(rows):
                r, g = x[i, c, m], gradient[i, c, m]
                for j in range(width):
                    d = (g[j] * k[j] + e[j]) * _slope(r[j] * a[j] + b[j])
                    g[j] = d
                    s[j] += d
                    p[j] += d * (r[j] - mu[j])
            _gather(s, total[c])
            _gather(p, products[c])


@interruptible
@from_disk
@compiled(nogil=True)
def excite(mean, reduce, reduce_bias, expand, expand_bias, hidden, gate):
    """``gate = sigmoid(silu(mean reduce^T + bias) expand + bias)``. Hu et al. 2018, Eq. 3.

    Args:
        mean: (N, C).
        reduce, expand: (S, C).
        reduce_bias: (S,).
        expand_bias: (C,).
        hidden: (N, S), written: before SiLU.
        gate: (N, C), written.
    """
    for i in range(len(mean)):
        for c in range(gate.shape[1]):
            gate[i, c] = expand_bias[c]
        for h in range(len(reduce)):
            y = reduce_bias[h] + _dot(reduce[h], mean[i])
            hidden[i, h] = y
            _add_times(y * _sigmoid(y), expand[h], gate[i])
        for c in range(gate.shape[1]):
            gate[i, c] = _sigmoid(gate[i, c])


@interruptible
@from_disk
@compiled(nogil=True)
def excite_gradients(products, mean, reduce, expand, hidden, gate, extra, found):
    """Gradients of ``excite``.

    Args:
        products: of ``gate``, (N, C).
        mean, reduce, expand, hidden, gate: as there.
        extra: (N, C), written: of ``mean``.
        found: (2, S + 1, C), written: those of ``reduce`` and, in the last row, of ``reduce_bias``; those
            of ``expand`` and ``expand_bias``.
    """
    narrow, channels = reduce.shape
    d = np.empty(channels, np.float32)
    found[:] = 0
    extra[:] = 0
    for i in range(len(mean)):
        for c in range(channels):
            d[c] = products[i, c] * gate[i, c] * (ONE - gate[i, c])
        _add_times(ONE, d, found[1, narrow])
        for h in range(narrow):
            y = hidden[i, h]
            _add_times(y * _sigmoid(y), d, found[1, h])
            of_hidden = _dot(expand[h], d) * _slope(y)
            _add_times(of_hidden, mean[i], found[0, h])
            _add_times(of_hidden, reduce[h], extra[i])
            found[0, narrow, h] += of_hidden


@interruptible
@from_disk
@compiled(nogil=True)
def scale_drop_and_add(x, scale, shift, factors, other, out):
    """``out = factor * (x * scale + shift) + other``.

    Args:
        x, other, out: (N, C / block, M, K).
        scale, shift: (C / block, block).
        factors: (N,): 0 where an image's branch is dropped.
    """
    n, channels, rows, width = x.shape
    a, b = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _again(scale[c], a)
        _again(shift[c], b)
        for i in range(n):
            f = factors[i]
            for m in range(rows):
                r, o, e = x[i, c, m], out[i, c, m], other[i, c, m]
                for j in range(width):
                    o[j] = f * (r[j] * a[j] + b[j]) + e[j]


@interruptible
@from_disk
@compiled(nogil=True)
def drop_gradients(one, other, two, factors, x, mean, total, products):
    """``one = one + other``, where there is another; sums over ``factor * one``, and its products with
    ``x - mean``.

    Args:
        one, other: gradients of what ``scale_drop_and_add`` wrote, (N, C / block, M, K).
        two: whether there is an ``other``.
        factors, x: as there.
        mean: (C / block, block).
        total, products: (C / block, block) float64, written.
    """
    n, channels, rows, width = x.shape
    mu, s, p = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _again(mean[c], mu)
        total[c] = 0
        products[c] = 0
        for i in range(n):
            f = factors[i]
            s[:] = 0
            p[:] = 0
            for m in range(rows):
                g, h, r = one[i, c, m], other[i, c, m], x[i, c, m]
                if two:
                    for j in range(width):
                        g[j] += h[j]
                for j in range(width):
                    s[j] += f * g[j]
                    p[j] += f * g[j] * (r[j] - mu[j])
            _gather(s, total[c])
            _gather(p, products[c])


@interruptible
@from_disk
@compiled(nogil=True)
def combine_dropped(gradient, factors, x, scale, slope, offset, out):
    """``out = scale * factor * gradient + slope * x + offset``: as ``blocked.combine``."""
    n, channels, rows, width = x.shape
    a, v, w = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        _again(scale[c], a)
        _again(slope[c], v)
        _again(offset[c], w)
        for i in range(n):
            f = factors[i]
            for m in range(rows):
                g, r, o = gradient[i, c, m], x[i, c, m], out[i, c, m]
                for j in range(width):
                    o[j] = f * a[j] * g[j] + v[j] * r[j] + w[j]


_VECTORS, _MEANS, _CHANNELS, _LINE = (types.Array(types.float32, d, "C") for d in (4, 3, 2, 1))
_BOTH_SUMS = (types.Array(types.float64, 2, "C"),) * 2
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "scale_and_silu": (_VECTORS, _CHANNELS, _CHANNELS, _VECTORS),
    "gate_maps": (_VECTORS, _MEANS),
    "gate_products": (_VECTORS, _VECTORS, _CHANNELS, _CHANNELS, _MEANS),
    "silu_gradients": (
        *(_VECTORS, _VECTORS, _CHANNELS, _CHANNELS),
        *(_MEANS, _MEANS, _CHANNELS, *_BOTH_SUMS),
    ),
    "excite": (_CHANNELS, _CHANNELS, _LINE, _CHANNELS, _LINE, _CHANNELS, _CHANNELS),
    "excite_gradients": (*(_CHANNELS,) * 7, _MEANS),
    "scale_drop_and_add": (_VECTORS, _CHANNELS, _CHANNELS, _LINE, _VECTORS, _VECTORS),
    "drop_gradients": (
        *(_VECTORS, _VECTORS, types.boolean, _LINE),
        *(_VECTORS, _CHANNELS, *_BOTH_SUMS),
    ),
    "combine_dropped": (_VECTORS, _LINE, _VECTORS, _CHANNELS, _CHANNELS, _CHANNELS, _VECTORS),
}
