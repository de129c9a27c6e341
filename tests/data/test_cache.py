"""Images are decoded once; broken ones and a full disk leave a message and no cache."""

import dataclasses
import errno

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.data.cache import build_cache, cache_path, load_arrays, open_cache
from mindspore_dpus.data.images import ImageSpec, load_prepared
from mindspore_dpus.errors import UserError
from mindspore_dpus.hashing import fingerprint

SPEC = ImageSpec(size=16)
OTHER = {
    "size": 17,
    "channels": 3,
    "bits": 16,
    "value_range": "minmax",
    "percentiles": (1, 99),
    "window": (0, 1),
    "max_pixels": 1000,
}


@pytest.fixture
def table(tmp_path):
    """Five images of several sizes in tmp_path."""
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(5)]
    for i, name in enumerate(names):
        assert cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (12 + 5 * i, 20), np.uint8))
    return pd.DataFrame({"path": names, "label": list("xyxyx")})


def build(table, tmp_path, spec=SPEC, folder=None):
    prints = fingerprint(table["path"], tmp_path, tmp_path / "hashes.csv")
    path = cache_path(folder or tmp_path / "cache", prints, spec)
    build_cache(table, tmp_path, spec, path, tmp_path / "unreadable.csv")
    return path


@pytest.mark.parametrize("spec", [SPEC, ImageSpec(size=8, channels=3, bits=16)])
def test_row_i_is_image_i_prepared(table, tmp_path, spec):
    images = open_cache(build(table, tmp_path, spec))
    assert images.dtype == spec.dtype
    expected = [load_prepared(tmp_path / name, spec) for name in table["path"]]
    assert np.array_equal(images, np.stack(expected))
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_what_is_built_is_not_decoded_again(table, tmp_path):
    path = build(table, tmp_path)
    before = path.stat()
    for name in table["path"]:
        (tmp_path / name).write_bytes(b"no image any more")
    build_cache(table, tmp_path, SPEC, path, tmp_path / "unreadable.csv")
    assert path.stat() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_broken_images_are_all_listed_and_no_cache_is_left(table, tmp_path):
    good = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "1.png").write_bytes(good[:-20])
    with pytest.raises(UserError, match=r"1\.png is truncated.*\(2 of 5 images .*unreadable\.csv"):
        build(table, tmp_path)
    unreadable = pd.read_csv(tmp_path / "unreadable.csv")
    assert unreadable["path"].tolist() == ["1.png", "3.png"]
    assert unreadable["error"].str.contains(r"truncated|0 bytes").all()
    assert list((tmp_path / "cache").iterdir()) == []
    for name in ("1.png", "3.png"):
        (tmp_path / name).write_bytes(good)
    assert len(open_cache(build(table, tmp_path))) == 5
    assert not (tmp_path / "unreadable.csv").exists()


@pytest.mark.parametrize("field", dataclasses.fields(ImageSpec), ids=lambda field: field.name)
def test_another_spec_is_another_file_unless_it_changes_no_pixel(tmp_path, field):
    change = OTHER[field.name]
    assert change != getattr(SPEC, field.name)
    other = dataclasses.replace(SPEC, **{field.name: change})
    same = cache_path(tmp_path, "data", other) == cache_path(tmp_path, "data", SPEC)
    assert same == (field.name == "max_pixels")


def test_a_changed_file_is_another_cache(table, tmp_path):
    first = build(table, tmp_path)
    assert cv2.imwrite(str(tmp_path / "2.png"), np.zeros((9, 9), np.uint8))
    second = build(table, tmp_path)
    assert second != first
    assert np.all(open_cache(second)[2] == 0)
    assert not np.all(open_cache(first)[2] == 0)


def test_a_full_disk_is_an_error_not_a_crash(table, tmp_path, small_disk):
    with pytest.raises(OSError, match="No space left") as caught:
        build(table, tmp_path, ImageSpec(size=128), small_disk)
    assert caught.value.errno == errno.ENOSPC
    assert str(small_disk) in caught.value.filename
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"text"])
def test_a_torn_cache_is_named(tmp_path, content):
    for name, read in (("images.npy", open_cache), ("features.npz", load_arrays)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is torn or of another kind .*; delete it"):
            read(path)


def test_a_short_cache_and_a_missing_array_are_named(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((4, 8, 8, 1), np.uint8))
    data = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(data[:-1])
    with pytest.raises(UserError, match="images.npy is torn"):
        open_cache(tmp_path / "images.npy")
    np.savez(tmp_path / "x.npz", a=np.arange(3), pickled=np.array([None]))
    assert load_arrays(tmp_path / "x.npz", ["a"])["a"].tolist() == [0, 1, 2]
    for name, reason in (("b", "not a file"), ("pickled", "allow_pickle=False")):
        with pytest.raises(UserError, match=f"x.npz is torn .*{reason}"):
            load_arrays(tmp_path / "x.npz", [name])
