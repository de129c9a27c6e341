"""MobileNetV2's blocks as single operations, against the same blocks layer by layer and torch's."""

import mindspore as ms
import numba
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models import sync_norm
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.models.kernels import hidden_layers
from mindspore_dpus.models.kernels.hidden_layers import use_hidden_layers
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.kernels.loops import BLOCK, filter_channels, filter_channels_gradients
from mindspore_dpus.models.mobilenet_v2 import InvertedResidual
from mindspore_dpus.models.sync_norm import use_sync_norms
from mindspore_dpus.models.weights import get_state, set_state
from mindspore_dpus.training.frozen import Tail
from tests.models.frozen import frozen

# in_channels, out_channels, stride, expand_ratio, (N, H, W)
BLOCKS = [
    (4, 4, 1, 6, (3, 8, 8)),  # with a shortcut
    (3, 5, 1, 6, (2, 5, 7)),
    (3, 4, 2, 6, (2, 6, 6)),
    (3, 4, 2, 3, (2, 7, 5)),
    (2, 2, 2, 2, (4, 1, 1)),
    (2, 2, 1, 2, (1, 70, 65)),  # more numbers a channel than are added up at once
]
every_block = pytest.mark.parametrize("shape", BLOCKS, ids=str)


@pytest.fixture(scope="module", autouse=True)
def device():
    return configure(DeviceSettings(target="CPU", fast_kernels="loops"))


@pytest.fixture
def calls(monkeypatch):
    """The shapes of what goes through the forward loops."""
    shapes = []

    def counted(expanded, *others):
        shapes.append(expanded.shape)
        return filter_channels(expanded, *others)

    monkeypatch.setattr(hidden_layers, "filter_channels", counted)
    return shapes


def block_and_input(shape, fast):
    """A block with parameters that are not what they are at the start, and an input."""
    in_channels, out_channels, stride, ratio, (n, height, width) = shape
    block = InvertedResidual(in_channels, out_channels, stride, ratio)
    rng = np.random.default_rng(0)
    for parameter in block.get_parameters():
        low = 0.5 if "gamma" in parameter.name or "variance" in parameter.name else -1
        values = rng.uniform(low, 1.5, parameter.shape).astype(np.float32)
        parameter.set_data(Tensor(values))
    if fast:
        assert use_fast_kernels(block, "loops") == 5
    block.set_train()
    return block, rng.normal(2, 3, (n, in_channels, height, width)).astype(np.float32)


def everything(block, x):
    """Output, its gradients, and the moving statistics, after one step forward and back."""

    def weighted(x):
        out = block(x)
        rng = np.random.default_rng(1)
        return (out * Tensor(rng.normal(size=out.shape).astype(np.float32))).sum(), out

    (_, out), (grad_x, grads) = ms.value_and_grad(weighted, 0, block.trainable_params(), has_aux=True)(
        Tensor(x)
    )
    found = {"out": out, "x": grad_x} | {
        p.name: g for p, g in zip(block.trainable_params(), grads, strict=True)
    }
    moving = {p.name: p for p in block.get_parameters() if "moving" in p.name}
    return {name: value.asnumpy().copy() for name, value in (found | moving).items()}


def assert_close(found, expected, tolerance=1e-4):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(np.abs(value).max(), 0.1)  # some are zero but for rounding
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


@every_block
def test_a_block_computes_and_learns_as_layer_by_layer(shape, calls):
    assert max(height * width for *_, (_, height, width) in BLOCKS) > BLOCK
    expected = everything(*block_and_input(shape, fast=False))
    assert not calls
    found = everything(*block_and_input(shape, fast=True))
    assert calls == [(shape[0] * shape[3], *shape[4])]
    assert len(expected) == 2 + 9 + 6
    assert_close(found, expected)


@every_block
def test_a_block_is_torchs(shape):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    functional = torch.nn.functional
    block, x = block_and_input(shape, fast=True)
    values = {name: torch.tensor(value, dtype=torch.double) for name, value in get_state(block).items()}
    found = everything(block, x)
    trained = [p.name for p in block.trainable_params()]
    image = torch.tensor(x, dtype=torch.double, requires_grad=True)
    for name in trained:
        values[name].requires_grad_()
    out = image
    for place, (padding, stride, group) in {0: (0, 1, 1), 3: (1, shape[2], None), 6: (0, 1, 1)}.items():
        weight = values[f"layers.{place}.weight"]
        out = functional.conv2d(out, weight, None, stride, padding, groups=group or len(weight))
        norm = [
            values[f"layers.{place + 1}.{n}"]
            for n in ("moving_mean", "moving_variance", "gamma", "beta")
        ]
        out = functional.batch_norm(out, *norm, training=True, momentum=0.1)
        out = functional.relu6(out) if place < 6 else out
    out = image + out if block.use_shortcut else out
    out.backward(
        torch.tensor(np.random.default_rng(1).normal(size=out.shape).astype(np.float32)).double()
    )
    expected = {"out": out.detach(), "x": image.grad} | {
        name: value.grad if name in trained else value.detach() for name, value in values.items()
    }
    assert_close(found, {name: expected[name].numpy() for name in found})


