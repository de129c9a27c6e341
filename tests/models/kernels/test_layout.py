"""Where maps and gradients of a small network lie."""

from dataclasses import dataclass

import pytest

from mindspore_dpus.models.kernels.chain import UnknownNetError
from mindspore_dpus.models.kernels.layout import lay_out
from mindspore_dpus.models.kernels.way_back import Events


@dataclass
class Step:
    """What a layout knows of a link."""

    source: int
    shortcut: int | None = None
    activation: str | None = "relu"
    pooled: bool = False


def test_events_go_forward_and_back():
    events = Events(2)
    order = [events.convolve(0), events.convolve(1), events.average]
    for i in (1, 0):
        order += [events.to_norm(i), events.to_source(i)]
    assert order == list(range(7))


def test_two_layers():
    layout = lay_out([Step(0), Step(1)], [32, 32], [48, 32, 32])
    # On the way back, both convolutions' results and the first link's are needed, and a gradient; the last
    # result is dead by then, and its gradient lies where it was. So does that of the first link's result,
    # which is born while the last one is masked in place.
    assert [(s.kind, s.one, s.inner, s.source) for s in layout.steps] == [
        ("inner", 1, 1, None),
        ("inner", 0, 0, 1),
    ]
    assert layout.last == 0
    assert (layout.inner, layout.values) == ([0, 32], [64, 96])
    assert layout.gradients == [96, 128]
    assert layout.size == 160


def test_a_gradient_lies_where_a_dead_map_was():
    # The first link pools: the gradient of its convolution's result is as large as all behind it.
    chain = [Step(0, pooled=True), Step(1), Step(2), Step(3), Step(4)]
    layout = lay_out(chain, [128, 32, 32, 32, 32], [8, 32, 32, 32, 32, 32])
    assert layout.steps[0].kind == "pool"
    assert layout.size < 128 + 4 * 32 + 5 * 32 + 128


def test_a_result_that_is_only_added_is_dead_afterwards():
    # Value 2 is a branch of its own, added to value 3's.
    chain = [Step(0), Step(1, activation=None), Step(1), Step(3, shortcut=2)]
    layout = lay_out(chain, [32] * 4, [8] + [32] * 4)
    # Four convolutions' results, two that are read again, that of the last link, and the branch's; one
    # of the way back's gradients lies in the place of the branch or of the last result.
    assert layout.size <= 10 * 32


def test_tangled_networks_are_refused():
    with pytest.raises(UnknownNetError, match="more than two"):
        lay_out(
            [Step(0), Step(1), Step(1), Step(2, shortcut=1), Step(4, shortcut=3)], [16] * 5, [16] * 6
        )
