"""Batch norm in training on CPU, compiled by numba.

MindSpore's CPU kernel reads and writes the activations more often than the arithmetic asks for, and
batch norm is then the longest part of a MobileNetV2 step. These loops read a channel, which stays in
the cache, twice for the statistics and once for the result. They replace the primitive inside
``nn.BatchNorm2d``, in training only.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from numba import prange

from mindspore_dpus.models.kernels import compiled, interruptible


@interruptible
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
            total += sum_up(planes[i, c])
        centre = np.float32(total / count)
        total = 0.0
        for i in range(n):
            total += sum_squares(planes[i, c], centre)
        scale = inverse_deviation(total, count, epsilon)
        for i in range(n):
            _scale(planes[i, c], gamma[c] * scale, beta[c] - centre * gamma[c] * scale, out[i, c])
        mean[c], inverse[c] = centre, scale
        variance[c] = total / max(count - 1, 1)
    return out.reshape(x.shape), mean, inverse, variance


@interruptible
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
        slope, offset = slope_and_offset(scale, total, products, count, mean[c], inverse[c])
        for i in range(n):
            _combine(gradients[i, c], scale, planes[i, c], slope, offset, grad_x[i, c])
        grad_gamma[c], grad_beta[c] = products * inverse[c], total
    return grad_x.reshape(x.shape), grad_gamma, grad_beta


@compiled()
def sum_up(plane):
    """The sum of a plane."""
    total = np.float32(0)
    for k in range(plane.size):
        total += plane[k]
    return total


@compiled()
def sum_squares(plane, centre):
    """The sum of the squares of a plane's distances from ``centre``."""
    total = np.float32(0)
    for k in range(plane.size):
        total += (plane[k] - centre) * (plane[k] - centre)
    return total


@compiled()
def inverse_deviation(squares, count, epsilon):
    """The inverse of the standard deviation."""
    # Squares that overflow would make the scale zero, and a diverging network look tame.
    return np.float32(1 / (np.sqrt(squares / count + epsilon) if np.isfinite(squares) else np.nan))


@compiled()
def slope_and_offset(scale, total, products, count, mean, inverse):
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


class BatchNormTraining(nn.Cell):
    """The primitive that stands inside an ``nn.BatchNorm2d`` for training: PyNative mode on CPU only.

    Args:
        epsilon: added to the variance.
        momentum: weight of the batch in the moving statistics.
    """

    def __init__(self, epsilon: float, momentum: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.momentum = np.float32(momentum)

    def construct(
        self, x: Tensor, gamma: Tensor, beta: Tensor, moving_mean: Tensor, moving_variance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        out, mean, inverse, variance = normalise(
            x.asnumpy(), gamma.asnumpy(), beta.asnumpy(), self.epsilon
        )
        self.move(moving_mean, mean)
        self.move(moving_variance, variance)
        return Tensor.from_numpy(out), Tensor.from_numpy(mean), Tensor.from_numpy(inverse)

    def move(self, moving: Tensor, batch: np.ndarray) -> None:
        """Let a moving statistic follow that of a batch."""
        values = moving.asnumpy()
        values += self.momentum * (batch - values)

    def bprop(
        self,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        moving_mean: Tensor,
        moving_variance: Tensor,
        out: tuple[Tensor, Tensor, Tensor],
        gradient: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        arrays = (tensor.asnumpy() for tensor in (x, gamma, *out[1:], gradient[0]))
        found = [Tensor.from_numpy(array) for array in normalise_gradients(*arrays)]
        # Nobody asks for the gradients of the moving statistics, but each input must have one.
        return (*found, found[1], found[2])


def use_fast_batch_norm(net: nn.Cell) -> int:
    """Replace the training primitive of every ``nn.BatchNorm2d`` of a network.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    cells = [cell for _, cell in net.cells_and_names() if _fits(cell)]
    for cell in cells:
        cell.bn_train = BatchNormTraining(cell.eps, cell.momentum)
    return len(cells)


def _fits(cell: nn.Cell) -> bool:
    return (
        type(cell) is nn.BatchNorm2d
        and cell.format == "NCHW"
        and cell.use_batch_statistics is None
        and cell.gamma.dtype == ms.float32
    )
