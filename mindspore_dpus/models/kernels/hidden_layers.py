"""The inside of MobileNetV2's blocks in training on CPU: one operation in place of seven.

A block expands (1x1), filters (depthwise 3x3) and projects (1x1). On small images most of a step's time
is what MindSpore spends around its operations, and on large ones the wide arrays between them are
read and written many times. Here a channel goes from its expansion to the input of the projection while
it lies in the cache, and the 1x1 convolutions are two products of whole matrices.
"""

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common import _Function

from mindspore_dpus.models.kernels.batch_norm import BatchNormTraining
from mindspore_dpus.models.kernels.depthwise import DepthwiseConv2d
from mindspore_dpus.models.kernels.kernel import are_float32, refuse_second_order
from mindspore_dpus.models.kernels.loops import filter_channels, filter_channels_gradients
from mindspore_dpus.models.mobilenet_v2 import InvertedResidual


class _Hidden(_Function):
    """All of a block before its last batch norm, as one operation."""

    @staticmethod
    def forward(
        ctx: _Function,
        norms: tuple[nn.Cell, nn.Cell],
        stride: int,
        x: Tensor,
        expand: Tensor,
        gamma1: Tensor,
        beta1: Tensor,
        weight: Tensor,
        gamma2: Tensor,
        beta2: Tensor,
        project: Tensor,
    ) -> Tensor:
        """Of the block's two inner batch norms, whose moving statistics follow the batch, and the
        parameters."""
        n, _, height, width = x.shape
        expand, project = (Tensor.from_numpy(_matrix(w.asnumpy())) for w in (expand, project))
        columns = Tensor.from_numpy(_matrix(_swapped(x.asnumpy())))
        expanded = _product(expand, columns).asnumpy().reshape(-1, n, height, width)
        norm1, norm2 = ((g.asnumpy(), b.asnumpy()) for g, b in ((gamma1, beta1), (gamma2, beta2)))
        weight = weight.asnumpy()
        active, filtered, statistics = filter_channels(
            expanded, *norm1, norms[0].eps, weight, stride, *norm2, norms[1].eps
        )
        for norm, (mean, _, variance) in zip(norms, (statistics[:3], statistics[3:]), strict=True):
            norm.bn_train.move(norm.moving_mean, mean)
            norm.bn_train.move(norm.moving_variance, variance)
        active = Tensor.from_numpy(_matrix(active))
        ctx.matrices = columns, expand, active, project
        ctx.arrays = expanded, *norm1, weight, stride, *norm2, filtered, statistics
        out = _product(project, active).asnumpy().reshape(-1, n, *filtered.shape[2:])
        return Tensor.from_numpy(_swapped(out))

    @staticmethod
    def backward(ctx: _Function, gradient: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_order()
        columns, expand, active, project = ctx.matrices
        expanded, *_, filtered, _ = ctx.arrays
        grad_out = Tensor.from_numpy(_matrix(_swapped(gradient.asnumpy())))
        grad_project = _product_with_transposed(grad_out, active)
        grad_active = _product_of_transposed(project, grad_out).asnumpy().reshape(filtered.shape)
        grad_expanded, *others = filter_channels_gradients(*ctx.arrays, grad_active)
        grad_expanded = Tensor.from_numpy(_matrix(grad_expanded))
        grad_expand = _product_with_transposed(grad_expanded, columns)
        grad_columns = _product_of_transposed(expand, grad_expanded).asnumpy()
        grad_x = _swapped(grad_columns.reshape(-1, *expanded.shape[1:]))
        return (
            None,
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


def hidden_layers(layers: nn.SequentialCell, x: Tensor) -> Tensor:
    """What ``layers(x)`` is in training, PyNative mode on CPU only.

    Args:
        layers: of an ``InvertedResidual`` that expands, with loops of ``kernels.loops`` in them. Where a
            batch norm is frozen or shares its statistics with other devices, or a batch is not as below,
            they run one by one.
        x: (N, in_channels, H, W) float32.

    Returns:
        (N, out_channels, ceil(H / stride), ceil(W / stride)) float32. Sandler et al. 2018, Figure 3b.
    """
    expand, norm1, _, depthwise, norm2, _, project, norm3 = layers
    suits = x.ndim == 4 and are_float32(x) and x.shape[1] == expand.in_channels
    if not suits or not all(
        norm.training and type(norm.bn_train) is BatchNormTraining for norm in (norm1, norm2)
    ):
        return layers(x)
    hidden = _Hidden.apply(
        (norm1, norm2),
        depthwise.conv2d.stride,
        x,
        expand.weight,
        norm1.gamma,
        norm1.beta,
        depthwise.weight,
        norm2.gamma,
        norm2.beta,
        project.weight,
    )
    return norm3(hidden)


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
        block.in_training = hidden_layers
    return len(blocks)
