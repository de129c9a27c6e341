"""Depthwise 3x3 convolutions on CPU by loops of our own.

MindSpore's CPU build lowers a depthwise convolution to one small matrix product a channel (oneDNN's
``gemm:jit`` on plain NCHW), and spends more than half of a MobileNetV2 step there. Our loops
(``kernels.loops``) replace the primitive inside a network's own ``nn.Conv2d`` cells, so Cells and
parameters stay as they are.
"""

from collections.abc import Callable

import mindspore as ms
from mindspore import Tensor, nn

from mindspore_dpus.models.kernels.kernel import Kernel, are_float32
from mindspore_dpus.models.kernels.loops import depthwise_forward, depthwise_gradients


class DepthwiseConv2d(Kernel):
    """The primitive that stands inside an ``nn.Conv2d``: PyNative mode on CPU only.

    Args:
        stride: 1 or 2.
        plain: the primitive that it replaces.
    """

    def __init__(self, stride: int, plain: Callable) -> None:
        super().__init__(plain)
        self.stride = stride

    def suits(self, x: Tensor, weight: Tensor) -> bool:
        return x.ndim == 4 and are_float32(x, weight) and weight.shape == (x.shape[1], 1, 3, 3)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return Tensor.from_numpy(depthwise_forward(x.asnumpy(), weight.asnumpy(), self.stride))

    def backward(
        self, x: Tensor, weight: Tensor, out: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
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
        cell.conv2d = DepthwiseConv2d(cell.stride[0], cell.conv2d)
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
