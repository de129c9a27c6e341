"""Our Cells against mindcv's independent implementation with the same weights."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindspore_dpus.errors import UserError
from mindspore_dpus.models.factory import classifier_name, create_model, stem_name
from mindspore_dpus.models.pretrained import MINDCV_NAMES
from mindspore_dpus.models.weights import get_state, load_weights

BACKBONES = ("resnet18", "mobilenet_v2")


def batch(channels=3, size=64):
    return np.random.default_rng(0).normal(size=(2, channels, size, size)).astype(np.float32)


def outputs(net, images):
    net.set_train(False)
    return net(Tensor(images)).asnumpy()


@pytest.fixture(scope="module", params=BACKBONES)
def pair(request, tmp_path_factory):
    """(backbone, mindcv's network with unusual batch norms, its checkpoint)."""
    import mindcv

    name = MINDCV_NAMES.get(request.param, request.param)
    net = mindcv.create_model(name, num_classes=5)
    rng = np.random.default_rng(1)
    for parameter in net.get_parameters():
        if "moving_" in parameter.name:
            parameter.set_data(Tensor(rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32)))
    path = tmp_path_factory.mktemp("ckpt") / "mindcv.ckpt"
    ms.save_checkpoint(net, str(path))
    return request.param, net, path


def test_equals_mindcv_with_mindcv_weights(pair):
    backbone, theirs, path = pair
    ours = create_model(backbone, num_classes=5)
    report = load_weights(ours, path)
    assert report.fresh == []
    np.testing.assert_allclose(outputs(ours, batch()), outputs(theirs, batch()), atol=1e-5)


def test_grey_stem_sees_what_a_repeated_grey_image_shows(pair):
    backbone, _, path = pair
    colour, grey = create_model(backbone, 5, 3), create_model(backbone, 5, 1)
    load_weights(colour, path)
    load_weights(grey, path)
    image = batch(channels=1)
    repeated = outputs(colour, np.repeat(image, 3, axis=1))
    np.testing.assert_allclose(outputs(grey, image), repeated, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "parameters"), [("resnet18", 11_689_512), ("mobilenet_v2", 3_504_872)]
)
def test_has_as_many_parameters_as_published(backbone, parameters):
    net = create_model(backbone, num_classes=1000)
    assert sum(p.size for p in net.trainable_params()) == parameters


@pytest.mark.parametrize("backbone", BACKBONES)
def test_equal_seeds_give_equal_weights(backbone):
    first, second, other = (get_state(create_model(backbone, 2, 1, seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(
        first[f"{stem_name(create_model(backbone, 2))}.weight"],
        other[f"{stem_name(create_model(backbone, 2))}.weight"],
    )


def test_other_names_come_from_mindcv():
    net = create_model("squeezenet1_0", num_classes=3, in_channels=1)
    assert outputs(net, batch(channels=1)).shape == (2, 3)
    assert classifier_name(create_model("resnet34", 3)) == "classifier"


def test_an_unknown_name_gets_the_nearest_ones():
    with pytest.raises(UserError, match="unknown backbone 'resnet81'.*resnet18"):
        create_model("resnet81", 2)
