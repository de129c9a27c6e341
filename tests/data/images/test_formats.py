"""The table of image formats: what it says is what the readers are, and what the guide says."""

import inspect
import io
import re
from pathlib import Path

import pytest

from mindspore_dpus.core.choices import load
from mindspore_dpus.data.images.formats import EXTENSIONS, FORMATS, SINGLE, find_format

GUIDE = Path(__file__).parents[3] / "docs/guide/images.md"
BEGINNINGS = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff\xe0",
    "TIFF": b"MM\0*",
    "BMP": b"BM",
    "PNM": b"P5 ",
    "DICOM": b"II*\0" + bytes(124) + b"DICM",  # its first 128 bytes are free
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_of_the_format_that_it_begins_with(name):
    assert find_format(io.BytesIO(BEGINNINGS[name])) is FORMATS[name]


def test_what_begins_otherwise_is_of_none():
    for head in (b"", b"P7 ", b"GIF89a", b"II*", b"\x89PNG\r\n", bytes(200)):
        assert find_format(io.BytesIO(head)) is None


@pytest.mark.parametrize("name", FORMATS)
def test_every_reader_has_one_signature(name):
    row = FORMATS[name]
    assert list(inspect.signature(load(row.read)).parameters) == ["opened"]
    if row.count is not None:
        assert list(inspect.signature(load(row.count)).parameters) == ["opened"]
    if row.size is not None:
        assert list(inspect.signature(load(row.size)).parameters) == ["file"]
        assert load(row.size)(io.BytesIO(BEGINNINGS[name][:2])) is None
    assert (row.size is None) != (row.count is None)


def test_endings_are_of_one_format_each():
    assert len(set(EXTENSIONS)) == len(EXTENSIONS)
    assert all(re.fullmatch(r"\.[a-z]+", ending) for ending in EXTENSIONS)
    assert set(EXTENSIONS) - SINGLE == {".tif", ".tiff", ".dcm", ".dicom", ".ima"}


def test_the_guide_lists_the_endings_and_formats_of_the_table():
    text = " ".join(GUIDE.read_text().split())
    assert f"`{' '.join(EXTENSIONS)}`" in text
    *names, last = FORMATS
    assert f"`is broken or not an image: {', '.join(names)} and {last} are read`" in text
