"""Arrays come back as they were written; torn files are named."""

import errno

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data import arrays
from mindspore_dpus.data.arrays import load_arrays, open_array, save_array, save_arrays

ARRAYS = {
    "numbers": np.arange(35, dtype=np.float32).reshape(7, 5),
    "wide": np.arange(42).reshape(3, 7, 2)[:, ::-1],
    "text": np.array(["a/b.png", "ä"]),
    "none": np.zeros((0, 4), np.uint16),
}


@pytest.mark.parametrize("block", [1, 40, arrays.BLOCK])
def test_what_is_written_is_what_numpy_reads(tmp_path, monkeypatch, block):
    monkeypatch.setattr(arrays, "BLOCK", block)
    save_arrays(tmp_path / "x.npz", ARRAYS)
    found = load_arrays(tmp_path / "x.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        save_array(tmp_path / "x.npy", array)
        for value in (found[name], np.load(tmp_path / "x.npy")):
            assert value.dtype == array.dtype
            assert np.array_equal(value, array)


def test_an_array_is_mapped_and_read_only(tmp_path):
    save_array(tmp_path / "x.npy", ARRAYS["numbers"])
    array = open_array(tmp_path / "x.npy")
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_a_full_disk_says_so(small_disk):
    with pytest.raises(OSError, match="No space left") as caught:
        save_array(small_disk / "x.npy", np.zeros(2**24))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"text"])
def test_a_torn_file_is_named(tmp_path, content):
    for name, read in (("images.npy", open_array), ("features.npz", load_arrays)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is damaged or of another kind .*; delete it"):
            read(path)


def test_a_short_array_and_a_missing_one_are_named(tmp_path):
    save_array(tmp_path / "images.npy", np.zeros((4, 8, 8, 1), np.uint8))
    data = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(data[:-1])
    with pytest.raises(UserError, match=r"images\.npy is damaged"):
        open_array(tmp_path / "images.npy")
    np.savez(tmp_path / "x.npz", a=np.arange(3), pickled=np.array([None]))
    assert load_arrays(tmp_path / "x.npz", ["a"])["a"].tolist() == [0, 1, 2]
    for name, reason in (("b", "not a file"), ("pickled", "allow_pickle=False")):
        with pytest.raises(UserError, match=rf"x\.npz is damaged .*{reason}"):
            load_arrays(tmp_path / "x.npz", [name])
