"""Depthwise 3x3 convolutions on CPU, compiled by numba.

MindSpore's CPU build lowers a depthwise convolution to one small matrix product a channel (oneDNN's
``gemm:jit`` on plain NCHW), and spends more than half of a MobileNetV2 step there. These loops read
every plane once: ten times as fast, level with the best kernels for other layouts. They replace the
primitive inside a network's own ``nn.Conv2d`` cells, so Cells, parameters and exported graphs stay as
they are.
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
        padded = _pad(x[i, c], 1)
        _correlate(padded, weight[c, 0], stride, out[i, c])
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
            # At stride 2 the output's gradient stands between zeros, at the places that it came from.
            spread = np.zeros((height + 2, width + 2), np.float32)
            spread[1 : height + 1 : stride, 1 : width + 1 : stride] = gradient[i, c]
            _correlate(spread, flipped, 1, grad_x[i, c])
            _sum_products(_pad(x[i, c], 1), spread, grad_weight[c, 0])
    return grad_x, grad_weight


@compiled(inline="always")
def _pad(plane, margin):
    height, width = plane.shape
    padded = np.zeros((height + 2 * margin, width + 2 * margin), np.float32)
    padded[margin : margin + height, margin : margin + width] = plane
    return padded


@compiled()
def _correlate(padded, kernel, stride, out):
    a, b, c = kernel[0]
    d, e, f = kernel[1]
    g, h, i = kernel[2]
    height, width = out.shape
    for y in range(height):
        r, s, t = padded[y * stride], padded[y * stride + 1], padded[y * stride + 2]
        for x in range(width):
            z = x * stride
            out[y, x] = (
                a * r[z] + b * r[z + 1] + c * r[z + 2]
                + d * s[z] + e * s[z + 1] + f * s[z + 2]
                + g * t[z] + h * t[z + 1] + i * t[z + 2]
            )  # fmt: skip


@compiled()
def _sum_products(padded, spread, out):
    """Add to ``out`` (3, 3) the products of the gradient with the pixels that each weight met."""
    a = b = c = d = e = f = g = h = i = np.float32(0)
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    for y in range(height):
        r, s, t, v = padded[y], padded[y + 1], padded[y + 2], spread[y + 1]
        for x in range(width):
            w = v[x + 1]
            a += w * r[x]
            b += w * r[x + 1]
            c += w * r[x + 2]
            d += w * s[x]
            e += w * s[x + 1]
            f += w * s[x + 2]
            g += w * t[x]
            h += w * t[x + 1]
            i += w * t[x + 2]
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
