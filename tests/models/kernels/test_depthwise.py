"""Our depthwise loops against scipy, torch and MindSpore's own convolution."""

from fnmatch import fnmatch

import mindspore as ms
import numba
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from scipy.signal import correlate

from mindspore_dpus.core.device import are_convolutions_slow, configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import set_train
from mindspore_dpus.models.kernels import depthwise
from mindspore_dpus.models.kernels.depthwise import use_fast_depthwise
from mindspore_dpus.models.kernels.loops import depthwise_forward, depthwise_gradients
from mindspore_dpus.models.kernels.machine_code import compiled
from mindspore_dpus.models.weights import get_state
from tests.models.frozen import frozen

SIZES = [(1, 1), (2, 2), (7, 7), (8, 5), (5, 8)]
every_shape = pytest.mark.parametrize(
    ("stride", "size"), [(stride, size) for stride in (1, 2) for size in SIZES]
)


@pytest.fixture(scope="module", autouse=True)
def device():
    return configure(DeviceSettings(target="CPU"))


@pytest.fixture
def calls(monkeypatch):
    """The strides of the forward kernels that run."""
    strides = []

    def counted(x, weight, stride):
        strides.append(stride)
        return depthwise_forward(x, weight, stride)

    monkeypatch.setattr(depthwise, "depthwise_forward", counted)
    return strides


