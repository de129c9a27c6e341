"""Our batch norm against the definition, torch and MindSpore's own."""

import dataclasses

import mindspore as ms
import numba
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models import factory
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.kernels import batch_norm
from mindspore_dpus.models.kernels.batch_norm import use_fast_batch_norm
from mindspore_dpus.models.kernels.loops import normalise, normalise_gradients

SHAPES = [(2, 3, 4, 5), (1, 2, 7, 7), (5, 1, 1, 1), (3, 4, 1, 2)]


@pytest.fixture(scope="module", autouse=True)
def device():
    return configure(DeviceSettings(target="CPU"))


def arrays(shape):
    """Activations far from standard, a scale, a shift, and a gradient of the result."""
    rng = np.random.default_rng(0)
    x = rng.normal(7, 3, shape)
    gamma, beta = rng.uniform(0.5, 2, shape[1]), rng.normal(size=shape[1])
    return [a.astype(np.float32) for a in (x, gamma, beta, rng.normal(size=shape))]


def cell(gamma, beta, fast):
    norm = nn.BatchNorm2d(len(gamma))
    assert not fast or use_fast_batch_norm(norm) == 1
    norm.set_train()
    ops.assign(norm.gamma, Tensor(gamma))
    ops.assign(norm.beta, Tensor(beta))
    return norm


def everything(norm, x, gradient):
    """Result, gradients and moving statistics after one training step forward and back."""

    def weighted(x):
        out = norm(x)
        return (out * Tensor(gradient)).sum(), out

    step = ms.value_and_grad(weighted, 0, [norm.gamma, norm.beta], has_aux=True)
    (_, out), (grad_x, (grad_gamma, grad_beta)) = step(Tensor(x))
    values = (out, grad_x, grad_gamma, grad_beta, norm.moving_mean, norm.moving_variance)
    return [value.asnumpy() for value in values]


