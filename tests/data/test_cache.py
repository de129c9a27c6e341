"""Images are decoded once; broken ones and a full disk leave a message and no cache."""

import dataclasses
import errno

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data import cache
from mindspore_dpus.data.cache import build_cache, cache_path
from mindspore_dpus.data.hashing import fingerprint
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.shards import open_shards

SPEC = ImageSettings(size=16)
OTHER = {
    "size": 17,
    "channels": 3,
    "bits": 16,
    "value_range": "minmax",
    "percentiles": (1, 99),
    "window": (0, 1),
    "preprocess": ("gaussian_blur",),
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


@pytest.mark.parametrize("spec", [SPEC, ImageSettings(size=8, channels=3, bits=16)])
def test_row_i_is_image_i_prepared(table, tmp_path, spec):
    images = open_shards(build(table, tmp_path, spec))
    assert images.dtype == spec.dtype
    expected = [load_prepared(tmp_path / name, spec) for name in table["path"]]
    assert np.array_equal(images, np.stack(expected))
    with pytest.raises(ValueError, match="read-only"):
        images[0][:] = 0


def test_what_is_built_is_not_decoded_again(table, tmp_path):
    path = build(table, tmp_path)
    before = {file: file.stat() for file in path.iterdir()}
    for name in table["path"]:
        (tmp_path / name).write_bytes(b"no image any more")
    build_cache(table, tmp_path, SPEC, path, tmp_path / "unreadable.csv")
    assert {file: file.stat() for file in path.iterdir()} == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_killed_decoding_goes_on_with_the_part_that_is_missing(table, tmp_path, monkeypatch):
    """Two images a part; the other parts are kept, though their files could not be read any more."""
    monkeypatch.setattr(cache, "PART", 2 * 16 * 16 + 1)
    path = build(table, tmp_path)
    expected = np.array(open_shards(path))
    assert sorted(file.name for file in path.glob("0*")) == ["00000.npy", "00001.npy", "00002.npy"]
    (path / "index.json").unlink()
    (path / "00001.npy").unlink()
    for i in (0, 1, 4):
        (tmp_path / f"{i}.png").write_bytes(b"no image any more")
    build_cache(table, tmp_path, SPEC, path, tmp_path / "unreadable.csv")
    assert np.array_equal(open_shards(path), expected)


def test_broken_images_of_every_part_are_listed(table, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PART", 16 * 16)
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.png .*\(2 of 5 images"):
        build(table, tmp_path)
    assert pd.read_csv(tmp_path / "unreadable.csv")["path"].tolist() == ["1.png", "3.png"]
    assert list((tmp_path / "cache").iterdir()) == []


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
    assert len(open_shards(build(table, tmp_path))) == 5
    assert not (tmp_path / "unreadable.csv").exists()


def test_a_part_with_a_broken_image_is_never_kept(table, tmp_path, monkeypatch):
    """Killed before it could clean up: the next start must not take what is not there for black."""

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "PART", 2 * 16 * 16)
    monkeypatch.setattr(cache.shutil, "rmtree", killed)
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(KeyboardInterrupt):
        build(table, tmp_path)
    assert sorted(file.name for file in tmp_path.glob("cache/*/*.npy")) == ["00000.npy", "00002.npy"]


@pytest.mark.parametrize("field", dataclasses.fields(ImageSettings), ids=lambda field: field.name)
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
    assert np.all(open_shards(second)[2] == 0)
    assert not np.all(open_shards(first)[2] == 0)


def test_a_full_disk_is_an_error_not_a_crash(table, tmp_path, small_disk):
    with pytest.raises(OSError, match="No space left") as caught:
        build(table, tmp_path, ImageSettings(size=128), small_disk)
    assert caught.value.errno == errno.ENOSPC
    assert str(small_disk) in caught.value.filename
    assert list(small_disk.glob("*/*.npy")) == []
