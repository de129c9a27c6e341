"""Checkpoints come back as they went, or with one clear line."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindspore_dpus.errors import UserError
from mindspore_dpus.training.checkpoint import load_checkpoint, save_checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(1, np.int32)}


def test_roundtrip(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {**ARRAYS, "t": ARRAYS["a"].T}, {"key": "k", "history": [{"epoch": 1}]})
    arrays, stamp = load_checkpoint(path)
    assert stamp == {"key": "k", "history": [{"epoch": 1}]}
    assert np.array_equal(arrays["a"], ARRAYS["a"])
    assert np.array_equal(arrays["t"], ARRAYS["a"].T)
    assert arrays["b"].dtype == np.int32
    assert arrays["b"].shape == ()
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_missing_one_is_named(tmp_path):
    with pytest.raises(UserError, match="x.safetensors is missing"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("size", [0, 5, 20, 100, -1])
def test_a_torn_one_is_named(tmp_path, size):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, ARRAYS, {"key": "k"})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="x.safetensors is torn or not a checkpoint"):
        load_checkpoint(path)


def test_a_foreign_one_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path)
    with pytest.raises(UserError, match="x.safetensors is torn or not a checkpoint"):
        load_checkpoint(path)
