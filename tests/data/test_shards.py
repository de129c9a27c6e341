"""Several files read as one array; made part by part, whatever was killed."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.arrays import save_array
from mindspore_dpus.data.shards import Shards, fill_shards, is_filled, open_shards

ARRAY = np.arange(11 * 6, dtype=np.int16).reshape(11, 2, 3)


def fill(folder, array=ARRAY, rows_per_part=4):
    fill_shards(folder, len(array), rows_per_part, array.__getitem__)
    return folder


@pytest.fixture(params=[1, 3, 4, 11, 100])
def shards(request, tmp_path):
    return open_shards(fill(tmp_path / "x", rows_per_part=request.param))


@pytest.mark.parametrize(
    "key",
    [
        *(0, 3, 4, 10, -1, -11, np.int64(7)),
        *(slice(None), slice(2, 4), slice(3, 9), slice(5, 5), slice(-3, None), slice(9, 2, -2)),
        *(slice(1, 10, 3), slice(8, 99), slice(7, 3), slice(None, None, -1)),
        *(np.array([10, 0, 4, 4, -2]), np.array([], int), np.array([[1, 9], [5, 2]])),
    ],
    ids=str,
)
def test_rows_are_those_of_the_one_array(shards, key):
    assert np.array_equal(shards[key], ARRAY[key])


def test_it_passes_for_an_array(shards):
    assert (len(shards), shards.shape, shards.ndim, shards.dtype) == (11, (11, 2, 3), 3, np.int16)
    assert np.array_equal(np.asarray(shards), ARRAY)
    assert np.asarray(shards, np.float64).dtype == np.float64
    assert np.array_equal(list(shards), ARRAY)
    assert np.array(shards).flags.writeable


@pytest.mark.parametrize("key", [11, -12, np.array([0, 11]), np.array([3, -12])], ids=str)
def test_rows_outside_are_refused(shards, key):
    with pytest.raises(IndexError):
        shards[key]


def test_neighbours_in_one_part_are_not_copied():
    parts = [ARRAY[:4], ARRAY[4:8], ARRAY[8:]]
    assert np.shares_memory(Shards(parts)[5:8], ARRAY)
    assert not np.shares_memory(Shards(parts)[3:8], ARRAY)


def test_only_what_is_missing_is_made(tmp_path):
    folder = fill(tmp_path / "x")
    assert sorted(file.name for file in folder.glob("*.*")) == [
        ".lock",
        "00000.npy",
        "00001.npy",
        "00002.npy",
        "index.json",
    ]
    (folder / "00001.npy").unlink()
    (folder / ".00001.77.tmp.npy").write_bytes(b"killed")
    assert not is_filled(folder)
    made = []
    fill_shards(folder, 11, 4, lambda rows: made.append(rows.tolist()) or -ARRAY[rows])
    assert made == [[4, 5, 6, 7]]
    assert is_filled(folder)
    assert np.array_equal(open_shards(folder), np.concatenate([ARRAY[:4], -ARRAY[4:8], ARRAY[8:]]))
    assert not list(folder.glob("*.tmp*"))


def test_what_cannot_be_made_leaves_it_unfinished(tmp_path):
    fill_shards(tmp_path, 11, 4, lambda rows: None if 5 in rows else ARRAY[rows])
    assert not is_filled(tmp_path)
    assert sorted(file.name for file in tmp_path.glob("*.npy")) == ["00000.npy", "00002.npy"]


def test_two_who_want_the_same_make_every_part_once(tmp_path):
    """Two threads stand for two processes: the lock belongs to an open file."""
    made = []

    def make(rows):
        made.append(int(rows[0]))
        time.sleep(0.1)
        return ARRAY[rows]

    def want(_):
        if not is_filled(tmp_path / "x"):
            fill_shards(tmp_path / "x", len(ARRAY), 4, make)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(want, range(2)))
    assert made == [0, 4, 8]
    assert np.array_equal(open_shards(tmp_path / "x"), ARRAY)


@pytest.mark.parametrize("array", [ARRAY[:3], ARRAY[:4].astype(np.int32), ARRAY[:4, :1]])
def test_a_part_of_another_array_is_named(tmp_path, array):
    save_array(fill(tmp_path / "x") / "00001.npy", array)
    with pytest.raises(UserError, match=r"00001\.npy is damaged .*is not what index\.json says"):
        open_shards(tmp_path / "x")


@pytest.mark.parametrize(
    "index",
    [
        *("[]", "{}", "1", '{"shape": [], "dtype": "u1", "rows_per_part": 4}'),
        *('{"shape": [11], "dtype": "u1", "rows_per_part": 0}', '{"shape": [0], "rows_per_part": 1}'),
        *('{"shape": [11], "dtype": "?!", "rows_per_part": 4}', '{"shape": 5, "rows_per_part": 4}'),
        '{"shape": ["x"], "dtype": "u1", "rows_per_part": 4}',
    ],
)
def test_a_torn_index_is_named(tmp_path, index):
    (fill(tmp_path / "x") / "index.json").write_text(index)
    for read in (is_filled, open_shards):
        with pytest.raises(UserError, match=r"index\.json is damaged"):
            read(tmp_path / "x")
