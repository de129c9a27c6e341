"""Checkpoints come back as they went, or with one clear line."""

import errno

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindspore_dpus.core.errors import UserError
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
    with pytest.raises(UserError, match="x.safetensors is damaged or not a checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"stamp": "[]"}, {"stamp": "{"}, {"stamp": "[" * 9999}])
def test_a_foreign_one_is_named(tmp_path, metadata):
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path, metadata)
    with pytest.raises(UserError, match="x.safetensors is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_flipped_bit_anywhere_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, ARRAYS, {"key": "k", "epoch": 1})
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 6):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises(UserError, match="^.*x.safetensors is damaged or not a checkpoint .*$"):
                load_checkpoint(path)


def test_one_of_an_older_version_has_no_checksum_and_is_read(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path, {"stamp": '{"key": "k"}'})
    arrays, stamp = load_checkpoint(path)
    assert stamp == {"key": "k"}
    assert np.array_equal(arrays["a"], ARRAYS["a"])


def test_a_full_disk_is_what_the_system_says_and_leaves_nothing(small_disk):
    path = small_disk / "x.safetensors"
    save_checkpoint(path, ARRAYS, {"key": "k"})
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left on device") as raised:
        save_checkpoint(path, {"a": np.zeros(30_000, np.float32)}, {"key": "k"})
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert [p.name for p in small_disk.iterdir()] == ["x.safetensors"]
    assert path.read_bytes() == before


def test_others_may_read_it_as_they_may_read_any_file(tmp_path):
    (tmp_path / "any").touch()
    save_checkpoint(tmp_path / "x.safetensors", ARRAYS, {"key": "k"})
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode
