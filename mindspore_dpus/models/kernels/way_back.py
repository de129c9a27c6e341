"""Which gradients there are on the way back through a network, and when each is alive."""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore_dpus.models.kernels.chain import Link, UnknownNetError
from mindspore_dpus.models.kernels.lifetimes import Lifetime


class Events:
    """The order in which a batch goes through a network, as numbers from 0 on: ``convolve`` of each link,
    ``average``, and, from the last link to the first, ``to_norm`` and ``to_source``.

    Args:
        links: how many there are.
    """

    def __init__(self, links: int) -> None:
        self.average = links

    def convolve(self, i: int) -> int:
        return i

    def to_norm(self, i: int) -> int:
        return self.average + 1 + 2 * (self.average - 1 - i)

    def to_source(self, i: int) -> int:
        return self.to_norm(i) + 1


@dataclass(frozen=True)
class BackStep:
    """What a link does on the way back; gradients are named by their numbers.

    Args:
        kind: ``inner``: the only gradient of the result is masked by what the norm gave, in place.
            ``plain``: it needs no mask. ``join``: one or two gradients are added and masked by the
            result. ``pool``: they go back through the pooling.
        one, other: gradients of the result; ``other`` may be None.
        inner: that of what the convolution gives.
        source: that of its source; None for the network's input.
    """

    kind: str
    one: int
    other: int | None
    inner: int
    source: int | None


def back_steps(
    chain: Sequence[Link], inner_sizes: Sequence[int], value_sizes: Sequence[int]
) -> tuple[list[BackStep], int, list[Lifetime]]:
    """Plan the way back.

    Args:
        chain: the network.
        inner_sizes: numbers that each convolution gives.
        value_sizes: numbers of each value (``Link.source``), the network's input included.

    Returns:
        The steps, in the order of the links; the gradient of the last value; when each gradient is needed
        (``Events``).

    Raises:
        UnknownNetError: more than two gradients come together.
    """
    events = Events(len(chain))
    # Size, first and last event of each gradient, and how many still wait to read it.
    sizes: list[int] = []
    born: list[int] = []
    died: list[int] = []
    holders: list[int] = []

    def take(size: int, event: int) -> int:
        sizes.append(size)
        born.append(event)
        died.append(event)
        holders.append(1)
        return len(sizes) - 1

    last = take(value_sizes[-1], events.to_norm(len(chain) - 1))
    gradients: dict[int, list[int]] = {len(chain): [last]}
    steps = []
    for i in reversed(range(len(chain))):
        link, came = chain[i], gradients.pop(i + 1)
        if len(came) > 2:
            raise UnknownNetError("more than two gradients come together")
        alone = [name for name in came if holders[name] == 1]
        if link.pooled:
            kind, one, inner = "pool", came[0], take(inner_sizes[i], events.to_norm(i))
        elif len(came) == 1 and alone and link.shortcut is None:
            kind, one, inner = "inner", came[0], came[0]
        elif len(came) == 1 and link.activation is None:
            kind, one, inner = "plain", came[0], take(inner_sizes[i], events.to_source(i))
        elif alone:
            kind, one = "join", alone[0]
            inner = take(inner_sizes[i], events.to_source(i)) if link.shortcut is not None else one
        else:
            raise UnknownNetError("two shortcuts come together")
        if link.activation == "silu" and kind != "inner":
            raise UnknownNetError("several layers read what a SiLU gives")
        other = next((name for name in came if name != one), None)
        if link.shortcut is not None:
            # What comes out of the mask is the shortcut's gradient, too.
            gradients.setdefault(link.shortcut, []).append(one)
            holders[one] += 1
        source = None
        if link.source:
            source = take(value_sizes[link.source], events.to_source(i))
            gradients.setdefault(link.source, []).append(source)
        steps.append(BackStep(kind, one, other, inner, source))
        for name in {*came, inner}:
            holders[name] -= 1
            died[name] = events.to_source(i)
    return steps[::-1], last, [Lifetime(*own) for own in zip(sizes, born, died, strict=True)]
