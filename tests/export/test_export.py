"""Written graphs against the networks that they were made from."""

import copy
import stat

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.loader import normalise
from mindspore_dpus.export.agreement import check_agreement
from mindspore_dpus.export.graph import Members
from mindspore_dpus.export.mindir import read_mindir, write_mindir
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.weights import assign, classifier_name
from tests.models.test_fold import with_statistics

onnx_graph = pytest.importorskip("mindspore_dpus.export.onnx_graph")
network = pytest.importorskip("mindspore_dpus.export.network")
FUNCTIONS = {
    "onnx": (onnx_graph.write_onnx, onnx_graph.read_onnx),
    "mindir": (write_mindir, read_mindir),
}


@pytest.fixture(autouse=True, scope="module")
def device():
    configure(DeviceSettings(target="CPU"))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sharpen(net, images):
    """Spread the logits of a random network, which are almost equal for all images."""
    logits = net(Tensor(normalise(images))).asnumpy()
    classifier = dict(net.cells_and_names())[classifier_name(net)]
    mean, deviation = logits.mean(axis=0), 4 * logits.std(axis=0)
    bias = (classifier.bias.asnumpy() - mean) / deviation
    assign(classifier.weight, classifier.weight.asnumpy() / deviation[:, None])
    assign(classifier.bias, bias)


@pytest.mark.parametrize(
    ("kind", "backbone", "bits", "channels"),
    [
        ("onnx", "conv4", 8, 1),
        ("onnx", "mobilenet_v2_035", 16, 3),
        ("mindir", "conv4", 16, 3),
    ],
)
def test_raw_images_in_every_members_probabilities_out(tmp_path, kind, backbone, bits, channels):
    spec = ImageSettings(size=32, channels=channels, bits=bits)
    bright = np.linspace(0.05, 1, 16).reshape(16, 1, 1, 1)  # Noise of one mean looks alike to a network.
    images = (np.random.default_rng(0).random((16, *spec.shape)) * bright * 2**bits).astype(spec.dtype)
    nets = {f"{seed:02d}": create_model(backbone, 3, channels, seed=seed) for seed in range(2)}
    for net in nets.values():
        with_statistics(net, Tensor(normalise(images)))
        sharpen(net, images)
    expected = np.stack([softmax(net(Tensor(normalise(images))).asnumpy()) for net in nets.values()])
    assert np.ptp(expected, axis=1).max() > 0.05  # Else any graph would agree.
    write, read = FUNCTIONS[kind]
    path = tmp_path / f"model.{kind}"
    write(Members(nets, spec, 3), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    graph = read(path)
    for n in (1, 3, 16):
        fused, members = graph(images[:n])
        np.testing.assert_allclose(members, expected[:, :n].swapaxes(0, 1), atol=1e-4)
        np.testing.assert_allclose(fused, expected[:, :n].mean(0), atol=1e-4)
    agreement = check_agreement(graph, images, expected)
    assert agreement["images"] == 16
    assert agreement["largest_difference"] < 1e-4
    if kind == "onnx":
        model = network.onnx.load(path)
        assert {"BatchNormalization", "Identity"}.isdisjoint(n.op_type for n in model.graph.node)


class Unwritable(nn.Cell):
    """Holds an operator that MindSpore's exporter lacks."""

    def __init__(self):
        super().__init__()
        self.activation = nn.HSwish()

    def construct(self, x):
        return self.activation(x).mean((2, 3))


def test_a_backbone_that_mindspore_cannot_write_is_one_line(tmp_path):
    members = Members({"00": Unwritable()}, ImageSettings(size=16), 1)
    with pytest.raises(UserError, match="cannot write this backbone as ONNX: .*HSwish") as caught:
        onnx_graph.write_onnx(members, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda fused, members: (fused + 2e-4, members), "differs from the run by 0.0002"),
        (lambda fused, members: (fused, members * np.nan), "differs from the run by nan"),
        (lambda fused, members: (fused, members[:, ::-1]), "differs from the run by"),
        (lambda fused, members: (fused[:1], members[:1]), r"gives \(1, 2, 2\) for 3 images"),
        (lambda fused, members: 1 / 0, "does not run with 1 images: division by zero"),
    ],
)
def test_a_graph_that_says_something_else_is_refused(spoil, words):
    expected = softmax(np.random.default_rng(0).normal(size=(20, 2)) * 3).reshape(2, 10, 2)
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)

    def graph(batch):
        members = copy.copy(expected[:, batch.ravel()].swapaxes(0, 1))
        return members.mean(1), members

    assert check_agreement(graph, images, expected)["largest_difference"] == 0
    with pytest.raises(UserError, match=words):
        check_agreement(lambda batch: spoil(*graph(batch)), images, expected)
