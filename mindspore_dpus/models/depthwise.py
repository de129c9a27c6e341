"""Depthwise 3x3 convolutions on CPU, compiled by numba.

MindSpore's CPU build lowers a depthwise convolution to one small matrix product a channel (oneDNN's
``gemm:jit`` on plain NCHW), and spends more than half of a MobileNetV2 step there. These loops run
through every plane without a stop at its edges, and so in vector registers however small it is. They
replace the primitive inside a network's own ``nn.Conv2d`` cells, so Cells, parameters and exported
graphs stay as they are.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from numba import prange

from mindspore_dpus.models.kernels import compiled, interruptible


@interruptible
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
        strip = empty_strip(1, height, width)
        lay(x[i, c], 0, height, width, 1, strip)
        take(correlate(strip, weight[c, 0], width), 0, height, width, stride, out[i, c])
    return out


@interruptible
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
            strip, spread = empty_strip(1, height, width), empty_strip(1, height, width)
            lay(x[i, c], 0, height, width, 1, strip)
            # At stride 2 the output's gradient stands between zeros, at the places that it came from.
            lay(gradient[i, c], 0, height, width, stride, spread)
            add_products(strip, spread, width, grad_weight[c, 0])
            take(correlate(spread, flipped, width), 0, height, width, 1, grad_x[i, c])
    return grad_x, grad_weight


# A strip is a row of zero-padded planes: rows of W + 1 numbers, the last of which is zero, planes of
# H + 1 such rows, the last of which is zero, and W + 2 zeros before and behind all. So the neighbours of
# every number lie at fixed distances, and a loop runs through all planes without an end at every row.


@compiled()
def empty_strip(n, height, width):
    """A strip of ``n`` planes, all zero."""
    return np.zeros(n * (height + 1) * (width + 1) + 2 * (width + 2), np.float32)


@compiled()
def lay(plane, i, height, width, stride, strip):
    """Write a plane, whose numbers stand ``stride`` apart, into plane ``i`` of a strip."""
    start = width + 2 + i * (height + 1) * (width + 1)
    for y in range(plane.shape[0]):
        place = start + y * stride * (width + 1)
        for x in range(plane.shape[1]):
            strip[place + x * stride] = plane[y, x]


@compiled()
def take(places, i, height, width, stride, plane):
    """Read plane ``i`` of what ``correlate`` returned, every ``stride``-th number."""
    start = i * (height + 1) * (width + 1)
    for y in range(plane.shape[0]):
        place = start + y * stride * (width + 1)
        for x in range(plane.shape[1]):
            plane[y, x] = places[place + x * stride]


@compiled()
def correlate(strip, kernel, width):
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
def add_products(strip, spread, width, out):
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


class DepthwiseConv2d(nn.Cell):
    """The primitive that stands inside an ``nn.Conv2d``: PyNative mode on CPU only.

    Args:
        stride: 1 or 2.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return Tensor.from_numpy(depthwise_forward(x.asnumpy(), weight.asnumpy(), self.stride))

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        arrays = (tensor.asnumpy() for tensor in (x, weight, gradient))
        grad_x, grad_weight = depthwise_gradients(*arrays, self.stride)
        return Tensor.from_numpy(grad_x), Tensor.from_numpy(grad_weight)


def use_fast_depthwise(net: nn.Cell) -> int:
    """Replace the primitive of every depthwise 3x3 convolution of a network, ours or mindcv's.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    cells = [cell for _, cell in net.cells_and_names() if _fits(cell)]
    for cell in cells:
        cell.conv2d = DepthwiseConv2d(cell.stride[0])
    return len(cells)


def _fits(cell: nn.Cell) -> bool:
    return (
        isinstance(cell, nn.Conv2d)
        and cell.group == cell.in_channels == cell.out_channels > 1
        and cell.kernel_size == (3, 3)
        and cell.stride in ((1, 1), (2, 2))
        and cell.dilation == (1, 1)
        and cell.padding in (1, (1, 1, 1, 1))
        and cell.weight.dtype == ms.float32
    )
