"""What a person types, and the files that are meant."""

import os
from pathlib import Path

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.inputs import expand_paths, read_paths
from tests.support import logged


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images and other files below the current folder."""
    for name in ("b.png", "a.JPG", "deep/c.tif", "deep/er/d.png", "notes.txt", "[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep/list.csv").write_text("label,path\nx,er/d.png\ny,../b.png\n")
    (tmp_path / "nothing.csv").write_text("path\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["b.png"], ["b.png"]),
        (["missing.png"], ["missing.png"]),
        (["."], ["[1].png", "a.JPG", "b.png", "deep/c.tif", "deep/er/d.png"]),
        (["deep"], ["deep/c.tif", "deep/er/d.png"]),
        (["*.png"], ["[1].png", "b.png"]),
        (["**/*.png"], ["[1].png", "b.png", "deep/er/d.png"]),
        (["de*"], ["deep/c.tif", "deep/er/d.png"]),
        (["deep/*"], ["deep/c.tif", "deep/er/d.png"]),
        (["*"], ["[1].png", "a.JPG", "b.png", "deep/c.tif", "deep/er/d.png"]),
        (["[1].png"], ["[1].png"]),
        (["[ab].png"], ["b.png"]),
        (["deep/list.csv"], ["deep/er/d.png", "deep/../b.png"]),
        (["deep/er", "b.png", "deep", "b.png"], ["deep/er/d.png", "b.png", "deep/c.tif"]),
    ],
)
def test_inputs_are_expanded_in_order_each_file_once(folder, inputs, expected):
    assert expand_paths(inputs) == [Path(name) for name in expected]


def test_of_folders_that_match_a_pattern_every_file_is_counted_once(folder):
    for name in ("deep/a.docx", "deep/er/b.docx", "c.docx"):
        (folder / name).write_bytes(b"x")
    (folder / "deep/ring").symlink_to(folder)
    (folder / "linked").symlink_to("deep/er")
    found = ["[1].png", "a.JPG", "b.png", "deep/c.tif", "deep/er/d.png", "linked/d.png"]
    for pattern in ("*", "./*"):
        lines = []
        with logged(lines.append):
            assert expand_paths([pattern]) == [Path(name) for name in found]
        assert lines == [f"{pattern}: passed over: 4 .docx"]  # one of them in two places
    assert expand_paths(["deep/*"]) == [Path("deep/c.tif"), Path("deep/er/d.png")]


@pytest.mark.parametrize("text", ["empty", "*.bmp", "nothing.csv"])
def test_an_input_without_images_is_named(folder, text):
    with pytest.raises(UserError) as caught:
        expand_paths(["b.png", text])
    assert str(caught.value).startswith(f"{text}: no images there (.png, ")


def test_a_csv_that_is_none_is_named(folder):
    with pytest.raises(UserError, match=r"missing\.csv does not exist"):
        expand_paths(["missing.csv"])


def test_paths_are_read_from_a_csv_as_excel_writes_it(tmp_path):
    file = tmp_path / "list.csv"
    file.write_bytes('\ufeffpath,note\r\n"b, c.png",1\r\na.png,2\r\n'.encode())
    assert read_paths(file) == ["b, c.png", "a.png"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file\na.png\n", "has no column 'path'"),
        (b"", "is empty; it needs the columns path"),
        (b"path,note\na.png,1\n,2\n", "line 3 has an empty path"),
        (b"path\na.png,1\n", "line 2 has 2 cells; the header has 1"),
        (b"path\n\xff\xfe.png\n", "is not a CSV table"),
    ],
)
def test_a_csv_without_usable_paths_is_named(tmp_path, content, words):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"list.csv {words}"):
        read_paths(tmp_path / "list.csv")


def test_names_that_no_table_can_hold_do_not_stop_the_others(tmp_path):
    strange, good = tmp_path / os.fsdecode(b"\xff.png"), tmp_path / "a.png"
    for file in (strange, good):
        file.write_bytes(b"x")
    long = f"{tmp_path}/{300 * 'x'}.dcm#3"
    assert expand_paths([str(tmp_path), long]) == [good, strange, Path(long)]


def test_a_frame_of_a_file_whose_name_looks_like_a_pattern(tmp_path):
    file = tmp_path / "scan[1].tif"
    file.write_bytes(b"x")
    assert expand_paths([f"{file}#2"]) == [Path(f"{file}#2")]


@pytest.mark.parametrize("name", ["@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX"])
def test_folders_of_systems_are_not_searched_unless_they_are_named(folder, name):
    (folder / "deep" / name).mkdir()
    (folder / "deep/c.tif").rename(folder / "deep" / name / "c.png")
    for text in ("deep", "de*", "deep/*", "deep/**/*.png"):
        assert expand_paths([text]) == [Path("deep/er/d.png")]
    for text in (f"deep/{name}", f"deep/{name}/*.png"):
        assert expand_paths([text]) == [Path("deep") / name / "c.png"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.csv", b"sep=;\r\npath;x\r\nb.png;1\r\n"),
        ("list.csv", b'\xef\xbb\xbf"sep=,"\npath\nb.png\n'),
        ("list.tsv", b"path\tx\nb.png\t1\n"),
        ("list.TXT", "path\tx\r\nb.png\t1\r\n".encode("utf-16")),
    ],
)
def test_tables_as_excel_writes_them_are_lists_of_paths(folder, name, data):
    (folder / name).write_bytes(data)
    assert expand_paths([name]) == [Path("b.png")]
    (folder / name).write_bytes(b"sep=;\nfile;x\nb.png;1\n")
    with pytest.raises(UserError, match=f"{name} has no column 'path'; .* the columns 'file', 'x'"):
        expand_paths([name])
