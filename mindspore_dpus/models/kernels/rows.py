"""Layer norm and softmax on CPU by loops of our own (``kernels.row_loops``).

MindSpore's CPU kernels of these take several times as long as reading and writing the numbers does, and are
a large part of a step of a Transformer or Conformer. (Its SiLU is as fast as a loop of ours was.)
"""

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.models.kernels.kernel import Kernel, are_float32
from mindspore_dpus.models.kernels.row_loops import (
    normalise_rows,
    normalise_rows_gradients,
    softmax_rows,
    softmax_rows_gradient,
)


def _rows(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])


class RowNorm(Kernel):
    """The primitive that stands inside an ``nn.LayerNorm`` over the last axis: PyNative mode on CPU only.

    Args:
        epsilon: added to the variance.
        plain: the primitive that it replaces.
    """

    def __init__(self, epsilon: float, plain: Callable) -> None:
        super().__init__(plain)
        self.epsilon = epsilon

    def suits(self, x: Tensor, gamma: Tensor, beta: Tensor) -> bool:
        return are_float32(x, gamma, beta) and x.shape[-1:] == gamma.shape == beta.shape

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        array = x.asnumpy()
        found = normalise_rows(_rows(array), gamma.asnumpy(), beta.asnumpy(), self.epsilon)
        return Tensor.from_numpy(found[0].reshape(array.shape)), *map(Tensor.from_numpy, found[1:])

    def backward(
        self,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        out: tuple[Tensor, Tensor, Tensor],
        gradient: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        array = x.asnumpy()
        statistics = (out[1].asnumpy(), out[2].asnumpy())
        found = normalise_rows_gradients(
            _rows(array), gamma.asnumpy(), *statistics, _rows(gradient[0].asnumpy())
        )
        return Tensor.from_numpy(found[0].reshape(array.shape)), *map(Tensor.from_numpy, found[1:])


class RowSoftmax(Kernel):
    """The primitive that stands inside an ``nn.Softmax`` over the last axis: PyNative mode on CPU only."""

    def suits(self, x: Tensor) -> bool:
        return x.ndim > 0 and are_float32(x)

    def forward(self, x: Tensor) -> Tensor:
        array = x.asnumpy()
        return Tensor.from_numpy(softmax_rows(_rows(array)).reshape(array.shape))

    def backward(self, x: Tensor, out: Tensor, gradient: Tensor) -> tuple[Tensor]:
        array = out.asnumpy()
        found = softmax_rows_gradient(_rows(array), _rows(gradient.asnumpy()))
        return (Tensor.from_numpy(found.reshape(array.shape)),)


def use_fast_rows(net: nn.Cell) -> int:
    """Replace layer norms and softmaxes of a network.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    number = 0
    for _, cell in list(net.cells_and_names()):
        if type(cell) is nn.LayerNorm and _fits(cell):
            cell.layer_norm = RowNorm(cell.epsilon, cell.layer_norm)
            number += 1
        elif type(cell) is nn.Softmax and cell.softmax.axis in ((-1,), -1):
            cell.softmax = RowSoftmax(cell.softmax)
            number += 1
    return number


def _fits(norm: nn.LayerNorm) -> bool:
    """Whether it is over the last axis alone."""
    return (
        len(norm.normalized_shape) == 1
        and norm.begin_norm_axis == norm.begin_params_axis == -1
        and norm.gamma.dtype == ms.float32
    )
