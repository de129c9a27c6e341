"""The inside of MobileNetV2's blocks in training on CPU: one operation in place of seven.

A block expands (1x1), filters (depthwise 3x3) and projects (1x1). On small images most of a step's time
is what MindSpore spends around its operations, and on large ones the wide arrays between them are
read and written many times. Here a channel goes from its expansion to the input of the projection while
it lies in the cache, and the 1x1 convolutions are two products of whole matrices.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common import _Function
from numba import prange

from mindspore_dpus.models.batch_norm import (
    BatchNormTraining,
    inverse_deviation,
    slope_and_offset,
    sum_squares,
    sum_up,
)
from mindspore_dpus.models.depthwise import (
    DepthwiseConv2d,
    add_products,
    correlate,
    empty_strip,
    lay,
    take,
)
from mindspore_dpus.models.kernels import compiled, interruptible
from mindspore_dpus.models.mobilenet_v2 import InvertedResidual

# So many numbers are added up in float32 before float64 goes on.
BLOCK = 4096


@interruptible
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
    """Batch norm, ReLU6, depthwise 3x3 convolution padded by 1, batch norm, ReLU6.

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
        strip = empty_strip(n, height, width)
        _lay_active(expanded[c], scale, beta1[c] - mean * scale, strip)
        places = correlate(strip, weight[c, 0], width)
        for i in range(n):
            take(places, i, height, width, stride, filtered[c, i])
        mean, inverse = _statistics(filtered[c].ravel(), epsilon2, statistics[3:, c])
        scale = gamma2[c] * inverse
        _activate(filtered[c].ravel(), scale, beta2[c] - mean * scale, out[c].ravel())
    return out, filtered, statistics


@interruptible
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
        strip, spread = empty_strip(n, height, width), empty_strip(n, height, width)
        for i in range(n):
            lay(grad_filtered[i], i, height, width, stride, spread)
        mean, inverse = statistics[0, c], statistics[1, c]
        scale = gamma1[c] * inverse
        _lay_active(expanded[c], scale, beta1[c] - mean * scale, strip)
        add_products(strip, spread, width, grad_weight[c, 0])
        places = correlate(spread, weight[c, 0, ::-1, ::-1].copy(), width)
        grad_active = np.empty(expanded.shape[1:], np.float32)
        for i in range(n):
            take(places, i, height, width, 1, grad_active[i])
        grad_gamma1[c], grad_beta1[c] = _through_norm(
            expanded[c].ravel(), grad_active.ravel(), gamma1[c], beta1[c], mean, inverse,
            grad_expanded[c].ravel(),
        )  # fmt: skip
    return grad_expanded, grad_gamma1, grad_beta1, grad_weight, grad_gamma2, grad_beta2


@compiled()
def _statistics(values, epsilon, out):
    """Mean and inverse standard deviation; into ``out`` besides, with the unbiased variance."""
    total = 0.0
    for start in range(0, values.size, BLOCK):
        total += sum_up(values[start : start + BLOCK])
    mean = np.float32(total / values.size)
    total = 0.0
    for start in range(0, values.size, BLOCK):
        total += sum_squares(values[start : start + BLOCK], mean)
    inverse = inverse_deviation(total, values.size, epsilon)
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
        lay(active[i], i, height, width, 1, strip)


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
    slope, offset = slope_and_offset(scale, total, products, values.size, mean, inverse)
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


