"""The networks for small images: against torch, layer by layer of the paper, frozen, exported."""

import itertools

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.export.graph import Members
from mindspore_dpus.models.cifar_cnn import CifarCnn
from mindspore_dpus.models.conv4 import Conv4
from mindspore_dpus.models.dropout import seed_dropout, use_seeded_dropout
from mindspore_dpus.models.feed_forward import FeedForward
from mindspore_dpus.models.freeze import frozen_start, layers, set_frozen
from mindspore_dpus.models.lenet import LeNet5
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.models.small import ACTIVATIONS, new_activation
from mindspore_dpus.models.small_alexnet import SmallAlexNet
from mindspore_dpus.models.weights import classifier_name, stem_name
from tests.export.test_export import sharpen, softmax
from tests.models.test_fold import with_statistics

# What the paper's tables name; sizes that its data have.
NETWORKS = {
    "fnn": (lambda c: FeedForward(c, image_size=20, layers=(30, 15), activation="leaky_relu"), 3, 20),
    "fnn_cifar": (lambda c: FeedForward(c, 1, 16, (40, 30, 20), "tanh", 0.2), 1, 16),
    "lenet5": (LeNet5, 3, 32),
    "lenet5_relu": (lambda c: LeNet5(c, 1, 40, "relu"), 1, 40),
    "alexnet_small": (SmallAlexNet, 3, 32),
    "alexnet_small_4": (lambda c: SmallAlexNet(c, 1, 64, 4, 128, 0.1), 1, 64),
    "conv4": (Conv4, 3, 32),
    "cifar_cnn": (CifarCnn, 3, 32),
}


@pytest.fixture(autouse=True, scope="module")
def device():
    configure(DeviceSettings(target="CPU"))


def images_of(channels, size, n=2):
    return np.random.default_rng(0).normal(size=(n, channels, size, size)).astype(np.float32)


