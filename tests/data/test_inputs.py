"""What a person types, and the files that are meant."""

from pathlib import Path

import pytest

from mindspore_dpus.data.inputs import expand_paths
from mindspore_dpus.errors import UserError


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
        (["[1].png"], ["[1].png"]),
        (["[ab].png"], ["b.png"]),
        (["deep/list.csv"], ["deep/er/d.png", "deep/../b.png"]),
        (["deep/er", "b.png", "deep", "b.png"], ["deep/er/d.png", "b.png", "deep/c.tif"]),
    ],
)
def test_inputs_are_expanded_in_order_each_file_once(folder, inputs, expected):
    assert expand_paths(inputs) == [Path(name) for name in expected]


@pytest.mark.parametrize("text", ["empty", "*.bmp", "nothing.csv"])
def test_an_input_without_images_is_named(folder, text):
    with pytest.raises(UserError) as caught:
        expand_paths(["b.png", text])
    assert str(caught.value).startswith(f"{text}: no images there (.png, ")


def test_a_csv_that_is_none_is_named(folder):
    with pytest.raises(UserError, match=r"missing\.csv does not exist"):
        expand_paths(["missing.csv"])