def test_results_do_not_depend_on_the_number_of_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")
    rng = np.random.default_rng(0)
    shapes = [(5, 8, 33, 30), (5,), (5,), (5, 1, 3, 3), (5,), (5,), (5, 8, 17, 15)]
    x, gamma1, beta1, weight, gamma2, beta2, gradient = (
        rng.normal(size=shape).astype(np.float32) for shape in shapes
    )
    threads, found = numba.get_num_threads(), []
    try:
        for number in (1, 2, 2):
            numba.set_num_threads(number)
            out, filtered, statistics = filter_channels(
                x, gamma1, beta1, 1e-5, weight, 2, gamma2, beta2, 1e-5
            )
            gradients = filter_channels_gradients(
                x, gamma1, beta1, weight, 2, gamma2, beta2, filtered, statistics, gradient
            )
            found.append([out, filtered, statistics, *gradients])
    finally:
        numba.set_num_threads(threads)
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_visible(value):
    block, x = block_and_input(BLOCKS[1], fast=True)
    x[0, 1, 2, 3] = value
    found = everything(block, x)
    for name in ("out", "x", "layers.0.weight", "layers.3.weight", "layers.6.weight"):
        assert not np.isfinite(found[name]).all(), name


def test_a_block_can_be_used_twice_before_it_learns(calls):
    def twice(fast):
        block, x = block_and_input(BLOCKS[0], fast)
        return everything(block, x), everything(nn.SequentialCell(block, block), x)

    expected, found = twice(False), twice(True)
    assert len(calls) == 3
    for one, other in zip(found, expected, strict=True):
        assert_close(list_by_place(one), list_by_place(other))


def list_by_place(values):
    return dict(enumerate(values.values()))


def test_only_where_all_of_it_is_trained(calls, device, monkeypatch):
    net = create_model("mobilenet_v2_035", 2, 1, device=device)
    images = Tensor(np.ones((2, 1, 32, 32), np.float32))
    names = [name for name, _ in net.parameters_and_names()]
    assert names == [name for name, _ in create_model("mobilenet_v2_035", 2, 1).parameters_and_names()]
    set_train(net, False)
    net(images)
    assert not calls
    set_train(net, True)
    net(images)
    assert len(calls) == 16
    calls.clear()
    for parameter in net.get_parameters():
        if parameter.name.endswith("features.4.layers.4.gamma"):
            parameter.requires_grad = False
    set_train(net, True)
    net(images)
    assert len(calls) == 15
    calls.clear()
    # Statistics over several devices are not in these loops; nor is there a second device here.
    monkeypatch.setattr(sync_norm.ops, "AllReduce", lambda op: lambda x: x)
    use_sync_norms(net, 1)
    set_train(net, True)
    net(images)
    assert not calls


def test_plain_networks_and_mindcvs_stay():
    plain = create_model("mobilenet_v2_035", 2, 1)
    assert use_hidden_layers(plain) == 0
    theirs = create_model("mobilenet_v2_035_224", 2, 1)
    assert use_hidden_layers(theirs) == 0


@pytest.mark.parametrize("patterns", [[], ["*.layers.3.weight"], ["*.layers.0.weight", "features.0.*"]])
def test_a_whole_network_learns_the_same(device, patterns):
    images = Tensor(np.random.default_rng(0).normal(size=(8, 1, 64, 64)).astype(np.float32))
    labels = Tensor([0, 1, 2, 1, 0, 0, 2, 1], ms.int32)
    found = []
    for net_device in (device, None):
        net = frozen(create_model("mobilenet_v2_035", 3, 1, seed=1, device=net_device), patterns)
        set_train(net, True)
        step = ms.value_and_grad(
            lambda x, net=net: ops.cross_entropy(net(x), labels), None, net.trainable_params()
        )
        loss, gradients = step(images)
        found.append(
            (float(loss), np.concatenate([g.asnumpy().ravel() for g in gradients]), get_state(net))
        )
    (loss, ours, state), (expected_loss, theirs, expected) = found
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    # Where rounding moves an activation over a ReLU's edge, single gradients differ by a percent.
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.999
    assert np.linalg.norm(ours) == pytest.approx(np.linalg.norm(theirs), rel=0.01)
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, atol=1e-4, err_msg=name)


def test_what_follows_a_frozen_start(device, calls):
    """The first block's input is no image and has no gradient."""
    found = []
    for net_device in (device, None):
        net = create_model("mobilenet_v2_035", 2, 1, seed=2, device=net_device)
        tail = Tail(net.sequence()[10:])
        set_train(tail, True)
        x = Tensor(np.random.default_rng(0).normal(size=(4, 24, 6, 6)).astype(np.float32))
        step = ms.value_and_grad(
            lambda x, tail=tail: ops.square(tail(x)).sum(), None, tail.trainable_params()
        )
        loss, gradients = step(x)
        found.append((float(loss), np.concatenate([g.asnumpy().ravel() for g in gradients])))
    assert len(calls) == 10
    (loss, ours), (expected_loss, theirs) = found
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


def test_the_state_of_a_block_is_its_layers(device):
    """Weights that are set afterwards are the ones that it learns with."""
    net, other = (create_model("mobilenet_v2_035", 2, 1, seed=s, device=device) for s in (1, 2))
    images = Tensor(np.random.default_rng(0).normal(size=(4, 1, 32, 32)).astype(np.float32))
    set_state(net, get_state(other))
    for network in (net, other):
        set_train(network, True)
    np.testing.assert_array_equal(net(images).asnumpy(), other(images).asnumpy())
