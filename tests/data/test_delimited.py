"""CSV as Excel and others write it: read where it is unambiguous, else the line that says what to do."""

import time

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.delimited import read_rows
from mindspore_dpus.data.images.inputs import read_paths
from mindspore_dpus.data.samples import find_samples, read_manifest
from mindspore_dpus.data.settings import DataSettings

ROWS = [("normal/a.png", "normal", "one, two"), ("defect/b.png", "defect", "x")]
NAMES = ("path", "label", "note")


def table(mark, quote='"', end="\n"):
    lines = [mark.join(NAMES)]
    lines += [
        mark.join(f"{quote}{c}{quote}" if mark in c or c == "x" else c for c in row) for row in ROWS
    ]
    return end.join(lines) + end


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ", ", "; "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_stands_between_cells_and_how_letters_are_written(tmp_path, mark, encoding, end):
    file = tmp_path / "m.csv"
    text = table(mark.strip(" "), end=end).replace(mark.strip(" "), mark)
    if mark == ", ":
        text = text.replace("one,  two", "one, two").replace("one, two", '"one, two"').replace('""', '"')
    file.write_bytes(text.encode(encoding))
    found = read_manifest(file)
    assert found["path"].tolist() == [row[0] for row in ROWS]
    assert found["label"].tolist() == [row[1] for row in ROWS]
    assert found["note"].tolist()[1] == "x"
    assert read_paths(file) == [row[0] for row in ROWS]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; it needs the columns path"),
        (b"\n \n", "is empty; it needs the columns path"),
        (b"file;class\na;b\n", "it has the columns 'file', 'class', with semicolons between them"),
        (b"Path,Label\na,b\n", "has no column 'path'; it needs path"),
        (b"path:label\na:b\n", "it has the column 'path:label'"),
        (
            "path,label\na,normal\nb,Riß\n".encode("cp1252"),
            r"line 3 has bytes of another encoding; save it",
        ),
        ("path,label\na,b\n".encode("utf-16-le"), "it has bytes that are 0; save it as CSV in UTF-8"),
        (b"x\x0bpath,label\na,b\n", "has no column 'path'"),
        (b"\xff\xfep\0a\0t", "is not a CSV table in UTF-16: line"),
    ],
)
def test_what_is_wrong_and_what_to_do(tmp_path, data, words):
    file = tmp_path / "m.csv"
    file.write_bytes(data)
    for read in (read_manifest, read_paths):
        with pytest.raises(UserError) as caught:
            read(file)
        assert str(caught.value).startswith(str(file))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_columns_without_a_name_are_left_out(tmp_path):
    """The numbers of rows that pandas writes first, and the empty columns that Excel writes last."""
    file = tmp_path / "m.csv"
    file.write_text(",path,label,,\n0,a.png,normal,,\n\n1,b.png,defect,,\n")
    found = read_manifest(file)
    assert found.columns.tolist() == ["path", "label", "split", "group"]
    assert found["path"].tolist() == ["a.png", "b.png"]
    assert found["label"].tolist() == ["normal", "defect"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('a.png,"normal\nb.png,defect\n', "is not a CSV table: "),
        ("a.png,normal\n\nb.png,\n", "line 4 has an empty label"),
        ("a.png,normal\nb.png\n", "line 3 has 1 cell; the header has 2"),
        ('"a\n.png",normal\nb.png, \n', "line 4 has an empty label"),
    ],
)
def test_the_line_of_a_bad_row_is_that_of_an_editor(tmp_path, rows, words):
    (tmp_path / "m.csv").write_text("path,label\n" + rows)
    with pytest.raises(UserError, match=words):
        read_manifest(tmp_path / "m.csv")


def test_a_header_of_many_columns_takes_no_time(tmp_path):
    file = tmp_path / "m.csv"
    names = ",".join(f"c{i}" for i in range(100_000))
    file.write_text(f"path,label,{names}\n")
    start = time.process_time()
    assert len(read_rows(file, ("path",)).names) == 100_002
    assert time.process_time() - start < 5


def test_paths_of_windows_are_found_where_only_they_can_be_meant(tmp_path):
    for name in ("normal/a.png", "defect/b.png", r"odd\c.png", "odd/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text(
        "path,label\nnormal\\a.png,normal\ndefect\\b.png,defect\nodd\\c.png,normal\nno\\d.png,normal\n"
    )
    found = find_samples(DataSettings(root=str(tmp_path)))["path"].tolist()
    assert found == ["normal/a.png", "defect/b.png", r"odd\c.png", r"no\d.png"]


def test_paths_of_windows_do_not_climb_out(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.csv").write_text("path,label\n..\\secret.png,normal\n")
    with pytest.raises(UserError, match=r"climbs with '\.\.'"):
        find_samples(DataSettings(root=str(tmp_path / "set")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na;b\n", "line 2 has semicolons between its cells, the header commas"),
        ("path;label\na;b\nc,d\n", "line 3 has commas between its cells, the header semicolons"),
        ("path,label\na\tb\n", "line 2 has tabs between its cells, the header commas"),
        ("path,label\na\n", "line 2 has 1 cell; the header has 2"),
    ],
)
def test_rows_with_other_marks_than_the_header(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_rows(tmp_path / "a.csv", ("path", "label"))
