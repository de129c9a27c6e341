"""A folder as people have it: every file is an image, a companion, or counted."""

import os
import struct

import cv2
import numpy as np
import pytest

from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.folders import find_images, passed_over_line
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.data.images.reading import read_image
from tests.support import logged

PNG = cv2.imencode(".png", np.zeros((4, 5), np.uint8))[1].tobytes()


def put(path, data=PNG):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def found(folder):
    below = find_images(folder)
    return [file.relative_to(folder).as_posix() for file in below.files], dict(below.passed_over)


def test_companions_are_silent_and_the_rest_is_counted(tmp_path):
    for name in ("a.png", "b.JFIF", "deep/c.TIF"):
        put(tmp_path / name)
    for name in (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "a.json", "b.TXT", ".hidden/x.png"):
        put(tmp_path / name)
    for name in ("x.docx", "deep/y.docx", "z.webp", "notes", "a.png.bak"):
        put(tmp_path / name, b"something else")
    images, passed_over = found(tmp_path)
    assert images == ["a.png", "b.JFIF", "deep/c.TIF"]
    assert passed_over == {".docx": 2, ".webp": 1, "": 1, ".bak": 1}
    line = passed_over_line(find_images(tmp_path).passed_over, "parts")
    assert line == "parts: passed over: 2 .docx, 1 without an ending, 1 .bak, 1 .webp"


def test_without_an_ending_the_first_bytes_count(tmp_path):
    put(tmp_path / "part")
    put(tmp_path / "part.bak")
    put(tmp_path / "text", b"PNG or not")
    dicom = bytes(128) + b"DICM" + bytes(20)
    for name in ("IM001", "1.2.840.113619.2", "scan.img"):
        put(tmp_path / name, dicom)
    lengths = struct.pack("<HH2sHI", 2, 0, b"UL", 4, 100), struct.pack("<HHII", 8, 0, 4, 100)
    for name, first, second in (
        ("meta", lengths[0], b"\2\0\1\0OB"),
        ("data", lengths[1], b"\x08\0\1\0"),
    ):
        put(tmp_path / name, first + second + bytes(300))
    for i in range(50):
        put(tmp_path / f"numbers{i}", struct.pack("<5I", i, 4, 5, i + 1, i + 2) + bytes(300))
    put(tmp_path / "DICOMDIR", dicom)
    images, passed_over = found(tmp_path)
    assert images == ["1.2.840.113619.2", "IM001", "data", "meta", "part", "scan.img"]
    assert passed_over == {".bak": 1, "": 51}


def test_links_are_followed_but_not_in_a_ring(tmp_path):
    put(tmp_path / "set/normal/a.png")
    put(tmp_path / "more/b.png")
    put(tmp_path / "more/deep/c.png")
    (tmp_path / "set/normal/linked").symlink_to(tmp_path / "more")
    (tmp_path / "more/deep/up").symlink_to(tmp_path / "more")
    (tmp_path / "set/normal/self").symlink_to(tmp_path / "set")
    (tmp_path / "set/normal/d.png").symlink_to(tmp_path / "more/b.png")
    images, passed_over = found(tmp_path / "set")
    assert images == ["normal/a.png", "normal/d.png", "normal/linked/b.png", "normal/linked/deep/c.png"]
    assert passed_over == {}


def test_a_broken_link_is_an_unreadable_image(tmp_path):
    put(tmp_path / "a.png")
    (tmp_path / "lost.png").symlink_to("/not/mounted/lost.png")
    (tmp_path / "lost.docx").symlink_to("/not/mounted/lost.docx")
    (tmp_path / "round.png").symlink_to("round.png")
    images, passed_over = found(tmp_path)
    assert images == ["a.png", "lost.png", "round.png"]
    assert passed_over == {".docx": 1}
    with pytest.raises(
        ImageError, match=r"lost\.png is a link to /not/mounted/lost\.png, which does not"
    ):
        read_image(tmp_path / "lost.png")
    with pytest.raises(ImageError, match=r"round\.png cannot be read"):
        read_image(tmp_path / "round.png")


def test_a_pipe_with_an_images_name_is_a_row_that_says_so(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b")
    assert found(tmp_path) == (["a.png"], {"": 1})


def test_folders_and_patterns_say_what_they_passed_over(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "b.docx")
    put(tmp_path / "c.txt")
    lines = []
    with logged(lines.append):
        assert expand_paths([str(tmp_path)]) == [tmp_path / "a.png"]
        assert expand_paths([f"{tmp_path}/*"]) == [tmp_path / "a.png"]
    assert lines == [
        f"{tmp_path}: passed over: 1 .docx",
        f"{tmp_path}/*: passed over: 1 .docx",
    ]