def torch_twin(name):
    """The same networks, written down layer by layer."""
    from torch import nn as t

    def convs(*rows):
        cells, before = [], rows[0][0]
        for after, kernel, stride, padding, pooled in rows[1:]:
            cells += [t.Conv2d(before, after, kernel, stride, padding, bias=False)]
            cells += [t.BatchNorm2d(after), t.ReLU()] + ([pooled] if pooled else [])
            before = after
        return cells

    def dense(*widths, act, p=0.5):
        cells = []
        for before, after in itertools.pairwise(widths):
            cells += [t.Linear(before, after), act(), t.Dropout(p)]
        return cells[:-2]

    def leak():
        return t.LeakyReLU(0.3)

    mean, halved, overlapping = t.AvgPool2d(2), t.MaxPool2d(2), t.MaxPool2d(3, 2)
    flat = t.Flatten()
    conv, elu = t.Conv2d, t.ELU
    return t.Sequential(
        *{
            "fnn": lambda: [flat, *dense(1200, 30, 15, 4, act=leak)],
            "fnn_cifar": lambda: [flat, *dense(256, 40, 30, 20, 4, act=t.Tanh)],
            "lenet5": lambda: [
                *(conv(3, 6, 5), t.Tanh(), mean, conv(6, 16, 5), t.Tanh(), mean),
                *(flat, *dense(400, 120, 84, 4, act=t.Tanh)),
            ],
            "lenet5_relu": lambda: [
                *(conv(1, 6, 5), t.ReLU(), mean, conv(6, 16, 5), t.ReLU(), mean),
                *(flat, *dense(16 * 7 * 7, 120, 84, 4, act=t.ReLU)),
            ],
            "alexnet_small": lambda: [
                *convs(
                    *((3,), (64, 5, 1, 2, overlapping), (192, 5, 1, 2, overlapping)),
                    *((384, 3, 1, 1, None), (256, 3, 1, 1, None), (256, 3, 1, 1, overlapping)),
                ),
                *(flat, *dense(256 * 3 * 3, 1024, 1024, 4, act=t.ReLU)),
            ],
            "alexnet_small_4": lambda: [
                *convs(
                    *((1,), (64, 5, 2, 2, overlapping), (192, 5, 1, 2, overlapping)),
                    *((384, 3, 1, 1, None), (256, 3, 1, 1, overlapping)),
                ),
                *(flat, *dense(256 * 3 * 3, 128, 128, 4, act=t.ReLU)),
            ],
            "conv4": lambda: [
                *convs((3,), (32, 3, 1, 1, None), (32, 3, 1, 1, halved)),
                *convs((32,), (64, 3, 1, 1, None), (64, 3, 1, 1, halved)),
                *(flat, *dense(64 * 8 * 8, 256, 256, 4, act=t.ReLU)),
            ],
            "cifar_cnn": lambda: [
                *(conv(3, 128, 3, 1, 1), elu(), conv(128, 128, 3, 1, 1), elu(), overlapping),
                *(conv(128, 256, 3, 1, 1), elu(), conv(256, 256, 3), elu(), overlapping),
                *(conv(256, 512, 3, 1, 1), elu(), conv(512, 512, 3, 1, 1), elu(), overlapping),
                *(flat, *dense(512 * 2 * 2, 1024, 1024, 4, act=elu)),
            ],
        }[name]()
    ).eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_torch(name):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    build, channels, size = NETWORKS[name]
    ms.set_seed(0)
    net, twin = build(4), torch_twin(name)
    net.init_parameters_data()
    images = images_of(channels, size) * np.float32([1, 3]).reshape(2, 1, 1, 1)
    with_statistics(net, Tensor(images))
    values = [p.asnumpy() for p in net.trainable_params()]
    statistics = [p.asnumpy() for p in net.get_parameters() if "moving_" in p.name]
    buffers = [value for value in twin.buffers() if value.ndim]
    with torch.inference_mode():
        for theirs, ours in ((list(twin.parameters()), values), (buffers, statistics)):
            for parameter, value in zip(theirs, ours, strict=True):
                parameter.copy_(torch.tensor(value))
        expected = twin(torch.tensor(images)).numpy()
    net.set_train(False)
    assert np.abs(expected[0] - expected[1]).max() > 0.1  # Else any network would agree.
    np.testing.assert_allclose(net(Tensor(images)).asnumpy(), expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_keeps_the_conventions_of_our_networks(name):
    build, channels, size = NETWORKS[name]
    net = build(4)
    cells = dict(net.cells_and_names())
    assert isinstance(cells[stem_name(net)], nn.Conv2d | nn.Dense)
    assert next(iter(net.trainable_params())).name == f"{stem_name(net)}.weight"
    assert cells[classifier_name(net)].out_channels == 4
    assert [p.name for p in net.trainable_params()][-2:] == [
        f"{classifier_name(net)}.weight",
        f"{classifier_name(net)}.bias",
    ]
    assert net.feature_layer in cells
    net.set_train(False)
    x = images = Tensor(images_of(channels, size))
    for cell in net.sequence():
        x = cell(x)
    assert np.array_equal(x.asnumpy(), net(images).asnumpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_random_weights_come_from_the_seed_and_within_glorots_limits(name):
    states = []
    for seed in (1, 1, 2):
        ms.set_seed(seed)
        net = NETWORKS[name][0](4)
        net.init_parameters_data()
        states.append({p.name: p.asnumpy() for p in net.trainable_params()})
    first, same, other = states
    kernels = [key for key, value in first.items() if value.ndim > 1]
    for key in kernels:
        outputs, inputs, *kernel = first[key].shape
        limit = (6 / ((inputs + outputs) * np.prod(kernel))) ** 0.5
        assert 0.9 * limit < np.abs(first[key]).max() <= limit * (1 + 1e-6)
        assert np.array_equal(first[key], same[key])
        assert not np.array_equal(first[key], other[key])
    assert not any(value.any() for key, value in first.items() if key.endswith(("bias", "beta")))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        # Table 1 and Figure 1: 300, 150, 43 on 32 x 32 x 3.
        (lambda: FeedForward(43), 3072 * 300 + 300 + 300 * 150 + 150 + 150 * 43 + 43),
        # LeCun et al. 1998: 156 + (all maps connected) 2416 + 48120 + 10164 and ten classes.
        (lambda: LeNet5(10, 1), 156 + 2416 + 48120 + 10164 + 850),
        # Section 3.2.
        (
            lambda: CifarCnn(100),
            9 * (3 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
            + 2 * (128 + 256 + 512)
            + (2048 * 1024 + 1024)
            + (1024 * 1024 + 1024)
            + (1024 * 100 + 100),
        ),
    ],
)
def test_has_as_many_parameters_as_its_layers_say(build, expected):
    assert sum(p.size for p in build().trainable_params()) == expected


def test_the_cifar_network_has_the_papers_sizes():
    net, shapes = CifarCnn(100), []
    for cell in net.sequence():
        if isinstance(cell, nn.Conv2d | nn.MaxPool2d | nn.Dense):
            cell.register_forward_hook(lambda cell, x, y: shapes.append(y.shape[1:]))
    net.set_train(False)
    net(Tensor(images_of(3, 32)))
    assert shapes == [
        *((128, 32, 32), (128, 32, 32), (128, 15, 15)),
        *((256, 15, 15), (256, 13, 13), (256, 6, 6)),
        *((512, 6, 6), (512, 6, 6), (512, 2, 2)),
        *((1024,), (1024,), (100,)),
    ]
    shares = [cell.p for cell in net.sequence() if isinstance(cell, nn.Dropout)]
    assert shares == [0.1] * 3 + [0.5] * 2


@pytest.mark.parametrize(
    ("build", "smallest"), [(LeNet5, 16), (SmallAlexNet, 15), (Conv4, 4), (CifarCnn, 19)]
)
def test_the_smallest_image(build, smallest):
    net = build(2, 1, smallest)
    net.set_train(False)
    assert net(Tensor(images_of(1, smallest))).shape == (2, 2)
    with pytest.raises(UserError, match=f"cannot take images of {smallest - 1} pixels"):
        build(2, 1, smallest - 1)


X = np.array([-3, -0.5, -1e-3, 0, 1e-3, 2], np.float32)
FORMULAS = {
    "relu": np.maximum(X, 0),
    "elu": np.where(X > 0, X, np.expm1(X)),
    "leaky_relu": np.where(X > 0, X, 0.3 * X),
    "tanh": np.tanh(X),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    act = new_activation(name)
    np.testing.assert_allclose(act(Tensor(X)).asnumpy(), FORMULAS[name], atol=2e-6)
    slope = ms.grad(lambda x: act(x).sum())(Tensor(X)).asnumpy()
    step = 1e-4
    rise = {
        "relu": X > 0,
        "elu": np.where(X > 0, 1, np.exp(X)),
        "leaky_relu": np.where(X > 0, 1, 0.3),
        "tanh": (np.tanh(X + step) - np.tanh(X - step)) / (2 * step),
    }[name]
    np.testing.assert_allclose(slope[X != 0], rise[X != 0], atol=1e-3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FeedForward(2, activation="gelu"), "activation is 'gelu'; it must be relu, elu, leaky"),
        (lambda: LeNet5(2, activation="ReLU"), "activation is 'ReLU'; it must be relu, elu"),
        (lambda: FeedForward(2, layers=()), "layers is empty"),
        (lambda: FeedForward(2, layers=(30, 0)), "a layer of the network is 0 wide"),
        (lambda: FeedForward(2, dropout=1), "dropout is 1; it must be 0 or more and below 1"),
        (lambda: CifarCnn(2, dropout_maps=-0.1), "dropout is -0.1; it must be"),
        (lambda: MobileNetV2(2, dropout=2.0), "dropout is 2; it must be 0 or more and below 1"),
        (lambda: MobileNetV2(2, width=0), "width is 0; it must be above 0"),
        (lambda: MobileNetV2(2, width=-1), "width is -1; it must be above 0"),
        (lambda: SmallAlexNet(2, convolutions=3), "convolutions is 3; it must be 4 or 5"),
    ],
)
def test_bad_options_are_named(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_dropout_draws_from_the_seed():
    net = CifarCnn(4, 1, 19)
    assert use_seeded_dropout(net) == 5
    assert use_seeded_dropout(FeedForward(4, dropout=0.0)) == 0
    net.set_train(True)
    outputs = []
    for seed in ([1], [1], [2]):
        seed_dropout(net, seed)
        outputs.append(net(Tensor(images_of(1, 19))).asnumpy())
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_names_of_parameters_do_not_depend_on_dropout():
    names = [[p.name for p in FeedForward(2, 1, 4, dropout=p).get_parameters()] for p in (0.0, 0.3)]
    assert names[0] == names[1]


def test_layers_are_frozen_by_number():
    net = Conv4(2, 1, 8)
    assert len(layers(net)) == 4 * 3 + 3 * 2
    names = layers(net)
    set_frozen(net, frozenset(names[:6]), names)
    assert frozen_start(net) == 7  # Two convolutions, their norms and ReLUs, the pooling.
    feed = FeedForward(2, 1, 4, (3, 2))
    set_frozen(feed, frozenset(layers(feed)[:2]), layers(feed))
    assert frozen_start(feed) == 3  # Flat pixels, the first layer and its ReLU; not its dropout.


@pytest.mark.parametrize("name", NETWORKS)
def test_the_written_graph_agrees(name, tmp_path):
    onnx_graph = pytest.importorskip("mindspore_dpus.export.onnx_graph")
    build, channels, size = NETWORKS[name]
    spec = ImageSettings(size=size, channels=channels)
    images = np.random.default_rng(0).integers(0, 256, (6, *spec.shape)).astype(np.uint8)
    images = (images * np.linspace(0.05, 1, 6).reshape(6, 1, 1, 1)).astype(np.uint8)
    net = build(4)
    with_statistics(net, Tensor(normalise(images)))
    sharpen(net, images)
    expected = softmax(net(Tensor(normalise(images))).asnumpy())
    assert np.ptp(expected, axis=0).max() > 0.05
    onnx_graph.write_onnx(Members({"00": net}, spec, 4), tmp_path / "net.onnx")
    for n in (1, 6):
        fused, _ = onnx_graph.read_onnx(tmp_path / "net.onnx")(images[:n])
        np.testing.assert_allclose(fused, expected[:n], atol=1e-5)
