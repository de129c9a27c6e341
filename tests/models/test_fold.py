"""Folded networks give the unfolded ones' logits; what cannot be folded stays as it is."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.fold import fold_batch_norms
from mindspore_dpus.models.weights import assign


def with_statistics(net, seed=0):
    """Give batch norms the scales, shifts and running statistics of a trained network."""
    rng = np.random.default_rng(seed)
    draw = {
        "moving_mean": lambda shape: rng.normal(0, 0.3, shape),
        "moving_variance": lambda shape: rng.uniform(0.5, 2, shape),
        "gamma": lambda shape: rng.uniform(0.7, 1.5, shape),
        "beta": lambda shape: rng.normal(0, 0.2, shape),
    }
    for _, cell in net.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d):
            for name, values in draw.items():
                parameter = getattr(cell, name)
                assign(parameter, values(parameter.shape).astype(np.float32))
    return net.set_train(False)


def images(channels, size=32, n=3):
    values = np.random.default_rng(5).standard_normal((n, channels, size, size))
    return Tensor(values, ms.float32)


def norms(net):
    return [name for name, cell in net.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]


def check(net, x, left=()):
    """Fold, and compare on images that folding has not seen; ``left``: norms that must stay."""
    before = norms(net)
    expected = net(x).asnumpy()
    folded = fold_batch_norms(net, x.shape[1:])
    assert sorted(norms(net)) == sorted(left)
    assert sorted(folded) == sorted(set(before) - set(left))
    found = net(x).asnumpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2_035", "shufflenet_v2_x0_5"])
def test_the_whole_network_is_folded(backbone):
    check(with_statistics(create_model(backbone, 2, 1, seed=3)), images(1))


class PreActivation(nn.Cell):
    """The stem's output goes into a norm and, past it, into the sum."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, has_bias=True)
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
    check(with_statistics(PreActivation()), images(3), left=["first", "last"])


def test_cells_that_run_twice_are_left_alone():
    left = ["norms.0", "norms.1", "norm", "batch.1"]
    check(with_statistics(Twice()), images(3), left=left)
