"""Files are known by what they hold, and read once for it."""

import hashlib
import os
import shutil

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data import hashing
from mindspore_dpus.data.hashing import content_hashes, file_hash, fingerprint


@pytest.fixture
def root(tmp_path):
    """Two files, a.png and sub/b.png."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"first")
    (folder / "sub" / "b.png").write_bytes(b"second")
    return folder


@pytest.fixture
def memory(tmp_path):
    """Where hashes are remembered; no such file yet, nor its folder."""
    return tmp_path / "cache" / "hashes.csv"


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are read, in turn."""
    names = []
    monkeypatch.setattr(hashing, "file_hash", lambda path: names.append(path.name) or file_hash(path))
    return names


PATHS = ["a.png", "sub/b.png"]


def test_the_hashes_are_sha256_in_the_order_asked_for(root, memory):
    expected = [hashlib.sha256(content).hexdigest() for content in (b"second", b"first", b"second")]
    assert content_hashes(["sub/b.png", "a.png", "sub/b.png"], root, memory) == expected


def test_a_file_is_read_once_until_its_size_or_time_changes(root, memory, read):
    first = content_hashes(PATHS, root, memory)
    assert sorted(read) == ["a.png", "b.png"]
    assert content_hashes(PATHS, root, memory) == first
    assert len(read) == 2
    os.utime(root / "a.png", ns=(1, 1))
    assert content_hashes(PATHS, root, memory) == first
    assert read[2:] == ["a.png"]
    (root / "sub" / "b.png").write_bytes(b"other")
    assert content_hashes(PATHS, root, memory)[1] == hashlib.sha256(b"other").hexdigest()
    assert read[3:] == ["b.png"]
    assert len(memory.read_text().splitlines()) == 3  # a heading, and one line a file


def test_the_fingerprint_follows_names_and_contents(root, memory):
    prints = [fingerprint(PATHS, root, memory), fingerprint(PATHS[:1], root, memory)]
    (root / "a.png").write_bytes(b"FIRST")
    prints.append(fingerprint(PATHS, root, memory))
    (root / "c.png").write_bytes(b"second")
    prints.append(fingerprint(["a.png", "c.png"], root, memory))
    assert len(set(prints)) == 4


@pytest.mark.parametrize("change", ["moved", "copied", "touched"])
def test_where_and_when_do_not_matter(root, memory, tmp_path, change):
    before = fingerprint(PATHS, root, memory)
    other = root if change == "touched" else tmp_path / "other"
    if change == "moved":
        root.rename(other)
    if change == "copied":
        shutil.copytree(root, other, copy_function=shutil.copyfile)
    os.utime(other / "a.png", ns=(7, 7))
    assert fingerprint(PATHS, other, memory) == before


@pytest.mark.parametrize(
    "text", ["", "path,size\na.png,1\n", "path,size,mtime_ns,sha256\n1,2\n", "\0\1"]
)
def test_a_memory_that_cannot_be_read_is_written_anew(root, memory, text):
    expected = content_hashes(PATHS, root, memory)
    right = memory.read_text()
    memory.write_text(text)
    assert content_hashes(PATHS, root, memory) == expected
    assert memory.read_text() == right


def test_a_file_that_is_missing_is_named(root, memory):
    with pytest.raises(UserError, match=r"x\.png does not exist, but the sample table names it"):
        content_hashes(["x.png"], root, memory)


def test_what_cannot_be_read_has_no_hash_and_is_not_remembered(root, memory):
    (root / "folder.png").mkdir()
    assert content_hashes(["folder.png", "a.png"], root, memory)[0] == ""
    assert "folder.png" not in memory.read_text()


def test_a_frame_has_the_hash_of_its_file_which_is_read_once(root, memory, read):
    frames = ["a.png#1", "a.png#2"]
    assert content_hashes(frames, root, memory) == [hashlib.sha256(b"first").hexdigest()] * 2
    assert read == ["a.png"]
    assert fingerprint(frames, root, memory) != fingerprint(frames[:1], root, memory)


def test_a_link_that_leads_nowhere_cannot_be_read_and_is_there(tmp_path):
    (tmp_path / "a.png").symlink_to("/not/mounted.png")
    (tmp_path / "b.png").write_bytes(b"x")
    hashes = content_hashes(["a.png", "b.png"], tmp_path, tmp_path / "hashes.csv")
    assert hashes == ["", file_hash(tmp_path / "b.png")]
    assert "a.png" not in (tmp_path / "hashes.csv").read_text()
    with pytest.raises(UserError, match=r"c\.png does not exist"):
        content_hashes(["c.png"], tmp_path, tmp_path / "hashes.csv")


def test_a_pipe_is_not_waited_for(root, memory):
    os.mkfifo(root / "pipe.png")
    with pytest.raises(OSError, match="it is not a regular file"):
        file_hash(root / "pipe.png")
    assert content_hashes(["pipe.png", "a.png"], root, memory) == [
        "",
        hashlib.sha256(b"first").hexdigest(),
    ]
