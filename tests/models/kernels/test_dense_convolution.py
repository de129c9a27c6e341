"""Single convolutions through oneDNN, against torch in float64, and networks against MindSpore's own."""

import mindcv
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.nn.utils import no_init_parameters

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.kernels import crew, dense_convolution, log
from mindspore_dpus.models.kernels.dense_convolution import DenseConvolution, use_dense_convolutions
from mindspore_dpus.models.kernels.install import use_fast_kernels
from mindspore_dpus.models.kernels.onednn.interface import OneDnnError
from mindspore_dpus.models.kernels.onednn.library import one_dnn

PAD, SAME, VALID = "pad", "same", "valid"
# Images, channels in and out, height, width, kernel, stride, dilation, how it is padded; groups.
CASES = [
    (4, 16, 32, 9, 11, 3, 1, 1, PAD),
    (5, 20, 24, 8, 8, 5, 1, 1, PAD),  # Parts of two sizes; channels that fill no block.
    (1, 8, 9, 7, 5, 1, 1, 1, VALID),
    (3, 32, 16, 11, 14, 3, 2, 1, SAME),
    (2, 16, 16, 15, 13, 3, 1, 2, SAME),
    (2, 40, 8, 6, 9, 4, 3, 1, VALID),
    (2, 32, 32, 40, 41, 3, 1, 1, PAD),  # Winograd's algorithm
    (3, 128, 128, 7, 9, 3, 2, 1, PAD, 32),  # as ResNeXt's: four groups a bundle
    (2, 64, 32, 8, 6, 3, 1, 2, SAME, 2),  # bundles that are the groups
    (2, 16, 48, 8, 6, 1, 1, 1, VALID, 16),  # one channel to three
    (2, 15, 10, 7, 8, 3, 1, 1, PAD, 5),  # no bundle but all
    (5, 24, 24, 9, 8, 5, 2, 1, PAD, 24),  # depthwise
    (2, 20, 20, 9, 8, 3, 1, 2, SAME, 20),  # depthwise, dilated
    (2, 16, 24, 9, 7, 3, 1, 1, (0, 1, 1, 0)),  # top, bottom, left, right
    (2, 16, 24, 9, 7, 4, 2, 1, (1, 2, 0, 1)),
]


@pytest.fixture(scope="module", autouse=True)
def device():
    found = configure(DeviceSettings(target="CPU", fast_kernels="onednn"))
    if one_dnn() is None:
        pytest.skip("no oneDNN that can be used here")
    return found


