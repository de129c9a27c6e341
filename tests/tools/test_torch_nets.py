"""Both sides do the same work, each with its own library. (tests/models compares the networks.)"""

import importlib.util

import pytest

from mindspore_dpus.core.errors import UserError
from tests.test_layers import loaded

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed (extra: reference)"
)


@needs_torch
def test_both_sides_normalise_alike():
    import numpy as np
    from benchmarking.torch_peer import normalise
    from benchmarking.workloads import grey_images

    from mindspore_dpus.data import loader

    images = grey_images(2, 8)
    np.testing.assert_allclose(normalise(images).numpy(), loader.normalise(images), rtol=0, atol=1e-5)


@needs_torch
def test_every_network_is_made_by_its_own_name():
    from benchmarking.torch_nets import NETS, create_net

    sizes = {name: sum(p.numel() for p in create_net(name, 1000, 3).parameters()) for name in NETS}
    # torchvision's numbers.
    resnets = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032}
    assert sizes == resnets | {"mobilenet_v2": 3_504_872}


@needs_torch
def test_a_network_that_is_not_known_is_an_error():
    from benchmarking.torch_nets import create_net

    with pytest.raises(UserError, match="no network 'mobilenet_v3'.*use resnet18, resnet34, "):
        create_net("mobilenet_v3", 2, 1)


def test_neither_sides_process_loads_the_others_library():
    roots = {
        side: {name.split(".")[0] for name in loaded(f"benchmarking.{side}")}
        for side in ("torch_peer", "ours", "runner")
    }
    assert "mindspore" not in roots["torch_peer"] | roots["runner"]
    assert "torch" not in roots["ours"] | roots["runner"] | {
        name.split(".")[0] for name in loaded("tools.benchmark")
    }
