"""Networks that run as a whole, against the same Cell by Cell, and against torch in float64."""

import copy
import functools
import os
import subprocess
import sys
import threading
from functools import partial

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.utils import no_init_parameters

from mindspore_dpus.core.device import configure, give_back_memory
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.features.extract import extract
from mindspore_dpus.losses import create_loss
from mindspore_dpus.models import mobilenet_v2
from mindspore_dpus.models.dropout import seed_dropout, use_seeded_dropout
from mindspore_dpus.models.efficientnet import EfficientNet, SqueezeExcite, Stage
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.models.kernels import (
    blocked,
    blocked_depthwise,
    crew,
    gate_loops,
    in_one,
    log,
    machine_code,
)
from mindspore_dpus.models.kernels.chain import UnknownNetError, links
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.kernels.onednn.library import one_dnn
from mindspore_dpus.models.resnet import Bottleneck, ResNet
from mindspore_dpus.models.sound_heads import OutlierExposureNet
from mindspore_dpus.models.sync_norm import use_sync_norms
from mindspore_dpus.models.weights import get_state, set_state
from mindspore_dpus.training.inference import predict
from mindspore_dpus.training.step import create_step
from tests.models.frozen import frozen
from tests.suite_checks import current_memory_mb

# Every row of the paper's table, but few repeats: building a network is a large part of a test.
FEWER = (
    *((1, 16, 1, 1), (6, 24, 1, 2), (6, 32, 2, 2), (6, 64, 1, 2)),
    *((6, 96, 2, 1), (6, 160, 1, 2), (6, 320, 1, 1)),
)


def short_mobilenet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mobilenet_v2, "INVERTED_RESIDUALS", FEWER)
        return mobilenet_v2.MobileNetV2(3, 1, width=0.35)


BUILD = {
    "basic": partial(ResNet, (1, 2, 1, 1), 3, 1),
    "bottleneck": partial(ResNet, (2, 1, 1, 1), 3, 3, Bottleneck, Bottleneck.expansion),
    # Channels that fill no block: 24, 144, ...
    "mobilenet": short_mobilenet,
    # Without anything drawn.
    "efficientnet": partial(
        EfficientNet,
        *(3, 1, 0.0, 0.0, 24),
        (Stage(1, 3, 1, 16, 1), Stage(6, 5, 2, 24, 2), Stage(4, 3, 2, 40, 2), Stage(3, 5, 1, 56, 1)),
    ),
}
CHANNELS = {"basic": 1, "bottleneck": 3, "mobilenet": 1, "efficientnet": 1}
every_net = pytest.mark.parametrize("name", BUILD)


@pytest.fixture(scope="module", autouse=True)
def device():
    found = configure(DeviceSettings(target="CPU", fast_kernels="onednn"))
    if one_dnn() is None:
        pytest.skip("no oneDNN that can be used here")
    yield found
    weights.cache_clear()


@pytest.fixture(autouse=True)
def memory_goes_back():
    """Each test has networks of its own, of up to a gigabyte."""
    yield
    if current_memory_mb() > 1500:
        give_back_memory()


@pytest.fixture
def counted(monkeypatch):
    """Names of what went through as a whole."""
    calls = []

    def count(owner, method):
        original = getattr(owner, method)

        def call(self, *arguments):
            calls.append(method)
            return original(self, *arguments)

        monkeypatch.setattr(owner, method, call)

    count(in_one.Pass, "forward")
    count(in_one.Pass, "backward")
    count(in_one.FoldedPlan, "__call__")
    return calls


@functools.cache
def weights(name):
    """Parameters that are not what they are at the start."""
    ms.set_seed(1)
    net = BUILD[name]()
    net.init_parameters_data()
    rng = np.random.default_rng(0)
    state = get_state(net)
    for key, value in state.items():
        if key.endswith(("gamma", "moving_variance")):
            state[key] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        elif key.endswith(("beta", "moving_mean")):
            state[key] = rng.normal(0, 0.2, value.shape).astype(np.float32)
    return state


def network(name, fast=True):
    """A new network, with the same parameters for equal names."""
    with no_init_parameters():  # Random numbers are most of the time.
        net = BUILD[name]()
    for parameter in net.get_parameters():
        parameter.set_data(Tensor(weights(name)[parameter.name]))
    if fast:
        assert use_fast_kernels(net, "onednn") > 1
        assert net.in_one is not None
    return net


