"""Which gradient of a network lies where, on the way back through it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mindspore_dpus.models.kernels.chain import Link, UnknownNetError


@dataclass(frozen=True)
class BackStep:
    """What a link does on the way back, in numbers of pieces of memory.

    Args:
        kind: ``inner``: the only gradient of the result is masked by what the norm gave, in place.
            ``plain``: it needs no mask. ``join``: one or two gradients are added and masked by the
            result. ``pool``: they go back through the pooling.
        one, other: gradients of the result; ``other`` may be None.
        inner: where the gradient of the convolution's result is written.
        source: where that of its source is written; None for the network's input.
    """

    kind: str
    one: int
    other: int | None
    inner: int
    source: int | None


def back_steps(
    chain: Sequence[Link], inner_sizes: Sequence[int], value_sizes: Sequence[int]
) -> tuple[list[BackStep], int, list[int]]:
    """Plan the way back: which gradient lies where, with as little memory as there can be alive.

    Args:
        chain: the network.
        inner_sizes: numbers that each convolution gives.
        value_sizes: numbers of each value (``Link.source``), the network's input included.

    Returns:
        The steps, in the order of the links; where the gradient of the last value is expected; sizes of
        the pieces of memory.

    Raises:
        UnknownNetError: more than two gradients come together.
    """
    sizes: list[int] = []
    holders: list[int] = []

    def take(size: int) -> int:
        free = [slot for slot, number in enumerate(holders) if not number]
        # The smallest that is large enough, else the largest, which grows.
        fitting = [slot for slot in free if sizes[slot] >= size]
        if fitting:
            slot = min(fitting, key=sizes.__getitem__)
        elif free:
            slot = max(free, key=sizes.__getitem__)
        else:
            slot = len(sizes)
            sizes.append(0)
            holders.append(0)
        sizes[slot] = max(sizes[slot], size)
        holders[slot] = 1
        return slot

    last = take(value_sizes[-1])
    gradients: dict[int, list[int]] = {len(chain): [last]}
    steps = []
    for i in reversed(range(len(chain))):
        link, came = chain[i], gradients.pop(i + 1)
        if len(came) > 2:
            raise UnknownNetError("more than two gradients come together")
        own = [slot for slot in came if holders[slot] == 1]
        if link.pooled:
            kind, one, inner = "pool", came[0], take(inner_sizes[i])
        elif len(came) == 1 and own and link.shortcut is None:
            kind, one, inner = "inner", came[0], came[0]
        elif len(came) == 1 and link.activation is None:
            kind, one, inner = "plain", came[0], take(inner_sizes[i])
        elif own:
            kind, one = "join", own[0]
            inner = take(inner_sizes[i]) if link.shortcut is not None else one
        else:
            raise UnknownNetError("two shortcuts come together")
        if link.activation == "silu" and kind != "inner":
            raise UnknownNetError("several layers read what a SiLU gives")
        other = next((slot for slot in came if slot != one), None)
        if link.shortcut is not None:
            # What comes out of the mask is the shortcut's gradient, too.
            gradients.setdefault(link.shortcut, []).append(one)
            holders[one] += 1
        source = None
        if link.source:
            source = take(value_sizes[link.source])
            gradients.setdefault(link.source, []).append(source)
        steps.append(BackStep(kind, one, other, inner, source))
        for slot in {*came, inner}:
            holders[slot] -= 1
    return steps[::-1], last, sizes


def only_shortcuts(chain: Sequence[Link]) -> set[int]:
    """Links whose result is only added to another's: nobody needs it on the way back."""
    read = {link.source for link in chain} | {len(chain)}
    return {i for i in range(len(chain)) if i + 1 not in read}