class _Hidden(_Function):
    """All of a block before its last batch norm, as one operation."""

    @staticmethod
    def forward(
        ctx: _Function,
        settings: tuple[int, float, float],
        x: Tensor,
        expand: Tensor,
        gamma1: Tensor,
        beta1: Tensor,
        weight: Tensor,
        gamma2: Tensor,
        beta2: Tensor,
        project: Tensor,
    ) -> Tensor:
        """Of ``settings`` (stride, and what is added to the variances), the input and the parameters."""
        stride, epsilon1, epsilon2 = settings
        n, _, height, width = x.shape
        expand, project = (Tensor.from_numpy(_matrix(w.asnumpy())) for w in (expand, project))
        columns = Tensor.from_numpy(_matrix(_swapped(x.asnumpy())))
        expanded = _product(expand, columns).asnumpy().reshape(-1, n, height, width)
        norm1, norm2 = ((g.asnumpy(), b.asnumpy()) for g, b in ((gamma1, beta1), (gamma2, beta2)))
        weight = weight.asnumpy()
        active, filtered, statistics = filter_channels(
            expanded, *norm1, epsilon1, weight, stride, *norm2, epsilon2
        )
        active = Tensor.from_numpy(_matrix(active))
        ctx.saved = columns, expand, expanded, norm1, weight, stride, norm2, filtered, statistics
        ctx.behind = active, project
        out = _product(project, active).asnumpy().reshape(-1, n, *filtered.shape[2:])
        return Tensor.from_numpy(_swapped(out)), Tensor.from_numpy(statistics)

    @staticmethod
    def backward(ctx: _Function, gradient: Tensor, _) -> tuple[Tensor | None, ...]:
        columns, expand, expanded, norm1, weight, stride, norm2, filtered, statistics = ctx.saved
        active, project = ctx.behind
        grad_out = Tensor.from_numpy(_matrix(_swapped(gradient.asnumpy())))
        grad_project = _product_with_transposed(grad_out, active)
        grad_active = _product_of_transposed(project, grad_out).asnumpy().reshape(filtered.shape)
        grad_expanded, *others = filter_channels_gradients(
            expanded, *norm1, weight, stride, *norm2, filtered, statistics, grad_active
        )
        grad_expanded = Tensor.from_numpy(_matrix(grad_expanded))
        grad_expand = _product_with_transposed(grad_expanded, columns)
        grad_columns = _product_of_transposed(expand, grad_expanded).asnumpy()
        grad_x = _swapped(grad_columns.reshape(-1, *expanded.shape[1:]))
        return (
            None,
            Tensor.from_numpy(grad_x),
            _kernels(grad_expand),
            *(Tensor.from_numpy(array) for array in others),
            _kernels(grad_project),
        )


# MindSpore's own matrix product; NumPy's may come with a BLAS that does not know a new processor.
_product = ops.MatMul()
_product_with_transposed = ops.MatMul(transpose_b=True)
_product_of_transposed = ops.MatMul(transpose_a=True)


def _swapped(maps: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (C, N, H, W), and back."""
    return np.ascontiguousarray(maps.swapaxes(0, 1))


def _matrix(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _kernels(matrix: Tensor) -> Tensor:
    return Tensor.from_numpy(matrix.asnumpy()[:, :, None, None])


class HiddenLayers:
    """What stands in for a block's ``layers`` while all of them are trained: PyNative mode on CPU only.

    Args:
        layers: of an ``InvertedResidual`` that expands, with the loops of ``models.kernels`` in them.
    """

    def __init__(self, layers: nn.SequentialCell) -> None:
        self.layers = layers

    def __call__(self, x: Tensor) -> Tensor:
        expand, norm1, _, depthwise, norm2, _, project, norm3 = self.layers
        if not all(
            norm.training and type(norm.bn_train) is BatchNormTraining for norm in (norm1, norm2)
        ):
            return self.layers(x)
        out, statistics = _Hidden.apply(
            (depthwise.conv2d.stride, norm1.eps, norm2.eps),
            x,
            expand.weight,
            norm1.gamma,
            norm1.beta,
            depthwise.weight,
            norm2.gamma,
            norm2.beta,
            project.weight,
        )
        mean1, _, variance1, mean2, _, variance2 = statistics.asnumpy()
        for norm, mean, variance in ((norm1, mean1, variance1), (norm2, mean2, variance2)):
            norm.bn_train.move(norm.moving_mean, mean)
            norm.bn_train.move(norm.moving_variance, variance)
        return norm3(out)


def use_hidden_layers(net: nn.Cell) -> int:
    """Let the blocks of a MobileNetV2 of ours train as single operations.

    Args:
        net: after ``use_fast_depthwise`` and ``use_fast_batch_norm``.

    Returns:
        In how many blocks.
    """
    blocks = [
        cell
        for _, cell in net.cells_and_names()
        if isinstance(cell, InvertedResidual)
        and len(cell.layers) == 8
        and isinstance(cell.layers[3].conv2d, DepthwiseConv2d)
    ]
    for block in blocks:
        block.in_training = HiddenLayers(block.layers)
    return len(blocks)
