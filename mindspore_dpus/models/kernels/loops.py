"""Loops of our own for what MindSpore computes slowly on CPU: depthwise convolutions, batch norms, and
both in a row, compiled by numba.

They are in one file because numba keeps machine code on disk, and makes it anew only when the file of
the function that Python calls has changed: not when one that this calls has, in another file.
"""

import numpy as np
from numba import prange, types

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

# So many numbers are added up in float32 before float64 goes on.
BLOCK = 4096


@interruptible
@from_disk
@compiled(parallel=True)
def depthwise_forward(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Correlate every channel with its own 3x3 kernel, zero-padded by 1.

    Args:
        x: (N, C, H, W) float32.
        weight: (C, 1, 3, 3) float32.
        stride: 1 or 2, both ways.

    Returns:
        (N, C, ceil(H / stride), ceil(W / stride)) float32.
    """
    n, channels, height, width = x.shape
    out = np.empty((n, channels, -(-height // stride), -(-width // stride)), np.float32)
    for plane in prange(n * channels):
        i, c = plane // channels, plane % channels  # divmod would turn to floats here
        strip = _empty_strip(1, height, width)
        _lay(x[i, c], 0, height, width, 1, strip)
        _take(_correlate(strip, weight[c, 0], width), 0, height, width, stride, out[i, c])
    return out


@interruptible
@from_disk
@compiled(parallel=True)
def depthwise_gradients(
    x: np.ndarray, weight: np.ndarray, gradient: np.ndarray, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of ``depthwise_forward`` with respect to ``x`` and ``weight``.

    Args:
        x, weight, stride: as there.
        gradient: of the output, of its shape.

    Returns:
        Arrays like ``x`` and like ``weight``.
    """
    n, channels, height, width = x.shape
    grad_x = np.empty_like(x)
    grad_weight = np.zeros_like(weight)
    # A thread owns whole channels: their sums over the batch have one order, whatever the threads.
    for c in prange(channels):
        flipped = weight[c, 0, ::-1, ::-1].copy()
        for i in range(n):
            strip, spread = _empty_strip(1, height, width), _empty_strip(1, height, width)
            _lay(x[i, c], 0, height, width, 1, strip)
            # At stride 2 the output's gradient stands between zeros, at the places that it came from.
            _lay(gradient[i, c], 0, height, width, stride, spread)
            _add_products(strip, spread, width, grad_weight[c, 0])
            _take(_correlate(spread, flipped, width), 0, height, width, 1, grad_x[i, c])
    return grad_x, grad_weight


@interruptible
@from_disk
@compiled(parallel=True)
def normalise(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardise every channel by the mean and variance of the batch, then scale and shift it.

    Args:
        x: (N, C, H, W) float32.
        gamma, beta: (C,) float32: scale and shift.
        epsilon: added to the variance.

    Returns:
        (N, C, H, W) the result; (C,) the mean; (C,) the inverse of the standard deviation; (C,) the
        unbiased variance; all float32. Where a square overflows, not-a-number. Ioffe and Szegedy 2015,
        Algorithm 1.
    """
    n, channels, height, width = x.shape
    planes = x.reshape(n, channels, height * width)
    out = np.empty(planes.shape, np.float32)
    mean, inverse = np.empty(channels, np.float32), np.empty(channels, np.float32)
    variance = np.empty(channels, np.float32)
    count = n * height * width
    # A thread owns whole channels: their sums over the batch have one order, whatever the threads.
    for c in prange(channels):
        total = 0.0
        for i in range(n):
            total += _sum_up(planes[i, c])
        centre = np.float32(total / count)
        total = 0.0
        for i in range(n):
            total += _sum_squares(planes[i, c], centre)
        scale = _inverse_deviation(total, count, epsilon)
        for i in range(n):
            _scale(planes[i, c], gamma[c] * scale, beta[c] - centre * gamma[c] * scale, out[i, c])
        mean[c], inverse[c] = centre, scale
        variance[c] = total / max(count - 1, 1)
    return out.reshape(x.shape), mean, inverse, variance


@interruptible
@from_disk
@compiled(parallel=True)
def normalise_gradients(
    x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of ``normalise`` with respect to ``x``, ``gamma`` and ``beta``.

    Args:
        x, gamma: as there.
        mean, inverse: as ``normalise`` returned them.
        gradient: of its result, (N, C, H, W).

    Returns:
        Arrays like ``x``, ``gamma`` and ``beta``. Ioffe and Szegedy 2015, section 3.
    """
    n, channels, height, width = x.shape
    shape = (n, channels, height * width)
    planes, gradients = x.reshape(shape), gradient.reshape(shape)
    grad_x = np.empty(shape, np.float32)
    grad_gamma, grad_beta = np.empty(channels, np.float32), np.empty(channels, np.float32)
    count = n * height * width
    for c in prange(channels):
        products = 0.0
        total = 0.0
        for i in range(n):
            one, other = _sum_with_products(gradients[i, c], planes[i, c], mean[c])
            total += one
            products += other
        scale = gamma[c] * inverse[c]
        slope, offset = _slope_and_offset(scale, total, products, count, mean[c], inverse[c])
        for i in range(n):
            _combine(gradients[i, c], scale, planes[i, c], slope, offset, grad_x[i, c])
        grad_gamma[c], grad_beta[c] = products * inverse[c], total
    return grad_x.reshape(x.shape), grad_gamma, grad_beta


@interruptible
@from_disk
@compiled(parallel=True)
def filter_channels(
    expanded: np.ndarray,
    gamma1: np.ndarray,
    beta1: np.ndarray,
    epsilon1: float,
    weight: np.ndarray,
    stride: int,
    gamma2: np.ndarray,
    beta2: np.ndarray,
    epsilon2: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch norm, ReLU6, depthwise 3x3 convolution padded by 1, batch norm, ReLU6, channel by channel.

    Args:
        expanded: (C, N, H, W) float32, channels first.
        gamma1, beta1, epsilon1: of the first batch norm: scale and shift, (C,) float32 each, and what is
            added to the variance.
        weight: (C, 1, 3, 3) float32.
        stride: 1 or 2, both ways.
        gamma2, beta2, epsilon2: the same of the second one.

    Returns:
        (C, N, ceil(H / stride), ceil(W / stride)) the result; the same before the second batch norm;
        (6, C) mean, inverse standard deviation and unbiased variance for the first norm, and for the
        second. All float32. Sandler et al. 2018, Figure 3b.
    """
    channels, n, height, width = expanded.shape
    shape = (channels, n, -(-height // stride), -(-width // stride))
    filtered, out = np.empty(shape, np.float32), np.empty(shape, np.float32)
    statistics = np.empty((6, channels), np.float32)
    for c in prange(channels):
        mean, inverse = _statistics(expanded[c].ravel(), epsilon1, statistics[:3, c])
        scale = gamma1[c] * inverse
        strip = _empty_strip(n, height, width)
        _lay_active(expanded[c], scale, beta1[c] - mean * scale, strip)
        places = _correlate(strip, weight[c, 0], width)
        for i in range(n):
            _take(places, i, height, width, stride, filtered[c, i])
        mean, inverse = _statistics(filtered[c].ravel(), epsilon2, statistics[3:, c])
        scale = gamma2[c] * inverse
        _activate(filtered[c].ravel(), scale, beta2[c] - mean * scale, out[c].ravel())
    return out, filtered, statistics


@interruptible
@from_disk
@compiled(parallel=True)
def filter_channels_gradients(
    expanded: np.ndarray,
    gamma1: np.ndarray,
    beta1: np.ndarray,
    weight: np.ndarray,
    stride: int,
    gamma2: np.ndarray,
    beta2: np.ndarray,
    filtered: np.ndarray,
    statistics: np.ndarray,
    gradient: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of ``filter_channels``.

    Args:
        expanded, gamma1, beta1, weight, stride, gamma2, beta2: as there.
        filtered, statistics: as it returned them.
        gradient: of its result, of that shape.

    Returns:
        Arrays like ``expanded``, ``gamma1``, ``beta1``, ``weight``, ``gamma2``, ``beta2``.
    """
    channels, n, height, width = expanded.shape
    grad_expanded, grad_weight = np.empty_like(expanded), np.zeros_like(weight)
    grad_gamma1, grad_beta1 = np.empty_like(gamma1), np.empty_like(beta1)
    grad_gamma2, grad_beta2 = np.empty_like(gamma2), np.empty_like(beta2)
    # A thread owns whole channels: their sums over the batch have one order, whatever the threads.
    for c in prange(channels):
        mean, inverse = statistics[3, c], statistics[4, c]
        grad_filtered = np.empty(filtered.shape[1:], np.float32)
        grad_gamma2[c], grad_beta2[c] = _through_norm(
            filtered[c].ravel(), gradient[c].ravel(), gamma2[c], beta2[c], mean, inverse,
            grad_filtered.ravel(),
        )  # fmt: skip
        strip, spread = _empty_strip(n, height, width), _empty_strip(n, height, width)
        for i in range(n):
            _lay(grad_filtered[i], i, height, width, stride, spread)
        mean, inverse = statistics[0, c], statistics[1, c]
        scale = gamma1[c] * inverse
        _lay_active(expanded[c], scale, beta1[c] - mean * scale, strip)
        _add_products(strip, spread, width, grad_weight[c, 0])
        places = _correlate(spread, weight[c, 0, ::-1, ::-1].copy(), width)
        grad_active = np.empty(expanded.shape[1:], np.float32)
        for i in range(n):
            _take(places, i, height, width, 1, grad_active[i])
        grad_gamma1[c], grad_beta1[c] = _through_norm(
            expanded[c].ravel(), grad_active.ravel(), gamma1[c], beta1[c], mean, inverse,
            grad_expanded[c].ravel(),
        )  # fmt: skip
    return grad_expanded, grad_gamma1, grad_beta1, grad_weight, grad_gamma2, grad_beta2


# A strip is a row of zero-padded planes: rows of W + 1 numbers, the last of which is zero, planes of
# H + 1 such rows, the last of which is zero, and W + 2 zeros before and behind all. So the neighbours of
# every number lie at fixed distances, and a loop runs through all planes without a stop at a row's end,
# in vector registers however small they are. (At stride 2 it finds four numbers for one that is taken.)


@compiled()
def _empty_strip(n, height, width):
    """A strip of ``n`` planes, all zero."""
    return np.zeros(n * (height + 1) * (width + 1) + 2 * (width + 2), np.float32)


@compiled()
def _lay(plane, i, height, width, stride, strip):
    """Write a plane, whose numbers stand ``stride`` apart, into plane ``i`` of a strip."""
    start = width + 2 + i * (height + 1) * (width + 1)
    for y in range(plane.shape[0]):
        place = start + y * stride * (width + 1)
        for x in range(plane.shape[1]):
            strip[place + x * stride] = plane[y, x]


@compiled()
def _take(places, i, height, width, stride, plane):
    """Read plane ``i`` of what ``_correlate`` returned, every ``stride``-th number."""
    start = i * (height + 1) * (width + 1)
    for y in range(plane.shape[0]):
        place = start + y * stride * (width + 1)
        for x in range(plane.shape[1]):
            plane[y, x] = places[place + x * stride]


@compiled()
def _correlate(strip, kernel, width):
    """Correlate all planes of a strip with a 3x3 kernel; a strip without the zeros at both ends."""
    a, b, c = kernel[0]
    d, e, f = kernel[1]
    g, h, i = kernel[2]
    row = width + 1
    r, s, t = strip, strip[row:], strip[2 * row :]
    out = np.empty(strip.size - 2 * (width + 2), np.float32)
    for k in range(out.size):
        out[k] = (
            a * r[k] + b * r[k + 1] + c * r[k + 2]
            + d * s[k] + e * s[k + 1] + f * s[k + 2]
            + g * t[k] + h * t[k + 1] + i * t[k + 2]
        )  # fmt: skip
    return out


@compiled()
def _add_products(strip, spread, width, out):
    """Add to ``out`` (3, 3) the products of the gradient, a strip too, with the numbers that each weight
    met."""
    a = b = c = d = e = f = g = h = i = np.float32(0)
    row = width + 1
    r, s, t, gradient = strip, strip[row:], strip[2 * row :], spread[width + 2 :]
    for k in range(strip.size - 2 * (width + 2)):
        w = gradient[k]
        a += w * r[k]
        b += w * r[k + 1]
        c += w * r[k + 2]
        d += w * s[k]
        e += w * s[k + 1]
        f += w * s[k + 2]
        g += w * t[k]
        h += w * t[k + 1]
        i += w * t[k + 2]
    for k, value in enumerate((a, b, c, d, e, f, g, h, i)):
        out[k // 3, k % 3] += value


@compiled()
def _sum_up(plane):
    """The sum of a plane."""
    total = np.float32(0)
    for k in range(plane.size):
        total += plane[k]
    return total


@compiled()
def _sum_squares(plane, centre):
    """The sum of the squares of a plane's distances from ``centre``."""
    total = np.float32(0)
    for k in range(plane.size):
        total += (plane[k] - centre) * (plane[k] - centre)
    return total


@compiled()
def _inverse_deviation(squares, count, epsilon):
    """The inverse of the standard deviation."""
    # Squares that overflow would make the scale zero, and a diverging network look tame.
    return np.float32(1 / (np.sqrt(squares / count + epsilon) if np.isfinite(squares) else np.nan))


@compiled()
def _slope_and_offset(scale, total, products, count, mean, inverse):
    """What the gradient of a batch norm's input is besides ``scale`` times that of its output: a line in
    its input. ``total`` is the sum of the latter, ``products`` that of its products with the centred
    input."""
    slope = np.float32(-scale * products * inverse * inverse / count)
    return slope, np.float32(-scale * total / count - slope * mean)


@compiled()
def _sum_with_products(gradient, plane, centre):
    total = products = np.float32(0)
    for k in range(plane.size):
        total += gradient[k]
        products += gradient[k] * (plane[k] - centre)
    return total, products


@compiled()
def _scale(plane, factor, offset, out):
    for k in range(plane.size):
        out[k] = plane[k] * factor + offset


@compiled()
def _combine(one, factor, other, slope, offset, out):
    for k in range(one.size):
        out[k] = one[k] * factor + other[k] * slope + offset


@compiled()
def _statistics(values, epsilon, out):
    """Mean and inverse standard deviation; into ``out`` besides, with the unbiased variance."""
    total = 0.0
    for start in range(0, values.size, BLOCK):
        total += _sum_up(values[start : start + BLOCK])
    mean = np.float32(total / values.size)
    total = 0.0
    for start in range(0, values.size, BLOCK):
        total += _sum_squares(values[start : start + BLOCK], mean)
    inverse = _inverse_deviation(total, values.size, epsilon)
    out[0], out[1], out[2] = mean, inverse, total / max(values.size - 1, 1)
    return mean, inverse


@compiled()
def _activate(values, scale, shift, out):
    for k in range(values.size):
        value = values[k] * scale + shift
        # What is no number stays so.
        out[k] = np.float32(0) if value < 0 else (np.float32(6) if value > 6 else value)


@compiled()
def _lay_active(channel, scale, shift, strip):
    n, height, width = channel.shape
    active = np.empty_like(channel)
    _activate(channel.ravel(), scale, shift, active.ravel())
    for i in range(n):
        _lay(active[i], i, height, width, 1, strip)


@compiled()
def _through_norm(values, gradient, gamma, beta, mean, inverse, out):
    """Gradients through ReLU6 and the batch norm before it: of its input, into ``out``; its scale and
    shift, returned. Ioffe and Szegedy 2015, section 3."""
    scale = gamma * inverse
    shift = beta - mean * scale
    total = products = 0.0
    for start in range(0, values.size, BLOCK):
        end = start + BLOCK
        one, other = _mask(values[start:end], gradient[start:end], scale, shift, mean, out[start:end])
        total += one
        products += other
    slope, offset = _slope_and_offset(scale, total, products, values.size, mean, inverse)
    for k in range(values.size):
        out[k] = out[k] * scale + values[k] * slope + offset
    return np.float32(products * inverse), np.float32(total)


@compiled()
def _mask(values, gradient, scale, shift, mean, out):
    total = products = np.float32(0)
    for k in range(values.size):
        value = values[k] * scale + shift
        out[k] = np.float32(0) if value <= 0 or value >= 6 else gradient[k]
        total += out[k]
        products += out[k] * (values[k] - mean)
    return total, products


_PLANES, _ROWS, _LINE = (types.Array(types.float32, d, "C") for d in (4, 2, 1))
_NORM = (_LINE, _LINE, types.float64)
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "normalise": (_PLANES, *_NORM),
    "normalise_gradients": (_PLANES, _LINE, _LINE, _LINE, _PLANES),
    "depthwise_forward": (_PLANES, _PLANES, types.int64),
    "depthwise_gradients": (_PLANES, _PLANES, _PLANES, types.int64),
    "filter_channels": (_PLANES, *_NORM, _PLANES, types.int64, *_NORM),
    "filter_channels_gradients": (
        *(_PLANES, _LINE, _LINE, _PLANES, types.int64, _LINE, _LINE),
        *(_PLANES, _ROWS, _PLANES),
    ),
}