def images(name, n=4, height=43, width=38, seed=0):
    shape = n, CHANNELS[name], height, width
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def learn(net, x):
    """Logits, gradients and moving statistics of a step, by name."""
    labels = Tensor(np.arange(len(x)) % 3, ms.int32)

    def loss(batch):
        logits = net(ops.stop_gradient(batch))
        return ops.cross_entropy(logits, labels), logits

    set_train(net, True)
    trained = net.trainable_params()
    (_, logits), gradients = ms.value_and_grad(loss, None, trained, has_aux=True)(Tensor(x))
    found = {p.name: g.asnumpy().copy() for p, g in zip(trained, gradients, strict=True)}
    moving = {p.name: p.asnumpy().copy() for p in net.get_parameters() if "moving" in p.name}
    return {"logits": logits.asnumpy().copy()} | found | moving


def distances(found, expected):
    """Of every array, as a share of its norm; some gradients are zero but for rounding."""
    assert found.keys() == expected.keys()
    largest = max(np.linalg.norm(value) for value in expected.values())
    return {
        name: np.linalg.norm(found[name] - value) / max(np.linalg.norm(value), 1e-4 * largest)
        for name, value in expected.items()
    }


def learnt_by_torch(name, x, precision):
    """What ``learn`` finds, by torch, from what the network is made of."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    dtype = getattr(torch, precision)
    functional = torch.nn.functional
    net = network(name, fast=False)
    values = {k: torch.tensor(v, dtype=dtype) for k, v in get_state(net).items()}
    trained = [p.name for p in net.trainable_params()]
    for key in trained:
        values[key].requires_grad_()

    def norm(out, cell):
        prefix = cell.gamma.name.removesuffix("gamma")
        told = [values[prefix + n] for n in ("moving_mean", "moving_variance", "gamma", "beta")]
        return functional.batch_norm(out, *told, training=True, momentum=0.1, eps=cell.eps)

    def conv(out, cell):
        padding = cell.padding if isinstance(cell.padding, int) else cell.padding[0]
        if cell.pad_mode == "same":
            missing = []
            for size in reversed(out.shape[2:]):
                places = -(-size // cell.stride[0])
                whole = max((places - 1) * cell.stride[0] + cell.kernel_size[0] - size, 0)
                missing += [whole // 2, whole - whole // 2]
            out, padding = functional.pad(out, missing), 0
        weight, bias = values[cell.weight.name], values[cell.bias.name] if cell.has_bias else None
        return functional.conv2d(out, weight, bias, cell.stride, padding, groups=cell.group)

    def chain(out, cells):
        for cell in cells:
            if isinstance(cell, nn.SequentialCell):
                out = chain(out, cell)
            elif isinstance(cell, nn.Conv2d):
                out = conv(out, cell)
            elif isinstance(cell, nn.BatchNorm2d):
                out = norm(out, cell)
            elif isinstance(cell, nn.SiLU):
                out = functional.silu(out)
            elif isinstance(cell, SqueezeExcite):
                told = functional.silu(conv(out.mean((2, 3), keepdim=True), cell.conv_reduce))
                out = out * torch.sigmoid(conv(told, cell.conv_expand))
            else:
                after = chain(out, cell.block)
                out = out + after if cell.use_shortcut else after
        return out

    out = torch.tensor(x, dtype=dtype)
    if name == "mobilenet":
        out = functional.relu6(norm(conv(out, net.features[0]), net.features[1]))
        for block in list(net.features)[3:-3]:
            before, cells = out, list(block.layers)
            for i in range(0, len(cells), 3):
                out = norm(conv(out, cells[i]), cells[i + 1])
                out = functional.relu6(out) if i + 2 < len(cells) else out
            out = before + out if block.use_shortcut else out
        out = functional.relu6(norm(conv(out, net.features[-3]), net.features[-2]))
        head = net.classifier[1]
    elif name == "efficientnet":
        out, head = chain(out, net.features), net.mlp_head
    else:
        out = functional.max_pool2d(functional.relu(norm(conv(out, net.conv1), net.bn1)), 3, 2, 1)
        for block in (*net.layer1, *net.layer2, *net.layer3, *net.layer4):
            before = out
            if block.down_sample is not None:
                before = norm(conv(out, block.down_sample[0]), block.down_sample[1])
            out = functional.relu(norm(conv(out, block.conv1), block.bn1))
            out = norm(conv(out, block.conv2), block.bn2)
            if isinstance(block, Bottleneck):
                out = norm(conv(functional.relu(out), block.conv3), block.bn3)
            out = functional.relu(out + before)
        head = net.classifier
    logits = functional.linear(out.mean((2, 3)), values[head.weight.name], values[head.bias.name])
    functional.cross_entropy(logits, torch.arange(len(x)) % 3).backward()
    found = {k: values[k].grad for k in trained}
    found |= {k: v for k, v in values.items() if "moving" in k}
    return {"logits": logits.detach().numpy()} | {k: v.numpy() for k, v in found.items()}


@pytest.mark.parametrize(
    ("name", "n"),
    [("basic", 1), ("basic", 5), ("bottleneck", 5), ("mobilenet", 5), ("efficientnet", 5)],
)
def test_a_network_learns_as_in_float64(name, n, counted):
    shares = []
    for seed in range(2):
        x = images(name, n, 137, 128, seed)
        exact = learnt_by_torch(name, x, "float64")
        found = distances(learn(network(name), x), exact)
        torchs = distances(learnt_by_torch(name, x, "float32"), exact)
        assert len(found) > 60
        # A last digit moves single values over the edges of ReLUs, in MindSpore and torch as in ours.
        # What is computed wrongly is off by its own size.
        assert max(found.values()) < 0.15
        moved = [value for key, value in found.items() if "moving" in key or key == "logits"]
        assert max(moved) < 1e-4
        shares.append(np.median(list(found.values())) / np.median(list(torchs.values())))
    assert counted == ["forward", "backward"] * 2
    # No farther than torch's own float32; with Winograd's algorithm it would be 1.5 to 1.8 for ResNets.
    assert min(shares) < 1.25, shares


@every_net
def test_a_network_computes_as_cell_by_cell(name, counted):
    nets = network(name), network(name, fast=False)
    for shape in ((1, 33, 64), (4, 75, 70), (19, 32, 25)):
        x = images(name, *shape)
        found, expected = (set_eval(net)(Tensor(x)).asnumpy() for net in nets)
        assert counted == ["__call__"], shape
        counted.clear()
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max(), shape


def set_eval(net):
    set_train(net, False)
    return net


@every_net
def test_a_step_goes_through_as_a_whole(name, device, counted):
    net, x = network(name), images(name)
    labels = np.arange(len(x)) % 3
    optimizer = nn.SGD(net.trainable_params(), 0.1)
    loss = create_loss("cross_entropy", np.bincount(labels))
    step = create_step(net, loss, optimizer, device)
    set_train(net, True)
    before = get_state(net)
    _, logits, norm = step(Tensor(x), Tensor(labels, ms.int32))
    assert counted == ["forward", "backward"]
    expected = learn(network(name), x)
    assert logits.asnumpy().tobytes() == expected["logits"].tobytes()
    gradients = {p.name: expected[p.name] for p in net.trainable_params()}
    after = get_state(net)
    for key, gradient in gradients.items():
        wanted = before[key] - 0.1 * gradient
        # ``ops.cross_entropy`` and our loss differ in the last digits.
        largest = max(np.abs(before[key]).max(), np.abs(wanted).max())
        np.testing.assert_allclose(after[key], wanted, rtol=0, atol=1e-5 * largest)
    squares = sum((g.astype(np.float64) ** 2).sum() for g in gradients.values())
    assert float(norm) == pytest.approx(np.sqrt(squares), rel=1e-4)


@every_net
def test_equal_runs_have_equal_bits(name, counted):
    x = images(name)
    first, second = learn(network(name), x), learn(network(name), x)
    assert counted == ["forward", "backward"] * 2
    for key, value in first.items():
        assert value.tobytes() == second[key].tobytes(), key


def test_bits_do_not_depend_on_how_many_threads_there_are(monkeypatch):
    x, found = images("basic", 5), []
    for cores in ([0], [0, 1], [0, 1, 2]):
        monkeypatch.setattr(crew, "available_cpus", lambda cores=cores: cores)
        net = network("basic")
        found.append(learn(net, x) | {"out": set_eval(net)(Tensor(x)).asnumpy()})
    for other in found[1:]:
        for key, value in found[0].items():
            assert value.tobytes() == other[key].tobytes(), key


@every_net
def test_the_batch_may_be_cut_otherwise(name, monkeypatch):
    x, found = images(name, 7), []
    for parts in (1, 3, 16):
        monkeypatch.setattr(crew, "n_parts", lambda parts=parts: parts)
        found.append(learn(network(name), x))
    for other in found[1:]:
        assert np.median(list(distances(other, found[0]).values())) < 1e-4
        assert distances(other, found[0])["logits"] < 1e-4


def test_what_was_learnt_is_seen_in_evaluation(counted):
    net, x = network("basic"), Tensor(images("basic"))
    before = set_eval(net)(x).asnumpy()
    for change in (lambda w: w * 1.5, lambda w: -w):
        state = get_state(net)
        key = "layer3.0.conv2.weight"
        set_state(net, state | {key: change(state[key])})
        net.layer1[0].bn1.moving_mean.asnumpy()[3] += 1
        after = set_eval(net)(x).asnumpy()
        plain = network("basic", fast=False)
        set_state(plain, get_state(net))
        expected = set_eval(plain)(x).asnumpy()
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        before = after
    assert counted == ["__call__"] * 3


def test_training_and_evaluation_take_turns_in_memory(counted):
    net = network("basic")
    found = []
    for _ in range(2):
        for n in (4, 3):  # The last batch of an epoch is smaller.
            found.append(learn(net, images("basic", n)))
        plans = net.in_one._folded.values()
        assert not any(step.weights.size for plan in plans for step in plan._steps)
        assert len(net.in_one._workspaces._idle) == 1
        set_eval(net)(Tensor(images("basic")))
        assert not net.in_one._workspaces._idle
    alone = network("basic")
    for n, one in zip((4, 3, 4, 3), found, strict=True):
        # Without evaluation between, and with memory of its own.
        alone.in_one._workspaces.release()
        for key, value in learn(alone, images("basic", n)).items():
            assert value.tobytes() == one[key].tobytes(), key
    assert set_eval(net)(Tensor(images("basic"))).asnumpy().tobytes() == (
        set_eval(alone)(Tensor(images("basic"))).asnumpy().tobytes()
    )
    assert counted.count("__call__") == 4


def test_a_network_can_be_used_twice_before_it_learns():
    one, other = images("basic"), images("basic", seed=1)

    def both(net):
        set_train(net, True)

        def loss(a, b):
            return (net(ops.stop_gradient(a)) * net(ops.stop_gradient(b))).sum()

        gradients = ms.grad(loss, None, net.trainable_params())(Tensor(one), Tensor(other))
        names = [p.name for p in net.trainable_params()]
        return dict(zip(names, (g.asnumpy() for g in gradients), strict=True))

    found, expected = both(network("basic")), both(network("basic", fast=False))
    assert np.median(list(distances(found, expected).values())) < 1e-3


@every_net
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_visible(name, value):
    x = images(name)
    x[2, 0, 30, 31] = value
    found = learn(network(name), x)
    broken = [key for key, array in found.items() if not np.isfinite(array).all()]
    first = next(name for name in found if name != "logits")  # The weights of the stem.
    assert {"logits", first} <= set(broken)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("before", [False, True])
def test_where_the_images_gradient_may_be_wanted_the_cells_run_one_by_one(training, before, counted):
    x = images("basic")
    found = []
    for fast in (True, False):
        net = network("basic", fast)
        set_train(net, training)
        factor = Parameter(Tensor(np.ones((1, 1, *x.shape[2:]), np.float32)))
        if before:
            gradient = ms.grad(lambda b, n=net, f=factor: n(b * f).sum(), None, [factor])(Tensor(x))[0]
        else:
            gradient = ms.grad(lambda b, n=net: n(b).sum())(Tensor(x))
        found.append(gradient.asnumpy())
    assert counted == []
    one, other = found
    assert np.linalg.norm(one - other) < 1e-2 * np.linalg.norm(other)
    assert np.abs(other).max() > 0


def test_images_are_dropped_as_cell_by_cell(counted):
    found = []
    for fast in (True, False):
        ms.set_seed(1)
        net = EfficientNet(3, 1, 0.3, 0.6, 24, (Stage(2, 3, 1, 16, 2), Stage(2, 3, 2, 24, 3)))
        net.init_parameters_data()
        use_seeded_dropout(net)
        seed_dropout(net, [3])
        if fast:
            use_fast_kernels(net, "onednn")
        found.append([learn(net, images("efficientnet", 6)) for _ in range(2)])
    assert counted == ["forward", "backward"] * 2
    assert (found[0][0]["logits"] != found[0][1]["logits"]).any()
    for one, other in zip(*found, strict=True):
        apart = distances(one, other)
        assert apart["logits"] < 1e-4
        assert max(apart.values()) < 1e-2
        assert np.median(list(apart.values())) < 1e-4


def test_a_network_inside_another_runs_as_a_whole(counted):
    net = OutlierExposureNet(network("efficientnet", fast=False), 4, with_domain=False)
    plain = OutlierExposureNet(network("efficientnet", fast=False), 4, with_domain=False)
    set_state(plain, get_state(net))
    use_fast_kernels(net, "onednn")
    x = Tensor(images("efficientnet"))
    found, expected = (set_eval(each)(x)[0].asnumpy() for each in (net, plain))
    assert counted == ["__call__"]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_where_a_part_is_frozen_the_cells_run_one_by_one(counted):
    net = frozen(network("basic"), ["conv1.*", "bn1.*"])
    plain = frozen(network("basic", fast=False), ["conv1.*", "bn1.*"])
    found, expected = (learn(each, images("basic")) for each in (net, plain))
    assert counted == []
    assert np.median(list(distances(found, expected).values())) < 1e-3
    assert (get_state(net)["bn1.moving_mean"] == get_state(plain)["bn1.moving_mean"]).all()


def test_hooks_see_what_they_asked_for(counted, caplog):
    log.say_once.cache_clear()
    caplog.set_level("DEBUG", log.__name__)
    net, seen = network("basic"), []
    handle = net.layer2.register_forward_hook(lambda cell, x, out: seen.append(out.shape))
    learn(net, images("basic"))
    set_eval(net)(Tensor(images("basic")))
    assert counted == []
    assert len(seen) == 2
    lines = [(record.levelname, record.message) for record in caplog.records]
    assert lines == [("DEBUG", "ResNet runs layer by layer where a layer has a hook")]
    handle.remove()
    learn(net, images("basic"))
    assert counted == ["forward", "backward"]
    assert len(seen) == 2


def test_batch_norms_of_several_devices_run_by_themselves(counted):
    net = network("basic")
    use_sync_norms(net, 2)
    set_train(net, True)
    assert net.in_one(Tensor(images("basic"))) is None
    assert counted == []


def test_a_cell_that_was_replaced_is_used(counted):
    net, x = network("basic"), Tensor(images("basic"))
    net.layer2[0].bn1 = nn.Identity()
    plain = network("basic", fast=False)
    plain.layer2[0].bn1 = nn.Identity()
    found, expected = (set_eval(each)(x).asnumpy() for each in (net, plain))
    assert counted == []
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["basic", "mobilenet"])
def test_other_batches_are_mindspores_own_affair(name, training, counted):
    nets = network(name), network(name, fast=False)
    x = images(name)
    for other in (np.repeat(x, 2, 1), np.repeat(x, 5, 1), x.astype(np.float16), x.astype(float), x[:0]):
        told = []
        for net in nets:
            set_train(net, training)
            try:
                told.append(net(ops.stop_gradient(Tensor(other))).asnumpy().shape)
            except Exception as error:
                told.append((type(error), str(error).strip().splitlines()[0]))
        assert told[0] == told[1]
    assert counted == []


def test_a_gradient_of_a_gradient_is_refused(counted):
    net, x = network("basic"), images("basic")
    set_train(net, True)
    trained = net.trainable_params()
    inner = ms.grad(lambda x: (net(ops.stop_gradient(x)) ** 2).sum(), None, trained)
    with pytest.raises(UserError, match="no gradient of a gradient"):
        ms.grad(lambda x: sum((g**2).sum() for g in inner(x)), None, trained)(Tensor(x))
    counted.clear()
    found, expected = learn(network("basic"), x), learn(network("basic"), x)
    assert counted == ["forward", "backward"] * 2
    assert all(value.tobytes() == expected[key].tobytes() for key, value in found.items())


@pytest.mark.parametrize("tied", [False, True])
def test_a_parameter_that_was_replaced_is_used(tied, counted):
    nets, x = (network("basic"), network("basic", fast=False)), images("basic")
    before = [set_eval(net)(Tensor(x)).asnumpy() for net in nets]
    for net in nets:
        one, other = net.layer2[1].conv1, net.layer2[1].conv2
        weight = Parameter(Tensor(-2 * one.weight.asnumpy()), name=one.weight.name)
        one.weight = other.weight if tied else weight
    found, expected = (set_eval(net)(Tensor(x)).asnumpy() for net in nets)
    assert np.abs(expected - before[1]).max() > 0.01 * np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    apart = distances(*(learn(net, x) for net in nets))
    assert counted == ["__call__", "__call__", "forward", "backward"]
    assert np.median(list(apart.values())) < 1e-3
    assert apart["layer2.1.conv2.weight"] < 1e-2


def test_with_a_parameter_of_another_shape_the_cells_run_one_by_one():
    net, x = network("basic"), Tensor(images("basic"))
    assert set_eval(net).in_one(x) is not None
    norm = net.layer2[1].bn1
    norm.beta = Parameter(Tensor(np.zeros(3, np.float32)), name=norm.beta.name)
    assert net.in_one(x) is None


def test_another_epsilon_is_folded():
    nets, x = (network("basic"), network("basic", fast=False)), Tensor(images("basic"))
    for epsilon in (1e-5, 0.5):
        for net in nets:
            net.layer1[0].bn1.eps = epsilon
            # MindSpore's own primitive has been told another.
            net.layer1[0].bn1.bn_infer = ops.BatchNorm(is_training=False, epsilon=epsilon)
        found, expected = (set_eval(net)(x).asnumpy() for net in nets)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_batch_that_cannot_go_as_a_whole_does_not_keep_others_from_it(counted):
    net = set_eval(network("basic"))
    net(Tensor(images("basic", 1, 4, 4)))
    assert net.in_one._unfit
    assert counted == []
    net(Tensor(images("basic")))
    assert counted == ["__call__"]


@every_net
def test_a_copy_of_a_network_is_a_network_of_its_own(name, counted):
    net, x = network(name), images(name)
    before = set_eval(net)(Tensor(x)).asnumpy()
    learn(net, x)
    set_state(net, weights(name))
    copied = copy.deepcopy(net)
    assert net.in_one._workspaces._idle
    assert not copied.in_one._workspaces._idle
    for parameter in net.get_parameters():
        parameter.set_data(parameter * 2)
    assert set_eval(copied)(Tensor(x)).asnumpy().tobytes() == before.tobytes()
    assert copied.in_one is not net.in_one
    found, expected = learn(copied, x), learn(network(name), x)
    assert counted == ["__call__", "forward", "backward", "__call__", *["forward", "backward"] * 2]
    assert all(value.tobytes() == expected[key].tobytes() for key, value in found.items())


def test_other_networks_and_other_devices_are_left_alone(device):
    create = partial(create_model, num_classes=2, random=False)
    with pytest.raises(UnknownNetError):
        links(nn.SequentialCell(nn.Conv2d(1, 2, 3)))
    with pytest.raises(UnknownNetError):
        links(create("resnext50_32x4d"))
    assert create("resnext50_32x4d", device=device).in_one is None
    for kernels in ("none", "loops"):
        other = configure(DeviceSettings(target="CPU", fast_kernels=kernels))
        assert create("resnet18", device=other).in_one is None
    assert create("resnet18").in_one is None
    assert create("resnet18", device=device).in_one is not None


def test_without_a_fast_kernel_the_log_says_so_once(monkeypatch, caplog, counted):
    net = network("basic")

    def refuse(*arguments):
        raise in_one.OneDnnError("only ref:any")

    monkeypatch.setattr(in_one, "TrunkPlan", refuse)
    with caplog.at_level("WARNING"):
        learn(net, images("basic"))
        learn(net, images("basic"))
    assert counted == []
    assert caplog.messages == ["training of ResNet runs layer by layer: only ref:any"]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("basic", ["layer4", "layer2", "layer2.0", "layer1"]),
        ("bottleneck", ["layer4", "layer3", "layer1.1"]),
        ("mobilenet", ["features", "features.7", "features.4"]),
        ("efficientnet", ["features", "features.4", "features.5.0", "features.4.1"]),
    ],
)
def test_features_are_those_of_the_layer(name, layers, device, counted):
    net, plain = network(name), network(name, fast=False)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, CHANNELS[name]), np.uint8)
    rows = np.array([4, 0, 2])
    for layer in layers:
        expected = extract(plain, layer, pictures, rows, 2, device)
        assert counted == []
        found = extract(net, layer, pictures, rows, 2, device)
        assert counted == ["__call__"] * 2, layer
        counted.clear()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "layer"), [("basic", "layer2.0.conv1"), ("mobilenet", "features.4.layers.2")]
)
def test_features_inside_a_block_come_cell_by_cell(name, layer, device, counted):
    net, plain = network(name), network(name, fast=False)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, CHANNELS[name]), np.uint8)
    found, expected = (extract(n, layer, pictures, np.arange(2), 2, device) for n in (net, plain))
    assert counted == []
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_predictions_go_through_as_a_whole(counted):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 1), np.uint8)
    nets = network("basic"), network("basic", fast=False)
    found, expected = (predict(net, pictures, np.arange(5)) for net in nets)
    assert counted == ["__call__"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_all_loops_are_compiled_as_expected():
    for name in BUILD:
        net = network(name)
        learn(net, images(name))
        set_eval(net)(Tensor(images(name)))
        set_eval(net)(Tensor(images(name)))
    loops = blocked.EXPECTED | gate_loops.EXPECTED | blocked_depthwise.EXPECTED
    for name, signature in loops.items():
        assert machine_code._kernels[name].signatures == [signature], name


def test_several_threads_may_learn_at_a_time():
    nets, found = [network("basic") for _ in range(2)], []

    def forward(net):
        weights = [link.conv.weight.asnumpy() for link in net.in_one.chain]
        norms = [(k.norm.gamma.asnumpy(), k.norm.beta.asnumpy()) for k in net.in_one.chain]
        shape = images("basic").shape
        plan = in_one.TrunkPlan(one_dnn(), net.in_one.chain, shape, in_one.Workspaces())
        way = in_one.Pass(plan)
        out = way.forward(images("basic"), weights, norms)
        found.append((out, way.backward(np.ones_like(out))))

    threads = [threading.Thread(target=forward, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one, back), (other, back2) = found
    assert one.tobytes() == other.tobytes()
    for a, b in zip(back[0], back2[0], strict=True):
        assert a.tobytes() == b.tobytes()


AVX2 = """
import numpy as np
from tests.models.kernels import test_in_one as t
from mindspore_dpus.models.kernels.onednn.library import one_dnn
t.configure(t.DeviceSettings(target="CPU", fast_kernels="onednn"))
assert one_dnn().block == 8, one_dnn()
calls = []


