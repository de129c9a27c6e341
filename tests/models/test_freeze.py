"""Which layers are frozen, and when."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.models.freeze import Phase, frozen_start, layers, phases, set_frozen, set_train
from mindspore_dpus.models.settings import ModelSettings


@pytest.fixture(scope="module")
def mobilenet():
    return create_model("mobilenet_v2", 2)


@pytest.fixture
def small():
    """Two convolutions with batch norms and a classifier: eight layers."""
    cells = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)]
    return nn.SequentialCell(*cells, nn.Flatten(), nn.Dense(8, 2))


def test_layers_are_counted_in_the_order_of_the_network(small, mobilenet):
    names = ["0.weight", "1.gamma", "1.beta", "2.weight", "3.gamma", "3.beta", "5.weight", "5.bias"]
    assert layers(small) == names
    assert len(layers(mobilenet)) == 158
    assert layers(mobilenet)[:4] == [
        "features.0.weight",
        "features.1.gamma",
        "features.1.beta",
        "features.3.layers.0.weight",
    ]
    assert layers(mobilenet)[-2:] == ["classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(1, 0)]),
        ({"freeze_layers": 4}, [(1, 4)]),
        ({"fine_tuning": "shallow"}, [(1, 6)]),
        ({"fine_tuning": "gradual", "unfreeze_parts": 2}, [(1, 6), (2, 3), (3, 0)]),
        (
            {"fine_tuning": "gradual", "unfreeze_parts": 2, "unfreeze_every": 5, "freeze_layers": 2},
            [(1, 6), (6, 4), (11, 2)],
        ),
    ],
)
def test_phases(small, settings, expected):
    names = layers(small)
    found = phases(small, ModelSettings(**settings))
    assert found == [Phase(epoch, frozenset(names[:n])) for epoch, n in expected]


def test_patterns_hold_in_every_phase(small):
    config = ModelSettings(freeze=["3.*", "5.bias"], fine_tuning="gradual", unfreeze_parts=1)
    first, last = phases(small, config)
    assert last.frozen == {"3.gamma", "3.beta", "5.bias"}
    assert first.frozen == {*layers(small)[:6], "5.bias"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze_layers": 157}, "model.freeze_layers is 157; mobilenet_v2 has 156 layers before the"),
        ({"freeze": ["nothing.*"]}, "no parameter of the backbone fits 'nothing.*'"),
        ({"freeze": ["*"]}, "every parameter is frozen in epoch 1"),
        ({"freeze": ["classifier*"], "fine_tuning": "shallow"}, "every parameter is frozen in epoch 1"),
        ({"freeze": ["classifier*"], "freeze_layers": 156}, "every parameter is frozen in epoch 1"),
    ],
)
def test_what_cannot_be_frozen_is_named(mobilenet, settings, message):
    with pytest.raises(UserError, match=message.replace("*", r"\*")):
        phases(mobilenet, ModelSettings(**settings))


def test_frozen_batch_norms_stay_in_evaluation_mode(small):
    names = layers(small)
    set_frozen(small, frozenset(names[:3]), names)
    set_train(small, True)
    assert [cell.training for cell in (small[1], small[3])] == [False, True]
    before = [small[i].moving_mean.asnumpy().copy() for i in (1, 3)]
    small(Tensor(np.random.default_rng(0).normal(1, 1, (4, 1, 2, 2)).astype(np.float32)))
    after = [small[i].moving_mean.asnumpy() for i in (1, 3)]
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    set_frozen(small, frozenset(), names)
    set_train(small, True)
    assert small[1].training


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_the_sequence_is_the_network(backbone):
    net = create_model(backbone, 3, seed=1)
    net.set_train(False)
    x = images = Tensor(np.random.default_rng(0).normal(size=(2, 3, 40, 40)).astype(np.float32))
    for cell in net.sequence():
        x = cell(x)
    assert np.array_equal(x.asnumpy(), net(images).asnumpy())


@pytest.mark.parametrize(
    ("frozen", "cells"),
    [
        (0, 0),
        (1, 1),  # the convolution
        (2, 1),  # half a batch norm is still trained
        (3, 3),  # and its activation
        (8, 3),  # the first block has two convolutions with their batch norms: 3 to 8
        (9, 4),
        (156, 24),  # all, and the mean of the maps; dropout is never fixed
    ],
)
def test_the_frozen_start_ends_before_the_first_trained_weight(mobilenet, frozen, cells):
    names = layers(mobilenet)
    set_frozen(mobilenet, frozenset(names[:frozen]), names)
    try:
        assert frozen_start(mobilenet) == cells
    finally:
        set_frozen(mobilenet, frozenset(), names)


def test_of_a_network_without_a_sequence_nothing_is_known(small):
    set_frozen(small, frozenset(layers(small)[:6]), layers(small))
    assert frozen_start(small) == 0
