"""Batch norm in training on CPU by loops of our own.

MindSpore's CPU kernel reads and writes the activations more often than the arithmetic asks for, and
batch norm is then the longest part of a MobileNetV2 step. Our loops (``kernels.loops``) read a channel,
which stays in the cache, twice for the statistics and once for the result. They replace the primitive
inside ``nn.BatchNorm2d``, in training only.
"""

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.models.kernels.kernel import Kernel, are_float32
from mindspore_dpus.models.kernels.loops import normalise, normalise_gradients


class BatchNormTraining(Kernel):
    """The primitive that stands inside an ``nn.BatchNorm2d`` for training: PyNative mode on CPU only.

    Args:
        epsilon: added to the variance.
        momentum: weight of the batch in the moving statistics.
        plain: the primitive that it replaces.
    """

    def __init__(self, epsilon: float, momentum: float, plain: Callable) -> None:
        super().__init__(plain)
        self.epsilon = epsilon
        self.momentum = np.float32(momentum)

    def suits(self, x: Tensor, *numbers: Tensor) -> bool:
        return (
            x.ndim == 4
            and are_float32(x, *numbers)
            and all(each.shape == x.shape[1:2] for each in numbers)
        )

    def plain(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._plain(*inputs)[:3]

    def plain_gradients(self, *told: Tensor) -> tuple[Tensor, ...]:
        # It moves the statistics again, so they are copies.
        *inputs, moving_mean, moving_variance, gradient = told
        copies = (ms.Parameter(moving.copy()) for moving in (moving_mean, moving_variance))
        return super().plain_gradients(*inputs, *copies, gradient)

    def forward(
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

    def backward(
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
        cell.bn_train = BatchNormTraining(cell.eps, cell.momentum, cell.bn_train)
    return len(cells)


def _fits(cell: nn.Cell) -> bool:
    return (
        type(cell) is nn.BatchNorm2d
        and cell.format == "NCHW"
        and cell.use_batch_statistics is None
        and cell.gamma.dtype == ms.float32
    )
