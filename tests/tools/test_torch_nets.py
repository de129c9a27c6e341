"""Both sides do the same work, each with its own library. (tests/models compares the networks.)"""

import importlib.util

import pytest

from tests.test_layers import loaded

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed (extra: reference)"
)


@needs_torch
def test_both_sides_normalise_alike():
    import numpy as np
    from benchmarking.inputs import grey_images
    from benchmarking.torch_peer import normalise

    from mindspore_dpus.data import loader

    images = grey_images(2, 8)
    np.testing.assert_allclose(normalise(images).numpy(), loader.normalise(images), rtol=0, atol=1e-5)


def test_neither_sides_process_loads_the_others_library():
    roots = {
        side: {name.split(".")[0] for name in loaded(f"benchmarking.{side}")}
        for side in ("torch_peer", "ours", "runner")
    }
    assert "mindspore" not in roots["torch_peer"] | roots["runner"]
    assert "torch" not in roots["ours"] | roots["runner"] | {
        name.split(".")[0] for name in loaded("tools.benchmark")
    }
