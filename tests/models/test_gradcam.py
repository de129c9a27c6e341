"""Grad-CAM and HiResCAM against class activation maps by hand, and against torch's autograd."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from safetensors.numpy import save_file

from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.gradcam import GradCam, NoMapError
from mindspore_dpus.models.weights import assign, classifier_name, load_weights

METHODS = ("grad_cam", "hires_cam")
LAST = {"resnet18": "layer4", "mobilenet_v2": "features"}


def batch(n=3, channels=3, size=64):
    return np.random.default_rng(0).normal(size=(n, channels, size, size)).astype(np.float32)


def with_strong_classifier(backbone, num_classes):
    """A network of random weights whose classes are far from equally likely."""
    net = create_model(backbone, num_classes, 1, seed=3)
    rng = np.random.default_rng(1)
    head = dict(net.cells_and_names())[classifier_name(net)]
    assign(head.bias, rng.normal(size=num_classes).astype(np.float32))
    _, example = features(net, LAST[backbone], batch(1, 1))
    scale = 1 / example.mean((2, 3)).std()
    assign(head.weight, (scale * rng.normal(size=head.weight.shape)).astype(np.float32))
    return net, head.weight.asnumpy(), head.bias.asnumpy()


def features(net, layer, images):
    """Logits, and what a Cell gives, (B, K, h, w)."""
    kept = []
    cell = dict(net.cells_and_names())[layer]
    handle = cell.register_forward_hook(lambda cell, inputs, output: kept.append(output.asnumpy()))
    net.set_train(False)
    logits = net(Tensor(images)).asnumpy()
    handle.remove()
    return logits, kept[0]


@pytest.mark.parametrize("backbone", LAST)
def test_before_the_global_average_it_is_the_class_activation_map(backbone):
    net, weight, bias = with_strong_classifier(backbone, 2)
    images, classes = batch(channels=1), np.array([0, 1, 1])
    logits, maps = features(net, LAST[backbone], images)
    # Zhou et al. 2016, Eq. 2, for the difference of the two classes.
    difference = weight[classes] - weight[1 - classes]
    places = maps.shape[2] * maps.shape[3]
    cam = np.einsum("bk,bkhw->bhw", difference, maps) / places
    own, others = logits[range(3), classes], logits[range(3), 1 - classes]
    for method in METHODS:
        net.set_train(True)
        found = GradCam(net, Tensor(images[:1]), LAST[backbone], method)(Tensor(images), classes)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, cam, atol=1e-5 * np.abs(cam).max())
        log_odds = found.sum((1, 2)) + bias[classes] - bias[1 - classes]
        np.testing.assert_allclose(log_odds, own - others, rtol=1e-4, atol=1e-4)


def torch_map(net, layer, images, classes, method):
    """The same by torch: autograd of the logit of the softmax output."""
    import torch

    kept = []
    module = net.get_submodule(layer)
    handle = module.register_forward_hook(lambda module, inputs, output: kept.append(output))
    probability = torch.softmax(net(torch.tensor(images)).double(), 1)
    handle.remove()
    own = probability[range(len(images)), classes]
    (gradient,) = torch.autograd.grad(torch.log(own / (1 - own)).sum(), kept[0])
    if method == "grad_cam":
        gradient = gradient.mean((2, 3), keepdim=True)
    return (gradient * kept[0]).sum(1).detach().numpy()


@pytest.mark.parametrize(
    ("backbone", "layer", "theirs"),
    [("resnet18", "layer2", "layer2"), ("mobilenet_v2", "features.8", "features.6")],
)
def test_in_finer_maps_it_equals_torch(backbone, layer, theirs, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    from tests.models.reference_torch import create

    reference = create(backbone, 5)
    path = tmp_path / "w.safetensors"
    save_file({k: v.numpy() for k, v in reference.state_dict().items()}, path)
    net = create_model(backbone, num_classes=5)
    assert load_weights(net, path).fresh == []
    images, classes = batch(), np.array([4, 0, 2])
    maps = {}
    for method in METHODS:
        cam = GradCam(net, Tensor(images[:1]), None, method)
        assert cam.layer == layer
        maps[method] = cam(Tensor(images), classes)
        expected = torch_map(reference, theirs, images, classes, method)
        assert maps[method].shape == (3, 8, 8) == expected.shape
        np.testing.assert_allclose(maps[method], expected, atol=1e-3 * np.abs(expected).max())
    difference = np.abs(maps["grad_cam"] - maps["hires_cam"]).max()
    assert difference > 0.1 * np.abs(maps["grad_cam"]).max()


@pytest.mark.parametrize(
    ("backbone", "layers"),
    [
        ("resnet18", {224: "layer4", 128: "layer3"}),
        ("mobilenet_v2", {224: "features", 128: "features.15"}),
        ("squeezenet1_0", {128: "features.10"}),  # one of mindcv's
    ],
)
def test_the_last_map_that_is_fine_enough_is_found(backbone, layers):
    net = create_model(backbone, 2, 1)
    for size, layer in layers.items():
        assert GradCam(net, Tensor(batch(1, 1, size))).layer == layer


def test_a_layer_without_a_map_is_refused():
    net = create_model("resnet18", 2, 1)
    for layer, size, message in (
        ("layer5", 32, "runs no Cell 'layer5'; its parts are: conv1, bn1, .*layer4, classifier"),
        ("classifier", 32, r"'classifier' gives no map of places: .*\(1, 2\)"),
        ("layer4", 32, r"'layer4' gives no map of places: .*\(1, 512, 1, 1\)"),
        ("layer1.0.relu", 32, "'layer1.0.relu' runs 2 times"),
        (None, 8, "no part of the backbone gives a map of 7 x 7 places or more"),
    ):
        with pytest.raises(NoMapError, match=message):
            GradCam(net, Tensor(batch(1, 1, size)), layer)


def test_tokens_are_no_map():
    class Transformer(nn.Cell):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.block, self.head = nn.Conv2d(1, 4, 4, 4), nn.Dense(4, 4), nn.Dense(4, 2)

        def construct(self, x):
            tokens = self.patches(x)
            tokens = tokens.reshape(tokens.shape[0], 4, -1).swapaxes(1, 2)
            return self.head(self.block(tokens).mean(1))

    example = Tensor(batch(1, 1, 32))
    with pytest.raises(NoMapError, match="no part of the backbone gives a map"):
        GradCam(Transformer(), example)
    assert GradCam(Transformer(), example, "patches").shape == (4, 8, 8)


def test_no_hook_is_left_behind():
    net = nn.SequentialCell(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = Tensor(batch(2, 1, 8))
    before = net(images).asnumpy()
    GradCam(net, images[:1], "1")(images, np.array([0, 1]))
    assert not any(cell._forward_hook for _, cell in net.cells_and_names())
    np.testing.assert_array_equal(net(images).asnumpy(), before)
    assert ms.get_context("mode") == ms.PYNATIVE_MODE