def normals(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convolution(case):
    _, inputs, outputs, _, _, kernel, stride, dilation, how, *group = case
    ms.set_seed(1)
    if isinstance(how, tuple):
        padding = {"pad_mode": PAD, "padding": how}
    else:
        padding = {"pad_mode": PAD, "padding": kernel // 2} if how == PAD else {"pad_mode": how}
    sizes, given = (inputs, outputs, kernel, stride), {"dilation": dilation, "group": (group or [1])[0]}
    return nn.Conv2d(*sizes, **given, has_bias=True, bias_init="ones", **padding)


def learn(net, x, weight):
    """Result and gradients."""
    step = ms.grad(lambda x: (net(x) * Tensor(weight)).sum(), 0, net.trainable_params())
    of_x, rest = step(Tensor(x))
    return [net(Tensor(x)).asnumpy(), of_x.asnumpy(), *(g.asnumpy() for g in rest)]


def by_torch(cell, x, weight):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    values = [torch.tensor(v, dtype=torch.double, requires_grad=True) for v in (
        x, cell.weight.asnumpy(), cell.bias.asnumpy()
    )]  # fmt: skip
    padding, own = [cell.padding] * 4, values[0]
    if not isinstance(cell.padding, int):
        # Torch begins with the last axis.
        top, bottom, left, right = cell.padding
        padding = [left, right, top, bottom]
    if cell.pad_mode == SAME:
        padding = []
        for axis in (1, 0):
            size, stride = x.shape[2 + axis], cell.stride[axis]
            reach = cell.dilation[axis] * (cell.kernel_size[axis] - 1) + 1
            whole = max((-(-size // stride) - 1) * stride + reach - size, 0)
            padding += [whole // 2, whole - whole // 2]
    own = torch.nn.functional.pad(own, padding)
    out = torch.nn.functional.conv2d(own, *values[1:], cell.stride, 0, cell.dilation, cell.group)
    (out * torch.tensor(weight)).sum().backward()
    return [out.detach().numpy(), *(v.grad.numpy() for v in values)]


def assert_near(found, expected, share=2e-5):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=share * np.abs(other).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_convolution_and_its_gradients_are_torchs(case):
    cell, x = convolution(case), normals(case[0], case[1], *case[3:5])
    assert use_dense_convolutions(cell) == 1
    weight = normals(*cell(Tensor(x)).shape, seed=1)
    expected = by_torch(cell, x, weight)
    assert type(cell.conv2d) is DenseConvolution
    assert_near(learn(cell, x, weight), expected)
    assert all(plan is not None for plan in cell.conv2d._plans.values())


def test_without_a_fast_kernel_mindspores_own_is_used(monkeypatch, caplog):
    def refuse(*arguments):
        raise OneDnnError("only ref:any")

    monkeypatch.setattr(dense_convolution, "_Plan", refuse)
    log.say_once.cache_clear()
    caplog.set_level("INFO")
    for case in CASES:
        cell, x = convolution(case), normals(case[0], case[1], *case[3:5])
        weight = normals(*cell(Tensor(x)).shape, seed=1)
        expected = learn(cell, x, weight)
        use_dense_convolutions(cell)
        assert_near(learn(cell, x, weight), expected, 1e-6)
    lines = [message for message in caplog.messages if "only ref:any" in message]
    assert lines[0] == (
        "a convolution (kernel (3, 3), stride (1, 1), dilation (1, 1), groups 1) is MindSpore's own: "
        "only ref:any"
    )
    assert len(lines) == len(set(lines)) == len({(*case[5:8], *case[9:]) for case in CASES})


def test_equal_calls_have_equal_bits_whoever_computes_them(monkeypatch):
    case = CASES[1]
    x, found = normals(case[0], case[1], *case[3:5]), []
    for cores in ([0], [0, 1], [0, 1]):
        monkeypatch.setattr(crew, "available_cpus", lambda cores=cores: cores)
        cell = convolution(case)
        use_dense_convolutions(cell)
        found.append(learn(cell, x, normals(*cell(Tensor(x)).shape, seed=1)))
    for first, *others in zip(*found, strict=True):
        assert all(first.tobytes() == other.tobytes() for other in others)


def test_batches_of_many_sizes_keep_few_plans():
    cell = convolution(CASES[0])
    use_dense_convolutions(cell)
    plain = convolution(CASES[0])
    for n in (4, 1, 3, 2, 5, 6, 4):
        x = Tensor(normals(n, 16, 9, 11))
        assert_near([cell(x).asnumpy()], [plain(x).asnumpy()])
    assert len(cell.conv2d._plans) == dense_convolution.KEPT_PLANS


def trunk_of_vgg16():
    """Without its three fully connected layers, which are half a gigabyte."""
    ms.set_seed(2)
    with no_init_parameters():
        net = mindcv.create_model("vgg16", num_classes=3, in_channels=1).features
    net.init_parameters_data()
    return net


@pytest.mark.parametrize("backbone", ["densenet121", "vgg16", "small_alexnet", "conv4"])
def test_networks_compute_as_before(backbone):
    x = Tensor(normals(2, 1, 64, 64))
    if backbone == "vgg16":
        net = trunk_of_vgg16()
    else:
        net = create_model(backbone, 3, 1, seed=2, image_size=64)
    net.set_train(False)
    before = net(x).asnumpy()
    assert use_fast_kernels(net, "onednn") > 3
    assert_near([net(x).asnumpy()], [before], 1e-4)


@pytest.mark.parametrize(
    "cell",
    [
        lambda: nn.Conv2d(3, 16, 3),
        lambda: nn.Conv2d(16, 7, 3),
        lambda: nn.Conv2d(3, 3, 5, group=3),
        lambda: nn.Conv2d(16, 16, 3, dtype=ms.float16),
        lambda: nn.Dense(16, 16),
    ],
)
def test_others_stay(cell, monkeypatch):
    monkeypatch.setattr(dense_convolution, "FEWEST_CHANNELS", 8)  # as with MindSpore 2.8
    assert use_dense_convolutions(nn.SequentialCell(cell())) == 0


@pytest.mark.parametrize("channels", [(3, 16), (1, 6), (16, 7)])
def test_where_mindspores_own_are_slow_few_channels_go_too(channels, monkeypatch):
    monkeypatch.setattr(dense_convolution, "FEWEST_CHANNELS", 1)
    case = (3, *channels, 8, 9, 3, 1, 1, PAD)
    plain, fast = convolution(case), convolution(case)
    assert use_dense_convolutions(nn.SequentialCell(fast)) == 1
    x = normals(3, channels[0], 8, 9)
    weight = normals(3, channels[1], 8, 9, seed=1)
    assert_near(learn(fast, x, weight), learn(plain, x, weight), 1e-5)
