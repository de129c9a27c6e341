"""Deep ResNets, VGG and AlexNet: mindcv's names and outputs, torchvision's numbers of weights."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from mindspore_dpus.models.factory import OURS, create_model
from mindspore_dpus.models.freeze import layers
from mindspore_dpus.models.plain import Resize
from mindspore_dpus.models.weights import assign, load_weights


def images(size, channels=3):
    return Tensor(np.random.default_rng(0).normal(size=(1, channels, size, size)).astype(np.float32))


def shapes(net):
    return {p.name: p.shape for p in net.get_parameters()}


def without_weights(backbone, **options):
    """A network of which only names and shapes are wanted: random weights of VGG take a gigabyte."""
    with no_init_parameters():
        return OURS[backbone](**options)


def test_a_bottleneck_network_equals_mindcv_with_mindcv_weights(tmp_path):
    import mindcv

    theirs = mindcv.create_model("resnext50_32x4d", num_classes=3)
    rng = np.random.default_rng(1)
    for parameter in theirs.get_parameters():
        if "moving_" in parameter.name:
            assign(parameter, rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32))
    ms.save_checkpoint(theirs, str(tmp_path / "theirs.ckpt"))
    ours = create_model("resnext50_32x4d", 3, random=False)
    assert load_weights(ours, tmp_path / "theirs.ckpt").fresh == []
    for net in (ours, theirs):
        net.set_train(False)
    np.testing.assert_allclose(ours(images(64)).asnumpy(), theirs(images(64)).asnumpy(), atol=1e-4)
    x = images(64)
    for cell in ours.sequence():
        x = cell(x)
    assert np.array_equal(x.asnumpy(), ours(images(64)).asnumpy())


@pytest.mark.parametrize(
    ("backbone", "n_layers", "n_weights"),
    [
        # Numbers of weights: those of torchvision's documentation.
        ("resnext50_32x4d", 161, 25_028_904),
        ("resnet50", 161, 25_557_032),
        ("resnet101", 314, 44_549_160),
    ],
)
def test_has_as_many_weights_as_published(backbone, n_layers, n_weights):
    net = without_weights(backbone)
    assert len(layers(net)) == n_layers
    assert sum(p.size for p in net.trainable_params()) == n_weights


def test_alexnet_takes_images_of_any_size():
    net = create_model("alexnet", 3, 1, random=False)
    net.set_train(False)
    assert sum(p.size for p in without_weights("alexnet").trainable_params()) == 61_100_840
    for size in (63, 96, 224):
        assert net(images(size, 1)).shape == (1, 3)


@pytest.mark.parametrize("size", [2, 7, 10])
def test_resizing_maps_equals_torch(size):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    x = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(x), 7).numpy()
    np.testing.assert_allclose(Resize(7)(Tensor(x)).asnumpy(), expected, atol=1e-6)


def test_vgg_has_the_names_of_mindcv_and_torchvision():
    biases = 64 * 2 + 128 * 2 + 256 * 3 + 512 * 6
    names = shapes(without_weights("vgg16", num_classes=3))
    # mindcv's convolutions have no bias.
    assert [name for name in names if name.startswith("features.2")] == [
        f"features.{i}.weight" for i in (2, 21, 24, 26, 28)
    ]
    assert sum(map(np.prod, names.values())) == 138_357_544 - biases - 997 * 4097
    names = shapes(without_weights("vgg19_bn", num_classes=3))
    assert names["features.0.bias"] == names["features.1.gamma"] == (64,)
    assert names["features.49.weight"] == (512, 512, 3, 3)
    assert names["classifier.6.weight"] == (3, 4096)
    weights = [shape for name, shape in names.items() if "moving_" not in name]
    assert sum(map(np.prod, weights)) == 143_678_248 - 997 * 4097
