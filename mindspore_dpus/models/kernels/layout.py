"""Where the maps and gradients of a network in training lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore_dpus.models.kernels.chain import Link
from mindspore_dpus.models.kernels.lifetimes import Lifetime, places
from mindspore_dpus.models.kernels.way_back import BackStep, Events, back_steps


@dataclass(frozen=True)
class Layout:
    """Beginnings of arrays in one piece of memory, in numbers for one image.

    Args:
        inner: of what each convolution gives.
        values: of each link's result.
        gradients: of the gradients that ``steps`` name.
        size: of the whole.
        steps: the way back.
        last: the gradient of the last result.
    """

    inner: list[int]
    values: list[int]
    gradients: list[int]
    size: int
    steps: list[BackStep]
    last: int


def lay_out(chain: Sequence[Link], inner_sizes: Sequence[int], value_sizes: Sequence[int]) -> Layout:
    """Lay out what a batch leaves on its way forward and back, as close as can be.

    Args:
        chain: the network.
        inner_sizes: numbers that each convolution gives for an image.
        value_sizes: numbers of each value (``Link.source``), the network's input included.

    Raises:
        UnknownNetError: the way back is tangled (``back_steps``).
    """
    steps, last, gradients = back_steps(chain, inner_sizes, value_sizes)
    events, number = Events(len(chain)), len(chain)
    # A batch norm's gradient reads its input again.
    inner = [
        Lifetime(size, events.convolve(i), events.to_source(i)) for i, size in enumerate(inner_sizes)
    ]
    ends = [events.convolve(i + 1) for i in range(number)]
    for i, link in enumerate(chain):
        if link.source:
            ends[link.source - 1] = max(ends[link.source - 1], events.to_source(i))
        if link.shortcut:
            # Added when the next link begins.
            ends[link.shortcut - 1] = max(ends[link.shortcut - 1], events.convolve(i + 1))
        if steps[i].kind == "join":
            ends[i] = max(ends[i], events.to_norm(i))
    values = [Lifetime(size, events.convolve(i + 1), ends[i]) for i, size in enumerate(value_sizes[1:])]
    starts, size = places([*inner, *values, *gradients])
    return Layout(starts[:number], starts[number : 2 * number], starts[2 * number :], size, steps, last)
