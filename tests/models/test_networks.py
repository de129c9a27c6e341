"""Our Cells against mindcv's independent implementation with the same weights."""

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.common.initializer import Initializer
from safetensors.numpy import save_file

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.weights import (
    assign,
    classifier_name,
    get_state,
    load_weights,
    rename,
    set_state,
    stem_name,
)
from mindspore_dpus.models.widths import MINDCV_NAMES

BACKBONES = ("resnet18", "resnet34", "mobilenet_v2")
# One of each class, where the number of its blocks makes no difference.
CLASSES = ("resnet18", "mobilenet_v2")
STORED = Path(__file__).parent / "reference_logits.npz"


def batch(channels=3, size=64):
    return np.random.default_rng(0).normal(size=(2, channels, size, size)).astype(np.float32)


def patterned_weights(net):
    """Weights that any framework can repeat: a sine over the flat index, scaled by the fan-in."""
    for parameter in net.get_parameters():
        wave = np.sin(np.arange(parameter.size, dtype=np.float64) * 0.7).reshape(parameter.shape)
        kind = parameter.name.rpartition(".")[2]
        if kind in ("gamma", "moving_variance"):
            value = 1 + 0.3 * wave
        elif len(parameter.shape) > 1:
            value = wave * (2 / np.prod(parameter.shape[1:])) ** 0.5
        else:
            value = 0.1 * wave
        assign(parameter, value.astype(np.float32))


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
    ours = create_model(backbone, num_classes=5, random=False)
    report = load_weights(ours, path)
    assert report.fresh == []
    np.testing.assert_allclose(outputs(ours, batch()), outputs(theirs, batch()), atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_equals_torchvision_with_torchvision_weights(backbone, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    from tests.models.reference_torch import create

    theirs = create(backbone, 5)
    for path in (tmp_path / "w.safetensors", tmp_path / "w.pth"):
        if path.suffix == ".pth":
            torch.save(theirs.state_dict(), path)
        else:
            save_file({k: v.numpy() for k, v in theirs.state_dict().items()}, path)
        ours = create_model(backbone, num_classes=5)
        assert load_weights(ours, path).fresh == []
        with torch.inference_mode():
            expected = theirs(torch.tensor(batch())).numpy()
        np.testing.assert_allclose(outputs(ours, batch()), expected, atol=1e-4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_equals_stored_logits(backbone):
    # Made by the torch reference on the same weights: python -m tests.models.test_networks
    net = create_model(backbone, num_classes=5, random=False)
    patterned_weights(net)
    with np.load(STORED) as stored:
        np.testing.assert_allclose(outputs(net, batch()), stored[backbone], rtol=1e-4, atol=1e-4)


def test_grey_stem_sees_what_a_repeated_grey_image_shows(pair):
    backbone, _, path = pair
    colour, grey = (create_model(backbone, 5, channels, random=False) for channels in (3, 1))
    load_weights(colour, path)
    load_weights(grey, path)
    image = batch(channels=1)
    repeated = outputs(colour, np.repeat(image, 3, axis=1))
    np.testing.assert_allclose(outputs(grey, image), repeated, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "parameters"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("mobilenet_v2", 3_504_872),
        ("mobilenet_v2_050", 1_968_680),
    ],
)
def test_has_as_many_parameters_as_published(backbone, parameters):
    net = create_model(backbone, num_classes=1000, random=False)
    assert sum(p.size for p in net.trainable_params()) == parameters


@pytest.mark.parametrize("backbone", CLASSES)
def test_equal_seeds_give_equal_weights(backbone):
    nets = [create_model(backbone, 2, 1, seed=seed) for seed in (3, 3, 4)]
    first, second, other = map(get_state, nets)
    stem = f"{stem_name(nets[0])}.weight"
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first[stem], other[stem])


@pytest.mark.parametrize("backbone", [*CLASSES, "squeezenet1_0"])
def test_a_network_without_random_weights_is_filled_like_another(backbone):
    drawn, empty = create_model(backbone, 2, 1), create_model(backbone, 2, 1, random=False)
    names = [p.name for p in empty.get_parameters()]
    assert names == [p.name for p in drawn.get_parameters()]
    assert all(not p.asnumpy().any() for p in empty.get_parameters())
    set_state(empty, get_state(drawn))
    image = batch(channels=1)
    np.testing.assert_array_equal(outputs(empty, image), outputs(drawn, image))


def test_other_names_come_from_mindcv():
    net = create_model("squeezenet1_0", num_classes=3, in_channels=1)
    assert outputs(net, batch(channels=1)).shape == (2, 3)
    assert classifier_name(create_model("resnet50", 3, random=False)) == "classifier"


def test_an_unknown_name_gets_the_nearest_ones():
    with pytest.raises(UserError) as caught:
        create_model("mobilenet_v2_141", 2)
    # mindcv has one of that name, too.
    assert str(caught.value).count("mobilenet_v2_140") == 1
    with pytest.raises(UserError, match="unknown backbone 'resnet19'.*resnet18"):
        create_model("resnet19", 2)


def store_reference_logits():
    """Write ``reference_logits.npz`` by the torch reference, on ``patterned_weights``."""
    import torch

    from tests.models.reference_torch import create

    logits = {}
    for backbone in BACKBONES:
        ours, theirs = create_model(backbone, 5), create(backbone, 5)
        patterned_weights(ours)
        state = get_state(ours)
        names = [name for name in theirs.state_dict() if "num_batches" not in name]
        own_names = rename(dict.fromkeys(names), ours)
        values = {n: torch.tensor(state[o]) for n, o in zip(names, own_names, strict=True)}
        theirs.load_state_dict(values, strict=False)
        with torch.inference_mode():
            logits[backbone] = theirs(torch.tensor(batch())).numpy()
    np.savez(STORED, **logits)


if __name__ == "__main__":
    store_reference_logits()


def test_who_copies_a_network_to_be_filled_draws_no_random_weights(monkeypatch):
    net = create_model("resnet18", num_classes=2, in_channels=1, random=False)
    assert all(not parameter.asnumpy().any() for parameter in net.get_parameters())

    def refuse(*args):
        raise AssertionError("random weights were drawn")

    monkeypatch.setattr(Initializer, "__call__", refuse)
    copies = net.parameters_dict()["conv1.weight"].clone()
    assert copies.shape == (64, 1, 7, 7)
    assert not copies.asnumpy().any()
