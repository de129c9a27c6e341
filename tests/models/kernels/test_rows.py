"""Our layer norm and softmax against their definitions in float64 and against MindSpore's own."""

import mindspore as ms
import numba
import numpy as np
import pytest
from mindspore import Tensor, nn
from scipy.special import softmax

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.conformer import Conformer
from mindspore_dpus.models.kernels import rows
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.kernels.row_loops import (
    normalise_rows,
    normalise_rows_gradients,
    softmax_rows,
    softmax_rows_gradient,
)
from mindspore_dpus.models.transformer import Transformer

SHAPES = [(1, 7), (130, 64), (257, 33), (64, 1)]


@pytest.fixture(scope="module", autouse=True)
def device():
    return configure(DeviceSettings(target="CPU"))


def arrays(shape, spread=3.0):
    rng = np.random.default_rng(0)
    x, gradient = rng.normal(2, spread, shape), rng.normal(size=shape)
    gamma, beta = rng.uniform(0.5, 2, shape[1]), rng.normal(size=shape[1])
    return [a.astype(np.float32) for a in (x, gamma, beta, gradient)]


def exact_norm(x, gamma, beta, gradient):
    """Result and gradients of a layer norm in float64, by the chain rule through mean and variance."""
    x, gamma, beta, g = (a.astype(np.float64) for a in (x, gamma, beta, gradient))
    inverse = 1 / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    unit = (x - x.mean(axis=1, keepdims=True)) * inverse
    of_unit = g * gamma
    grad = of_unit - of_unit.mean(axis=1, keepdims=True)
    grad = inverse * (grad - unit * (of_unit * unit).mean(axis=1, keepdims=True))
    return unit * gamma + beta, grad, (g * unit).sum(axis=0), g.sum(axis=0)


def assert_near(found, expected, units=8):
    """Within so many units of float32's last place of the largest number."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        limit = units * np.finfo(np.float32).eps * max(1.0, np.abs(other).max())
        assert np.abs(one - other).max() <= limit


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_layer_norm_is_the_definition(shape):
    x, gamma, beta, gradient = arrays(shape)
    out, mean, inverse = normalise_rows(x, gamma, beta, 1e-5)
    gradients = normalise_rows_gradients(x, gamma, mean, inverse, gradient)
    assert_near([out, *gradients], exact_norm(x, gamma, beta, gradient), 16)


def test_a_row_of_one_number_is_its_shift():
    x, gamma, beta, gradient = arrays((64, 1))
    out, mean, inverse = normalise_rows(x, gamma, beta, 1e-5)
    assert np.array_equal(out, np.broadcast_to(beta, (64, 1)))
    grad_x, _, grad_beta = normalise_rows_gradients(x, gamma, mean, inverse, gradient)
    assert np.abs(grad_x).max() < 1e-3
    assert grad_beta == pytest.approx(gradient.sum(), abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [1.0, 40.0])
def test_softmax_is_the_definition(shape, spread):
    x, _, _, gradient = arrays(shape, spread)
    exact = softmax(x.astype(np.float64), axis=1)
    found = softmax_rows(x)
    assert_near([found], [exact])
    # Also small shares, as far as they are above the smallest that the loop makes. (The difference to the
    # largest, up to 80, is rounded by up to 4e-6 itself.)
    seen = exact > 1e-30
    np.testing.assert_allclose(found[seen], exact[seen], rtol=2e-6 if spread == 1 else 8e-6)
    total = (exact * gradient).sum(axis=1, keepdims=True)
    assert_near([softmax_rows_gradient(found, gradient)], [exact * (gradient - total)])


def everything():
    x, gamma, beta, gradient = arrays((257, 33))
    out, mean, inverse = normalise_rows(x, gamma, beta, 1e-5)
    parts = [out, mean, inverse, *normalise_rows_gradients(x, gamma, mean, inverse, gradient)]
    shares = softmax_rows(x)
    return [*parts, shares, softmax_rows_gradient(shares, gradient)]


def test_neither_threads_nor_repeating_change_a_bit():
    threads, found = numba.get_num_threads(), []
    try:
        for number in (1, min(2, threads), threads):
            numba.set_num_threads(number)
            found.append(everything())
    finally:
        numba.set_num_threads(threads)
    for first, *others in zip(*found, strict=True):
        assert all(first.tobytes() == other.tobytes() for other in others)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_seen(bad):
    x, gamma, beta, _ = arrays((4, 9))
    x[1, 3] = bad
    for out in (normalise_rows(x, gamma, beta, 1e-5)[0], softmax_rows(x)):
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2, 3]]).all()
    x[1, 3] = 1e30
    assert np.isnan(normalise_rows(x, gamma, beta, 1e-5)[0][1]).all()


class One(nn.Cell):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def construct(self, x):
        return self.cell(x)


@pytest.mark.parametrize(
    "create", [lambda: nn.LayerNorm((8,), epsilon=1e-5), nn.Softmax], ids=["norm", "softmax"]
)
def test_a_cell_does_the_same_as_mindspores(create):
    rng = np.random.default_rng(0)
    x, weight = (Tensor(rng.normal(size=(2, 3, 5, 8)).astype(np.float32)) for _ in range(2))
    found = []
    for fast in (True, False):
        net = One(create())
        assert not fast or rows.use_fast_rows(net) == 1
        step = ms.value_and_grad(lambda x, net=net: (net(x) * weight).sum(), 0, net.trainable_params())
        value, grads = step(x)
        grads = [grads] if isinstance(grads, Tensor) else [grads[0], *grads[1]]
        found.append([net(x).asnumpy(), value.asnumpy(), *(g.asnumpy() for g in grads)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        lambda: Transformer(4, mel_bands=6, frames=5, width=8, n_blocks=2, n_heads=2, hidden=8),
        lambda: Conformer(4, mel_bands=6, frames=5, width=8, n_blocks=1, n_heads=2, hidden=8),
    ],
    ids=["transformer", "conformer"],
)
def test_networks_learn_the_same(kind):
    x = Tensor(np.random.default_rng(0).normal(size=(3, 1, 6, 5)).astype(np.float32))
    found = []
    for fast in (True, False):
        ms.set_seed(1)
        net = kind()
        net.init_parameters_data()
        before = sum(type(c) in (nn.LayerNorm, nn.Softmax) for _, c in net.cells_and_names())
        assert not fast or rows.use_fast_rows(net) == before > 2
        net.set_train(False)
        step = ms.value_and_grad(lambda x, net=net: (net(x) ** 2).sum(), None, net.trainable_params())
        value, gradients = step(x)
        found.append((float(value), np.concatenate([g.asnumpy().ravel() for g in gradients])))
    (value, ours), (expected, theirs) = found
    assert value == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_they_are_put_in_with_the_other_loops():
    net = One(nn.LayerNorm((8,)))
    assert use_fast_kernels(net, "loops") == 1
    assert type(net.cell.layer_norm) is rows.RowNorm


@pytest.mark.parametrize(
    "cell",
    [
        lambda: nn.LayerNorm((3, 8), begin_norm_axis=1, begin_params_axis=1),
        lambda: nn.LayerNorm((8,), dtype=ms.float16),
        lambda: nn.Softmax(axis=1),
        nn.Sigmoid,
    ],
)
def test_others_stay(cell):
    assert rows.use_fast_rows(One(cell())) == 0
