"""Folded networks give the unfolded ones' logits; what cannot be folded stays as it is."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.fold import fold_batch_norms
from mindspore_dpus.models.weights import assign


def with_statistics(net, x, seed=0):
    """Give batch norms scales, shifts and running statistics as training on images ``x`` would."""
    rng = np.random.default_rng(seed)

    def draw(cell, inputs):
        values = inputs[0].asnumpy()
        size, variance = values.shape[1], values.var((0, 2, 3))
        variance += 0.1 * variance.mean()  # A dead channel would blow rounding errors up.
        for parameter, drawn in (
            (cell.gamma, rng.uniform(0.7, 1.5, size)),
            (cell.beta, rng.normal(0, 0.2, size)),
            (cell.moving_mean, values.mean((0, 2, 3)) * rng.uniform(0.8, 1.2, size)),
            (cell.moving_variance, variance * rng.uniform(0.5, 2, size)),
        ):
            assign(parameter, drawn.astype(np.float32))

    net.set_train(False)
    cells = [cell for _, cell in net.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    handles = [cell.register_forward_pre_hook(draw) for cell in cells]
    net(x)
    for handle in handles:
        handle.remove()
    return net


def images(channels, size=48, n=4):
    values = np.random.default_rng(5).standard_normal((n, channels, size, size))
    return Tensor(values, ms.float32)


def norms(net):
    return [name for name, cell in net.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]


def check(net, channels, left=()):
    """Fold, and compare on images that folding has not seen; ``left``: norms that must stay."""
    x = images(channels)
    with_statistics(net, x)
    before = norms(net)
    expected = net(x).asnumpy()
    folded = fold_batch_norms(net, x.shape[1:])
    assert sorted(norms(net)) == sorted(left)
    assert sorted(folded) == sorted(set(before) - set(left))
    # A None among the parameters would stop the export.
    assert all(p is not None for _, cell in net.cells_and_names() for p in cell._params.values())
    found = net(x).asnumpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2_035", "shufflenet_v2_x0_5"])
def test_the_whole_network_is_folded(backbone):
    check(create_model(backbone, 2, 1, seed=3), 1)


class PreActivation(nn.Cell):
    """The stem's output goes into a norm and, past it, into the sum."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.first = nn.BatchNorm2d(8)
        self.inner = nn.SequentialCell(
            nn.Conv2d(8, 8, 3, group=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1)
        )
        self.last = nn.BatchNorm2d(8)

    def construct(self, x):
        x = self.stem(x)
        x = x + self.inner(self.first(x))
        return self.last(x).mean((2, 3))


class Twice(nn.Cell):
    """A convolution before two norms, a norm behind two convolutions, one that looks at its batch."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, has_bias=True, bias_init="ones")
        self.norms = nn.CellList([nn.BatchNorm2d(3), nn.BatchNorm2d(3)])
        self.convs = nn.CellList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)])
        self.norm = nn.BatchNorm2d(3)
        self.batch = nn.SequentialCell(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, use_batch_statistics=True))
        self.good = nn.SequentialCell(nn.Conv2d(3, 3, 1, has_bias=True), nn.BatchNorm2d(3))

    def construct(self, x):
        for norm in self.norms:
            x = norm(self.shared(x))
        for conv in self.convs:
            x = self.norm(conv(x))
        return self.good(self.batch(x)).mean((2, 3))


def test_a_convolution_that_others_read_too_is_left_alone():
    check(PreActivation(), 3, left=["first", "last"])


def test_cells_that_run_twice_are_left_alone():
    left = ["norms.0", "norms.1", "norm", "batch.1"]
    check(Twice(), 3, left=left)
