"""What all of our primitives inside MindSpore's Cells have in common.

Compiled code reads raw memory: it does not notice a wrong number of channels or another type. So every
input is looked at before. And it is seen from MindSpore as one operation with a gradient, which has no
gradient itself.
"""

import sys
from collections.abc import Callable

import mindspore as ms
from mindspore import Tensor, nn, ops
from mindspore.common.api import _pynative_executor

from mindspore_dpus.core.errors import UserError

_gradients = ops.GradOperation(get_all=True, sens_param=True)


def are_float32(*tensors: Tensor) -> bool:
    """Whether all are float32 and none is empty."""
    return all(tensor.dtype == ms.float32 and 0 not in tensor.shape for tensor in tensors)


def refuse_second_order() -> None:
    """To be called in the way back: MindSpore would take what it gives for a constant.

    Raises:
        UserError: a gradient of the gradient is being recorded.
    """
    if _pynative_executor.grad_flag() and _is_inside_a_function_to_differentiate():
        raise UserError(
            "device.fast_kernels: our kernels have no gradient of a gradient (it would silently be zero); "
            "set it to none, or take the inner gradient outside of the function that is differentiated"
        )


def _is_inside_a_function_to_differentiate() -> bool:
    # The flag alone is not enough: after an error in a function that was to be differentiated, MindSpore
    # leaves it set for the next one.
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_pynative_forward_run":
        frame = frame.f_back
    return frame is not None


class Kernel(nn.Cell):
    """A primitive of ours: PyNative mode on CPU only.

    Where its inputs are not what it is made for, the primitive that it replaces computes or, if they are
    wrong, raises its own error.

    Args:
        plain: that primitive.
    """

    def __init__(self, plain: Callable) -> None:
        super().__init__()
        self._plain = plain

    def suits(self, *inputs: Tensor) -> bool:
        """Whether our own code can compute with them."""
        raise NotImplementedError

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The result."""
        raise NotImplementedError

    def backward(self, *told: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all inputs, from inputs, result and the gradient of that."""
        raise NotImplementedError

    def plain(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The result of the primitive that was replaced."""
        return self._plain(*inputs)

    def plain_gradients(self, *told: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all inputs, from inputs and the gradient of the result."""
        return _gradients(lambda *inputs: self.plain(*inputs))(*told)

    def construct(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.forward(*inputs) if self.suits(*inputs) else self.plain(*inputs)

    def bprop(self, *told: Tensor) -> tuple[Tensor, ...]:
        refuse_second_order()
        *inputs, _, gradient = told
        if self.suits(*inputs):
            return self.backward(*told)
        return self.plain_gradients(*inputs, gradient)
