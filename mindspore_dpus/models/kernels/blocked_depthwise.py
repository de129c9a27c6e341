"""The gradient of a depthwise convolution's weights on blocked arrays.

For it oneDNN 2.2 has only its reference loops; for the rest of a depthwise convolution it has fast ones.
The loops are here for the same reason as those of ``loops`` are in one file.
"""

import numpy as np
from numba import types

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.primitives import Geometry


class DepthwiseBackwardWeights:
    """The same for a convolution's ``Geometry``, with the methods of oneDNN's ``BackwardWeights``.

    Raises:
        OneDnnError: its kernel is not square, its stride is neither 1 nor 2, or it is dilated.
    """

    def __init__(self, block: int, geometry: Geometry) -> None:
        rows, columns = geometry.kernel
        fits = geometry.dilation == (1, 1) and geometry.stride in ((1, 1), (2, 2))
        if not fits or rows != columns:
            raise OneDnnError("no fast gradient of a depthwise convolution of this shape")
        self._kernel, self._stride = rows, geometry.stride[0]
        self._top, self._left = geometry.padding[0], geometry.padding[2]
        self._shape = rows * columns, geometry.in_channels // block, block
        self.size = rows * columns * geometry.in_channels

    def __call__(self, source: np.ndarray, result_gradient: np.ndarray, gradient: np.ndarray) -> None:
        """Write the gradient of the weights, (size,) float32."""
        told = self._kernel, self._stride, self._top, self._left
        depthwise_weights_gradient(source, result_gradient, *told, gradient.reshape(self._shape))

    def unload(self, gradient: np.ndarray, weights_gradient: np.ndarray) -> None:
        """Bring a gradient into the plain order of the weights, (C, 1, 1, K, K)."""
        weights_gradient[...] = gradient.reshape(self._shape[0], -1).T.reshape(weights_gradient.shape)


@compiled()
def _add_products(one, other, out):
    for j in range(one.size):
        out[j] += one[j] * other[j]


@compiled()
def _pick(row, block, out):
    """Every other pixel of a row; what ``out`` holds more is left as it is."""
    if block == 16:
        for x in range((row.size // 16 + 1) // 2):
            for lane in range(16):
                out[16 * x + lane] = row[32 * x + lane]
    else:
        for x in range((row.size // block + 1) // 2):
            for lane in range(block):
                out[block * x + lane] = row[2 * block * x + lane]


@compiled()
def _add_shifted(gradient, source, shift, block, out):
    """Products of the gradient at each pixel with the source ``shift`` pixels further on, where there is
    one."""
    first = max(0, -shift) * block
    last = min(gradient.size, source.size - shift * block)
    if first < last:
        moved = source[first + shift * block : last + shift * block]
        _add_products(gradient[first:last], moved, out[first:last])


@interruptible
@from_disk
@compiled(nogil=True)
def depthwise_weights_gradient(source, gradient, kernel, stride, top, left, out):
    """Products of the gradient of each result with the numbers that the weights met.

    Args:
        source: (N, C / block, H, W, block) float32.
        gradient: of the result, (N, C / block, H', W', block) float32.
        kernel: K, its height and width.
        stride: 1 or 2, both ways.
        top, left: by how many pixels the source is padded there, in thought.
        out: (K * K, C / block, block) float32, written.
    """
    n, channels, height, width, block = gradient.shape
    rows, columns = source.shape[2], source.shape[3]
    sums = np.empty((kernel * kernel, width * block), np.float32)
    # At stride 2, a row of the source without its odd, and without its even pixels.
    even = np.empty((columns + 1) // 2 * block, np.float32)
    odd = np.empty(columns // 2 * block, np.float32)
    own = np.empty(block)
    for c in range(channels):
        sums[:] = 0
        for i in range(n):
            for y in range(height):
                g = gradient[i, c, y].reshape(width * block)
                for ky in range(kernel):
                    row = y * stride + ky - top
                    if row < 0 or row >= rows:
                        continue
                    r = source[i, c, row].reshape(columns * block)
                    if stride == 2:
                        _pick(r, block, even)
                        _pick(r[block:], block, odd)
                    for kx in range(kernel):
                        s, shift = sums[kernel * ky + kx], kx - left
                        if stride == 1:
                            _add_shifted(g, r, shift, block, s)
                        elif shift % 2 == 0:
                            _add_shifted(g, even, shift // 2, block, s)
                        else:
                            _add_shifted(g, odd, (shift - 1) // 2, block, s)
        for k in range(kernel * kernel):
            own[:] = 0
            for j in range(0, width * block, block):
                for lane in range(block):
                    own[lane] += sums[k, j + lane]
            for lane in range(block):
                out[k, c, lane] = own[lane]


_MAPS = types.Array(types.float32, 5, "C")
# What it is called with (``machine_code.compile_here``).
EXPECTED = {
    "depthwise_weights_gradient": (
        *(_MAPS, _MAPS, *(types.int64,) * 4),
        types.Array(types.float32, 3, "C"),
    )
}
