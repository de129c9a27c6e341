"""Depthwise convolutions over frames, and swapped axes, on CPU by loops of our own
(``kernels.frame_loops``).

MindSpore turns a depthwise convolution into a small matrix product for each channel, pads in an operation
of its own, and takes ten times as long to swap two axes as copying takes. Together that is more than half
of a Conformer's step.
"""

import numpy as np
from mindspore import Tensor, nn

from mindspore_dpus.models.attention import Swap
from mindspore_dpus.models.conformer import FrameConvolution
from mindspore_dpus.models.kernels.frame_loops import (
    convolve_frames,
    convolve_frames_gradients,
    swap_frames,
    swap_vectors,
)
from mindspore_dpus.models.kernels.kernel import are_float32, refuse_second_order


class FastFrameConvolution(nn.Cell):
    """What a ``FrameConvolution`` does with its input and its weights: PyNative mode on CPU only.

    Args:
        frames: T.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def suits(self, x: Tensor, weight: Tensor) -> bool:
        """Whether our loops can compute with them."""
        return (
            x.ndim == 2
            and are_float32(x, weight)
            and x.shape[1] == weight.shape[0]
            and len(x) % self.frames == 0
        )

    def _arrays(self, x: Tensor, weight: Tensor) -> tuple[np.ndarray, np.ndarray]:
        rows = x.asnumpy().reshape(-1, self.frames, x.shape[-1])
        return rows, np.ascontiguousarray(weight.asnumpy()[:, 0, 0].T)

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return Tensor.from_numpy(convolve_frames(*self._arrays(x, weight))[:, :, None])

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        refuse_second_order()
        of_x, of_weight = convolve_frames_gradients(
            *self._arrays(x, weight), np.ascontiguousarray(gradient.asnumpy()[:, :, 0])
        )
        of_weight = np.ascontiguousarray(of_weight.T).reshape(weight.shape)
        return Tensor.from_numpy(of_x.reshape(x.shape)), Tensor.from_numpy(of_weight)


class FastSwap(nn.Cell):
    """What a ``Swap`` does: PyNative mode on CPU only."""

    def suits(self, x: Tensor) -> bool:
        """Whether our loops can turn it."""
        return x.ndim in (3, 4) and are_float32(x)

    def construct(self, x: Tensor) -> Tensor:
        return _swap(x)

    def bprop(self, x: Tensor, out: Tensor, gradient: Tensor) -> tuple[Tensor]:
        refuse_second_order()
        return (_swap(gradient),)


def _swap(x: Tensor) -> Tensor:
    swap = swap_frames if x.ndim == 3 else swap_vectors
    return Tensor.from_numpy(swap(np.ascontiguousarray(x.asnumpy())))


def use_fast_frames(net: nn.Cell) -> int:
    """Replace swapped axes and convolutions over frames of a network.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    cells = [cell for _, cell in net.cells_and_names() if type(cell) in (Swap, FrameConvolution)]
    for cell in cells:
        cell.fast = FastSwap() if type(cell) is Swap else FastFrameConvolution(cell.frames)
    return len(cells)