def arrays(stride, size, batch=2, channels=3):
    """Images, kernels and a gradient of the output."""
    rng = np.random.default_rng(0)
    out = [-(-side // stride) for side in size]
    shapes = [(batch, channels, *size), (channels, 1, 3, 3), (batch, channels, *out)]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def conv(stride=1, channels=3, fast=True, **options):
    cell = nn.Conv2d(
        channels, channels, 3, stride, **{"pad_mode": "pad", "padding": 1, "group": channels} | options
    )
    assert not fast or use_fast_depthwise(cell) == 1
    return cell


def forward_and_gradients(cell, x, weight, gradient):
    """What a convolution makes of x, and the gradients that it passes on."""
    ops.assign(cell.weight, Tensor(weight))

    def weighted(x):
        out = cell(x)
        return (out * Tensor(gradient)).sum(), out

    differentiated = ms.value_and_grad(weighted, 0, [cell.weight], has_aux=True)
    (_, out), (grad_x, (grad_weight,)) = differentiated(Tensor(x))
    return [value.asnumpy() for value in (out, grad_x, grad_weight)]


def assert_close(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@every_shape
def test_the_loops_are_the_definition(stride, size):
    x, weight, gradient = arrays(stride, size)
    kernels = [kernel[None] for (kernel,) in weight]
    planes = [correlate(x[:, c], kernels[c], "same")[:, ::stride, ::stride] for c in range(len(kernels))]
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    grad_padded, grad_weight = np.zeros_like(padded), np.zeros(weight.shape)
    for n, c, i, j in np.ndindex(gradient.shape):
        seen = (n, c, slice(i * stride, i * stride + 3), slice(j * stride, j * stride + 3))
        grad_padded[seen] += gradient[n, c, i, j] * weight[c, 0]
        grad_weight[c, 0] += gradient[n, c, i, j] * padded[seen]
    found = depthwise_forward(x, weight, stride), *depthwise_gradients(x, weight, gradient, stride)
    assert [value.dtype for value in found] == [np.float32] * 3
    assert_close(found, (np.stack(planes, 1), grad_padded[:, :, 1:-1, 1:-1], grad_weight))


@every_shape
def test_a_replaced_convolution_equals_mindspores(stride, size, calls):
    values = arrays(stride, size)
    expected = forward_and_gradients(conv(stride, fast=False), *values)
    assert not calls
    assert_close(forward_and_gradients(conv(stride), *values), expected)
    assert calls == [stride]


@every_shape
def test_a_replaced_convolution_equals_torchs(stride, size):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    values = arrays(stride, size)
    x, weight, gradient = (torch.tensor(value, requires_grad=True) for value in values)
    out = torch.nn.functional.conv2d(x, weight, stride=stride, padding=1, groups=len(weight))
    out.backward(gradient)
    expected = [value.detach().numpy() for value in (out, x.grad, weight.grad)]
    assert_close(forward_and_gradients(conv(stride), *values), expected)


def test_biases_are_added():
    x, *_ = arrays(1, (4, 4))
    biased = conv(has_bias=True, bias_init="ones")
    plain = conv()
    ops.assign(plain.weight, biased.weight)
    assert_close([biased(Tensor(x)).asnumpy()], [plain(Tensor(x)).asnumpy() + 1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["x", "weight", "gradient"])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_no_number_stays_visible(stride, which, value):
    values = arrays(stride, (7, 6))
    place = {"x": (1, 1, 3, 2), "weight": (1, 0, 0, 1), "gradient": (0, 1, 2, 1)}[which]
    values[["x", "weight", "gradient"].index(which)][place] = value
    found = forward_and_gradients(conv(stride), *values)
    expected = forward_and_gradients(conv(stride, fast=False), *values)
    if which != "weight" or not are_convolutions_slow():  # those pass over the zeros of the padding
        np.testing.assert_array_equal(np.isfinite(found[0]), np.isfinite(expected[0]))
    reached = [not np.isfinite(one).all() for one in expected]
    assert reached == [which != "gradient", which != "x", which != "weight"]
    for one, other, axis in zip(found, expected, (1, 1, 0), strict=True):
        # The zeros between and around the output's gradients count here: 0 * inf is no number either.
        assert not np.isfinite(one[~np.isfinite(other)]).any()
        both = np.isfinite(one) & np.isfinite(other)
        np.testing.assert_allclose(one[both], other[both], atol=1e-5)
        assert np.isfinite(np.delete(one, 1, axis)).all(), "other channels are not touched"


def test_results_do_not_depend_on_the_number_of_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")
    threads = numba.get_num_threads()
    # So many that the threads do overlap; and they cannot share three channels evenly.
    values = arrays(1, (33, 30), batch=64)
    found = []
    try:
        for number in (1, 2, 2):
            numba.set_num_threads(number)
            found.append([depthwise_forward(*values[:2], 1), *depthwise_gradients(*values, 1)])
    finally:
        numba.set_num_threads(threads)
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_a_read_only_installation_compiles_in_memory(monkeypatch):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(double)
    assert compiled()(double)(21) == 42


def double(number):
    return 2 * number


def test_tensors_with_gaps(calls):
    x, weight, gradient = arrays(2, (6, 8))
    cell = conv(2)
    expected = forward_and_gradients(cell, x, weight, gradient)
    turned = Tensor(np.ascontiguousarray(x.swapaxes(2, 3))).swapaxes(2, 3)
    spread = Tensor(np.repeat(x, 2, axis=3))[:, :, :, ::2]
    wide = Tensor(np.concatenate([x, x], 1))[:, 3:]
    for view in (turned, spread, wide):
        assert not view.is_contiguous()
        np.testing.assert_array_equal(cell(view).asnumpy(), expected[0])

    # And gradients with gaps: of a transposition, and of a sum: one number spread over all places.
    def turned_after(x):
        return (cell(x).swapaxes(2, 3) * Tensor(np.ascontiguousarray(gradient.swapaxes(2, 3)))).sum()

    np.testing.assert_array_equal(ms.grad(turned_after)(turned).asnumpy(), expected[1])
    ones = forward_and_gradients(conv(2, fast=False), x, weight, np.ones_like(gradient))
    assert_close([ms.grad(lambda x: cell(x).sum())(turned).asnumpy()], ones[1:2])
    assert len(calls) == 6


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "mobilenet_v2_100", "resnet18"])
def test_networks_change_only_inside(backbone, calls):
    net = create_model(backbone, 2, 1)
    names = [name for name, _ in net.parameters_and_names()]
    state = get_state(net)
    expected = {"mobilenet_v2": 17, "mobilenet_v2_100": 17, "resnet18": 0}[backbone]
    assert use_fast_depthwise(net) == expected
    net(Tensor(np.zeros((1, 1, 32, 32), np.float32)))
    assert len(calls) == expected
    assert calls.count(2) == (4 if expected else 0)
    assert [name for name, _ in net.parameters_and_names()] == names
    after = get_state(net)
    assert list(after) == list(state)
    assert all(np.array_equal(state[name], after[name]) for name in state)


@pytest.mark.parametrize(
    "cell",
    [
        lambda: nn.Conv2d(4, 4, 5, pad_mode="pad", padding=2, group=4),
        lambda: nn.Conv2d(4, 4, (3, 1), pad_mode="pad", padding=1, group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=2, dilation=2, group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=1, dilation=2, group=4),
        lambda: nn.Conv2d(4, 4, 3, stride=3, pad_mode="pad", padding=1, group=4),
        lambda: nn.Conv2d(4, 4, 3, stride=(1, 2), pad_mode="pad", padding=1, group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=(1, 1, 1, 0), group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=0, group=4),
        lambda: nn.Conv2d(4, 4, 3, stride=2, pad_mode="same", group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="valid", group=4),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=1, group=2),
        lambda: nn.Conv2d(4, 8, 3, pad_mode="pad", padding=1, group=4),
        lambda: nn.Conv2d(1, 1, 3, pad_mode="pad", padding=1),
        lambda: nn.Conv2d(4, 4, 3, pad_mode="pad", padding=1, group=4, dtype=ms.float16),
        lambda: nn.Conv2dTranspose(4, 4, 3, pad_mode="pad", padding=1, group=4),
        lambda: nn.Conv1d(4, 4, 3, pad_mode="pad", padding=1, group=4),
    ],
)
def test_other_convolutions_stay(cell):
    cell = cell()
    before = getattr(cell, "conv2d", None)
    assert use_fast_depthwise(nn.SequentialCell(cell)) == 0
    assert getattr(cell, "conv2d", None) is before


def pair(freeze=()):
    """The same MobileNetV2 without and with our loops."""
    plain, fast = (frozen(create_model("mobilenet_v2", 3, 1, seed=1), freeze) for _ in range(2))
    use_fast_depthwise(fast)
    return plain, fast


def loss_and_gradients(net, images):
    set_train(net, True)
    labels = Tensor([0, 1, 2, 1], ms.int32)
    step = ms.value_and_grad(lambda x: ops.cross_entropy(net(x), labels), None, net.trainable_params())
    loss, gradients = step(images)
    names = [p.name for p in net.trainable_params()]
    return float(loss.asnumpy()), dict(zip(names, (g.asnumpy() for g in gradients), strict=True))


def assert_gradients_close(found, expected):
    """Some are zero but for rounding (a shift before a batch norm): no relative tolerance fits them."""
    assert found.keys() == expected.keys()
    largest = max(np.abs(one).max() for one in expected.values())
    for name, one in expected.items():
        tolerance = 1e-4 * np.abs(one).max() + 1e-6 * largest
        np.testing.assert_allclose(found[name], one, atol=tolerance, rtol=0, err_msg=name)


def test_a_whole_network_computes_and_learns_the_same(calls):
    plain, fast = pair()
    images = Tensor(np.random.default_rng(0).normal(size=(4, 1, 64, 64)).astype(np.float32))
    for net in (plain, fast):
        net.set_train(False)
    expected = plain(images).asnumpy()
    assert not calls
    assert_close([fast(images).asnumpy()], [expected], 1e-5 * np.abs(expected).max())
    assert len(calls) == 17
    (loss, gradients), (fast_loss, fast_gradients) = (
        loss_and_gradients(net, images) for net in (plain, fast)
    )
    assert fast_loss == pytest.approx(loss, rel=1e-5)
    assert_gradients_close(fast_gradients, gradients)
    before, after = get_state(plain), get_state(fast)
    assert_close(after.values(), before.values(), 1e-4)  # also the batch norms' moving averages


def test_an_input_without_gradient():
    x, weight, gradient = arrays(2, (6, 5))
    _, _, expected = forward_and_gradients(conv(2, fast=False), x, weight, gradient)
    cell = conv(2)
    ops.assign(cell.weight, Tensor(weight))
    weighted = ms.grad(lambda x: (cell(x) * Tensor(gradient)).sum(), None, [cell.weight])
    assert_close([weighted(Tensor(x))[0].asnumpy()], [expected])


@pytest.mark.parametrize("patterns", [["features.*"], ["*.layers.3.weight"]])
def test_frozen_parameters(patterns):
    plain, fast = pair(freeze=patterns)
    images = Tensor(np.random.default_rng(0).normal(size=(4, 1, 64, 64)).astype(np.float32))
    (loss, gradients), (fast_loss, fast_gradients) = (
        loss_and_gradients(net, images) for net in (plain, fast)
    )
    assert fast_loss == pytest.approx(loss, rel=1e-5)
    assert "classifier.1.weight" in gradients
    assert not any(fnmatch(name, pattern) for name in gradients for pattern in patterns)
    assert_gradients_close(fast_gradients, gradients)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "onednn"),
        ({"jit": False}, "onednn"),
        ({"fast_kernels": "loops"}, "loops"),
        ({"jit": True}, "none"),
        ({"fast_kernels": "none"}, "none"),
    ],
)
def test_only_eager_steps_on_cpu_use_it(options, expected, calls):
    device = configure(DeviceSettings(target="CPU", **options))
    assert device.fast_kernels == expected
    net = create_model("mobilenet_v2_035", 2, 1, device=device)
    net(Tensor(np.zeros((1, 1, 32, 32), np.float32)))
    assert bool(calls) == (expected == "loops")
