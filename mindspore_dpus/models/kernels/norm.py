"""The length of all gradients together on CPU by a loop of our own.

MindSpore squares every gradient into a new array before it adds up.
"""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor

from mindspore_dpus.models.kernels.crew import side_by_side
from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

# So many squares are added up in float32 before float64 goes on.
BLOCK = 4096


def euclidean_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The square root of the sum of all squares.

    Args:
        gradients: float32, of any shapes.

    Returns:
        A scalar, float32. Equal gradients have equal bits.
    """
    arrays = [gradient.asnumpy().ravel() for gradient in gradients]
    squares = np.zeros(len(arrays))

    def add_up(i: int) -> None:
        squares[i] = sum_of_squares(arrays[i])

    # The largest first, so that no thread has one left at the end.
    side_by_side(add_up, sorted(range(len(arrays)), key=lambda i: -arrays[i].size))
    # In the order of the gradients, whoever was done first.
    return Tensor(np.float32(np.sqrt(sum(squares.tolist()))))


@interruptible
@from_disk
@compiled(nogil=True)
def sum_of_squares(values: np.ndarray) -> float:
    """The sum of the squares of a flat array, float64."""
    total = 0.0
    for start in range(0, values.size, BLOCK):
        part = np.float32(0)
        for k in range(start, min(start + BLOCK, values.size)):
            part += values[k] * values[k]
        total += part
    return total
