"""Dropout from a seed: its share, its scale, its repetition."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from mindspore_dpus.core.device import configure
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.models.dropout import seed_dropout, use_seeded_dropout
from mindspore_dpus.models.factory import create_model


@pytest.fixture
def net():
    """Two dropouts, and one that never drops."""
    net = nn.SequentialCell(nn.Dropout(p=0.25), nn.ReLU(), nn.Dropout(p=0.5), nn.Dropout(p=0.0))
    assert use_seeded_dropout(net) == 2
    net.set_train(True)
    return net


ONES = Tensor(np.ones((100, 100), np.float32))


def test_equal_seeds_give_equal_masks(net):
    outputs = []
    for seed in ([1, 2], [1, 2], [1, 3]):
        seed_dropout(net, seed)
        outputs.append([net(ONES).asnumpy() for _ in range(2)])
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0][0], outputs[2][0])
    assert not np.array_equal(outputs[0][0], outputs[0][1])


def test_it_drops_its_share_and_keeps_the_mean(net):
    seed_dropout(net, [0])
    first = net[0](ONES).asnumpy()
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.02)
    both = (net[0](ONES).asnumpy() == 0) & (net[2](ONES).asnumpy() == 0)
    assert both.mean() == pytest.approx(0.125, abs=0.02)


def test_in_evaluation_nothing_is_dropped(net):
    net.set_train(False)
    assert np.array_equal(net(ONES).asnumpy(), ONES.asnumpy())


def test_gradients_go_through_what_is_kept(net):
    from mindspore import grad

    seed_dropout(net, [0])
    kept = net[0](ONES).asnumpy()
    seed_dropout(net, [0])
    assert np.array_equal(grad(net[0])(ONES).asnumpy(), kept)


def test_mindcvs_networks_are_repeatable():
    net = create_model("squeezenet1_0", 3, device=configure(DeviceSettings(target="CPU")))
    net.set_train(True)
    images = Tensor(np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32))
    outputs = []
    for seed in ([1], [1], [2]):
        seed_dropout(net, seed)
        outputs.append(net(images).asnumpy())
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