def assert_close(found, expected, tolerance=2e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loops_are_the_definition(shape):
    x, gamma, beta, gradient = arrays(shape)
    out, mean, inverse, variance = normalise(x, gamma, beta, 1e-5)
    axes, exact = (0, 2, 3), x.astype(np.float64)
    centre, spread = exact.mean(axes, keepdims=True), exact.var(axes, keepdims=True)
    unit = (exact - centre) / np.sqrt(spread + 1e-5)
    column = (1, -1, 1, 1)
    assert_close([out], [unit * gamma.reshape(column) + beta.reshape(column)], 1e-4)
    assert_close([mean, inverse], [centre.ravel(), 1 / np.sqrt(spread + 1e-5).ravel()], 1e-4)
    count = x.size // shape[1]
    np.testing.assert_allclose(variance, spread.ravel() * count / max(count - 1, 1), rtol=1e-5)
    _, grad_gamma, grad_beta = normalise_gradients(x, gamma, mean, inverse, gradient)
    assert_close([grad_gamma, grad_beta], [(gradient * unit).sum(axes), gradient.sum(axes)], 1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_torch(shape):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    x, gamma, beta, gradient = arrays(shape)
    if x.size == shape[1]:
        pytest.skip("torch refuses one value a channel")
    inputs = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    moving = torch.zeros(shape[1]), torch.ones(shape[1])
    out = torch.nn.functional.batch_norm(inputs[0], *moving, *inputs[1:], True, 0.1, 1e-5)
    out.backward(torch.tensor(gradient))
    expected = [out.detach(), *(tensor.grad for tensor in inputs), *moving]
    assert_close(everything(cell(gamma, beta, True), x, gradient), expected, 1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cell_does_the_same_as_mindspores(shape):
    x, gamma, beta, gradient = arrays(shape)
    found, expected = (everything(cell(gamma, beta, fast), x, gradient) for fast in (True, False))
    assert_close(found, expected, 1e-4)


def test_moving_statistics_move_from_where_they_are():
    x, gamma, beta, _ = arrays((4, 3, 5, 5))
    fast, plain = cell(gamma, beta, True), cell(gamma, beta, False)
    for scale in (1, 2, 3):
        for norm in (fast, plain):
            norm(Tensor(x * scale))
    assert_close([fast.moving_mean.asnumpy()], [plain.moving_mean.asnumpy()])
    assert_close([fast.moving_variance.asnumpy()], [plain.moving_variance.asnumpy()])
    state = {name: value.asnumpy().copy() for name, value in fast.parameters_dict().items()}
    for norm in (fast, plain):
        norm.set_train(False)
    assert_close([fast(Tensor(x)).asnumpy()], [plain(Tensor(x)).asnumpy()])
    assert all(np.array_equal(state[n], v.asnumpy()) for n, v in fast.parameters_dict().items())


def test_the_number_of_threads_changes_no_bit():
    x, gamma, beta, gradient = arrays((4, 6, 9, 9))
    threads, found = numba.get_num_threads(), []
    try:
        for number in (1, min(2, threads)):
            numba.set_num_threads(number)
            out, mean, inverse, variance = normalise(x, gamma, beta, 1e-5)
            gradients = normalise_gradients(x, gamma, mean, inverse, gradient)
            found.append([out, mean, inverse, variance, *gradients])
    finally:
        numba.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_value_that_is_no_number_is_seen(bad):
    x, gamma, beta, _ = arrays((2, 3, 4, 4))
    x[1, 1, 2, 2] = bad
    out = cell(gamma, beta, True)(Tensor(x)).asnumpy()
    assert np.isnan(out[:, 1]).all()
    assert np.isfinite(out[:, [0, 2]]).all()


@pytest.mark.parametrize(
    ("backbone", "norms"),
    # The two inner ones of our MobileNetV2's 16 blocks that expand are part of kernels.hidden_layers.
    [("mobilenet_v2", 20), ("resnet18", 20), ("lenet5", 0), ("mobilenet_v2_100", 52)],
)
def test_networks_train_through_it_where_the_device_says_so(backbone, norms, monkeypatch):
    calls = []

    def counted(*args):
        calls.append(args[0].shape)
        return normalise(*args)

    monkeypatch.setattr(batch_norm, "normalise", counted)
    images = Tensor(np.zeros((2, 1, 32, 32), np.float32))
    for kernels in ("loops", "none"):
        device = configure(DeviceSettings(target="CPU", fast_kernels=kernels))
        net = create_model(backbone, 2, 1, device=device)
        net.set_train(False)
        net(images)
        assert not calls
        net.set_train(True)
        net(images)
        assert len(calls) == (norms if kernels == "loops" else 0)
        calls.clear()


def test_norms_over_several_devices_are_put_in_after_ours(device, monkeypatch):
    found = []

    def look(net, n_devices):
        norms = [cell for _, cell in net.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
        found.append((n_devices, {type(norm.bn_train) for norm in norms}))

    monkeypatch.setattr(factory, "use_sync_norms", look)
    create_model("mobilenet_v2_035", 2, 1, device=dataclasses.replace(device, n_devices=2))
    create_model("mobilenet_v2_035", 2, 1, device=device)
    assert found == [(2, {batch_norm.BatchNormTraining})]


@pytest.mark.parametrize("backbone", ["mobilenet_v2_035", "resnet18"])
def test_a_whole_network_learns_the_same(device, backbone):
    images = Tensor(np.random.default_rng(0).normal(size=(8, 1, 64, 64)).astype(np.float32))
    labels = Tensor([0, 1, 2, 1, 0, 0, 2, 1], ms.int32)
    found = []
    for net_device in (device, None):
        net = create_model(backbone, 3, 1, seed=1, device=net_device)
        net.set_train()
        step = ms.value_and_grad(
            lambda x, net=net: ops.cross_entropy(net(x), labels), None, net.trainable_params()
        )
        loss, gradients = step(images)
        found.append((float(loss), np.concatenate([g.asnumpy().ravel() for g in gradients])))
    (loss, ours), (expected_loss, theirs) = found
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    # Where rounding moves an activation over a ReLU's edge, single gradients differ by a percent.
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.999
    assert np.linalg.norm(ours) == pytest.approx(np.linalg.norm(theirs), rel=0.01)


@pytest.mark.parametrize(
    "norm",
    [
        lambda: nn.BatchNorm2d(3, use_batch_statistics=False),
        lambda: nn.BatchNorm2d(3, use_batch_statistics=True),
        lambda: nn.BatchNorm1d(3),
        lambda: nn.BatchNorm2d(3, dtype=ms.float16),
    ],
)
def test_other_norms_stay(norm):
    norm = norm()
    before = norm.bn_train
    assert use_fast_batch_norm(nn.SequentialCell(norm)) == 0
    assert norm.bn_train is before
