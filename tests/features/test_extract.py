"""Any named Cell of any backbone, averaged over height and width."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.features.extract import extract, feature_layer, needed_parameters
from mindspore_dpus.models.factory import create_model


@pytest.fixture(scope="module")
def device():
    return configure(DeviceSettings(target="CPU", idle_main_thread=False))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("backbone", "layer", "dimensions"),
    [
        ("resnet18", None, 512),
        ("resnet18", "layer3", 256),
        ("resnet18", "layer1.0.conv1", 64),
        ("mobilenet_v2", None, 1280),
        ("mobilenet_v2", "features.6", 32),
        ("resnet34", None, 512),
    ],
)
def test_every_layer_gives_a_vector_an_image(device, images, backbone, layer, dimensions):
    net = create_model(backbone, 10, 1)
    rows = np.array([4, 0, 2])
    vectors = extract(net, feature_layer(net, layer), images, rows, 2, device)
    assert vectors.shape == (3, dimensions)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_the_layer_is_averaged_over_the_map(device, images):
    net = create_model("resnet18", 10, 1)
    net.set_train(False)
    x = Tensor(normalise(images))
    maps = net.layer1(net.max_pool(net.relu(net.bn1(net.conv1(x))))).asnumpy()
    vectors = extract(net, "layer1", images, np.arange(5), 5, device)
    np.testing.assert_allclose(vectors, maps.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_the_last_layer_is_what_the_classifier_sees(device, images):
    net = create_model("mobilenet_v2", 10, 1)
    vectors = extract(net, feature_layer(net, None), images, np.arange(5), 2, device)
    dense = net.classifier[1]
    logits = vectors @ dense.weight.asnumpy().T + dense.bias.asnumpy()
    np.testing.assert_allclose(net(Tensor(normalise(images))).asnumpy(), logits, atol=1e-4)


def test_rows_come_in_their_order_whatever_the_batch(device, images):
    net = create_model("resnet18", 10, 1)
    rows = np.array([4, 0, 2])
    given = extract(net, "layer1", images, rows, 2, device)
    whole = extract(net, "layer1", images, np.arange(5), 5, device)
    np.testing.assert_allclose(given, whole[rows], rtol=1e-4, atol=1e-5)


def test_an_unknown_layer_gets_a_list():
    net = create_model("resnet18", 10, 1)
    with pytest.raises(UserError, match="no Cell 'layer9'; its Cells are: conv1, bn1, .*layer4"):
        feature_layer(net, "layer9")


def test_only_parameters_up_to_the_layer_are_needed():
    net = create_model("resnet18", 10, 1)
    needed = needed_parameters(net, "layer3")
    assert needed[-1].startswith("layer3.1.bn2")
    assert not any(name.startswith(("layer4", "fc")) for name in needed)
    assert not any(name.startswith("fc") for name in needed_parameters(net, "layer4"))


class Sequences(nn.Cell):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Dense(1, 3)
        self.classifier = nn.Dense(3, 2)

    def construct(self, x):
        return self.classifier(self.tokens(x.reshape(len(x), -1, 1)).mean(1))


def test_what_is_neither_a_vector_nor_a_map_is_named(device, images):
    with pytest.raises(
        UserError, match=r"features.layer tokens: its output has the shape \(5, 1024, 3\)"
    ):
        extract(Sequences(), "tokens", images, np.arange(5), 5, device)