def count(owner, method):
    original = getattr(owner, method)
    setattr(owner, method, lambda *told: (calls.append(method), original(*told))[1])


count(t.in_one.Pass, "forward")
count(t.in_one.Pass, "backward")
count(t.in_one.FoldedPlan, "__call__")
for name in t.BUILD:
    # Of smaller ones, the last maps of a ResNet have two rows, for which there is no fast kernel.
    x = t.images(name, 4, 96, 64)
    net, plain = t.network(name), t.network(name, fast=False)
    apart = np.median(list(t.distances(t.learn(net, x), t.learn(plain, x)).values()))
    t.set_state(plain, t.get_state(net))
    found, expected = (t.set_eval(each)(t.Tensor(x)).asnumpy() for each in (net, plain))
    print("AVX2", name, apart, np.abs(found - expected).max() / np.abs(expected).max(), *calls)
    calls.clear()
"""


def test_a_processor_without_avx512_has_blocks_of_eight():
    environment = os.environ | {
        "DNNL_MAX_CPU_ISA": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", AVX2], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("AVX2")]
    # Images of one channel and of three.
    assert [name for name, *_ in told] == list(BUILD)
    for name, learnt, computed, *calls in told:
        assert calls == ["forward", "backward", "__call__"], name
        assert float(learnt) < 1e-3, name
        assert float(computed) < 1e-5, name
