"""Turned kernels: what is exact, and what is not."""

from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor, nn
from safetensors.numpy import save_file

from mindspore_dpus.models.classifier import Classifier
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.fold import replace_cell
from mindspore_dpus.models.mobilenet_v2 import MobileNetV2
from mindspore_dpus.models.rotate import rotate_kernels
from mindspore_dpus.models.settings import ModelSettings
from mindspore_dpus.models.weights import assign, get_state, read_checkpoint, rename

FILE = (
    Path(__file__).parents[3]
    / "shared"
    / "weights"
    / "mobilenet_v2_imagenet_torchvision_names.safetensors"
)


def test_kernels_are_turned_and_nothing_else():
    kernel = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)
    state = {"conv.weight": kernel, "conv.bias": np.arange(2), "fc.weight": np.arange(6).reshape(2, 3)}
    turned = rotate_kernels(state)
    assert turned["conv.weight"].tolist() == [[[[5, 4, 3], [2, 1, 0]]], [[[11, 10, 9], [8, 7, 6]]]]
    assert turned["conv.weight"].flags.c_contiguous
    assert kernel[0, 0, 0, 0] == 0
    assert turned["conv.bias"] is state["conv.bias"]
    assert turned["fc.weight"] is state["fc.weight"]
    assert np.array_equal(rotate_kernels(turned)["conv.weight"], kernel)


@pytest.mark.parametrize(("size", "exact"), [(9, True), (8, False)])
def test_a_layer_of_stride_2_commutes_with_the_turn_for_odd_sides_only(size, exact):
    conv = nn.Conv2d(1, 2, 3, 2, pad_mode="pad", padding=1)
    image = np.random.default_rng(0).normal(size=(1, 1, size, size)).astype(np.float32)
    expected = conv(Tensor(turn(image))).asnumpy()
    assign(conv.weight, rotate_kernels({"w": conv.weight.asnumpy()})["w"])
    found = turn(conv(Tensor(image)).asnumpy())
    assert np.allclose(found, expected, atol=1e-5) == exact


def turn(images):
    return np.ascontiguousarray(images[..., ::-1, ::-1])


def filled(state):
    net = MobileNetV2(1000)
    own = rename(state, net)
    for parameter in net.get_parameters():
        assign(parameter, own[parameter.name])
    net.set_train(False)
    return net


def with_same_padding(net):
    """Pad as TensorFlow does: of even sides, the far ones only."""
    for name, cell in list(net.cells_and_names()):
        if isinstance(cell, nn.Conv2d) and cell.stride[0] == 2:
            new = nn.Conv2d(cell.in_channels, cell.out_channels, 3, 2, pad_mode="same", group=cell.group)
            assign(new.weight, cell.weight.asnumpy())
            replace_cell(net, name, new)
    net.set_train(False)
    return net


@pytest.mark.skipif(not FILE.is_file(), reason="the real weights of ../shared are not here")
def test_the_real_network_turned_is_the_network_on_turned_images():
    state = read_checkpoint(FILE)
    stored, turned = filled(state), filled(rotate_kernels(state))
    noise = np.random.default_rng(0).normal(size=(1, 3, 65, 65)).astype(np.float32)
    for images, exact in ((noise, True), (noise[..., :64, :64], False)):
        expected = stored(Tensor(turn(images))).asnumpy()
        found = turned(Tensor(np.ascontiguousarray(images))).asnumpy()
        assert np.abs(expected).max() > 1
        assert np.allclose(found, expected, atol=1e-4) == exact
    padded = with_same_padding(turned)(Tensor(np.ascontiguousarray(images))).asnumpy()
    np.testing.assert_allclose(padded, expected, atol=1e-4)


def test_a_classifier_starts_from_turned_kernels(tmp_path):
    net = create_model("mobilenet_v2", 2, seed=1, options={"width": 0.35})
    state = get_state(net)
    file = tmp_path / "weights.safetensors"
    save_file(state, file)
    starts = {}
    for rotate in (False, True):
        model = ModelSettings(options={"width": 0.35}, pretrained=str(file), rotate=rotate)
        starts[rotate] = Classifier(model, 3, 3, file).start(0)
    turned = rotate_kernels(starts[False])
    assert all(np.array_equal(starts[True][name], turned[name]) for name in turned)
    assert np.array_equal(
        starts[True]["features.0.weight"], state["features.0.weight"][:, :, ::-1, ::-1]
    )
