"""Pascal VOC: edges from 1 and inclusive; XML that attacks; files that are torn."""

import os

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.registry import read_boxes, write_boxes
from tests.data.boxes.helpers import SIZE, annotations, write_images

OBJECT = """<object><name>dog</name><pose>Left</pose><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>40.5</xmax><ymax>30</ymax></bndbox></object>"""
FRAME = """<annotation><folder>VOC2007</folder><filename>{name}</filename>
<size><width>{width}</width><height>30</height><depth>3</depth></size>{objects}</annotation>"""


def file(tmp_path, objects=OBJECT, name="000001.jpg", width="41"):
    path = tmp_path / "000001.xml"
    path.write_text(FRAME.format(objects=objects, name=name, width=width))
    return path


def test_edges_count_from_one_and_are_inclusive(tmp_path):
    found = read_boxes(file(tmp_path))
    assert found.boxes[EDGES].to_numpy().tolist() == [[0, 1, 40.5, 30]]
    assert list(found.boxes["path"]) == ["000001.jpg"]
    assert list(found.boxes["difficult"]) == [1]
    write_boxes(found, tmp_path / "out", "voc")
    text = (tmp_path / "out" / "000001.xml").read_text()
    for part in ("<xmin>1</xmin>", "<ymin>2<", "<xmax>40.5<", "<ymax>30<", "<difficult>1<"):
        assert part in text


def test_frames_in_folders_keep_them(tmp_path):
    names = ["x/a.png", "y/a.png"]
    found = annotations([("y/a.png", 1.0, 2.0, 3.0, 4.0, "<b> & 'c'")], names, {"<b> & 'c'": 0})
    write_boxes(found, tmp_path, "voc")
    assert sorted(f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*.xml")) == [
        "x/a.xml",
        "y/a.xml",
    ]
    again = read_boxes(tmp_path)
    assert list(again.frames["path"]) == names
    assert list(again.boxes["label"]) == ["<b> & 'c'"]


@pytest.mark.parametrize(
    "name",
    [
        "b.png",
        "sub/b.png",
        r"C:\data\b.png",
        "C:/data/b.png",
        r"\\server\share\b.png",
        r"\data\b.png",
        "/data/b.png",
    ],
)
def test_a_file_in_a_folder_names_its_image_in_many_ways(tmp_path, name):
    images = write_images(tmp_path / "images", ["sub/b.png"])
    (tmp_path / "xml" / "sub").mkdir(parents=True)
    text = FRAME.format(objects=OBJECT, name=name, width=SIZE[0])
    (tmp_path / "xml" / "sub" / "q.xml").write_text(text)
    found = read_boxes(tmp_path / "xml", images=images)
    assert found.frames["path"].tolist() == found.boxes["path"].tolist() == ["sub/b.png"]


def test_a_size_of_zero_is_unknown(tmp_path):
    assert read_boxes(file(tmp_path, width="0")).frames["width"].isna().all()


@pytest.mark.parametrize(
    ("doctype", "use"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
        ('<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]>', "&y;"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">', ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_document_type_is_read(tmp_path, doctype, use, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>{doctype}'
    text += FRAME.format(objects=OBJECT.replace("dog", f"dog{use}"), name="a.jpg", width="41")
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match="a.xml: declares a document type"):
        read_boxes(tmp_path, "voc")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<annotation><filename>a.jpg", "is damaged or no XML: no element found"),
        ("<svg/>", "is not Pascal VOC: its root is 'svg'"),
        ("<annotation/>", "has no filename"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is damaged or no XML"),
        ("", "is damaged or no XML"),
    ],
)
def test_a_bad_file_is_a_problem_of_its_frame(tmp_path, text, error):
    file(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "000002.xml").write_text(text)
    found = read_boxes(tmp_path, "voc", strict=False)
    assert list(found.frames["path"]) == ["000001.jpg"]
    assert list(found.problems["path"]) == ["sub/000002"]
    assert found.problems["error"][0].startswith(error)
    with pytest.raises(UserError, match="000002.xml: "):
        read_boxes(tmp_path, "voc")


@pytest.mark.parametrize(
    ("objects", "error"),
    [
        ("<object><name>dog</name></object>", "object 2: bndbox or difficult is wrong: None is not"),
        (OBJECT.replace("40.5", "far"), "object 2: bndbox or difficult is wrong: 'far' is not a number"),
        (OBJECT.replace("dog", " "), "object 2: the box has no class"),
        (OBJECT.replace("40.5", "43"), "object 2: the box reaches 2 pixels out of its frame"),
    ],
)
def test_a_bad_object_is_named(tmp_path, objects, error):
    with pytest.raises(UserError, match=f"000001.xml {error}"):
        read_boxes(file(tmp_path, OBJECT + objects))


def test_a_filename_cannot_lead_away(tmp_path):
    with pytest.raises(UserError, match="leads out of the folder of the frames"):
        read_boxes(file(tmp_path, name="../../secret.jpg"))


def test_an_unknown_class_is_a_problem(tmp_path):
    with pytest.raises(UserError, match="object 1: the class 'dog' is unknown; known are 'cat'"):
        read_boxes(file(tmp_path), classes=["cat"])


def test_frames_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(UserError, match="the size of a.png is not known, but Pascal VOC needs it"):
        write_boxes(annotations(size=(None, None)), tmp_path, "voc")
    with pytest.raises(UserError, match="a.jpg and another frame would have the same XML file"):
        write_boxes(annotations([], ["a.png", "a.jpg"]), tmp_path, "voc")
    with pytest.raises(UserError, match="nowhere does not exist"):
        read_boxes(tmp_path / "nowhere", "voc")
    with pytest.raises(UserError, match="no XML files there"):
        read_boxes(tmp_path, "voc")


def test_files_of_any_capitals_and_in_linked_folders_are_read(tmp_path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "voc"
    for place, name in ((folder, "1.xml"), (folder, "2.XML"), (elsewhere, "3.xml"), (folder, ".4.xml")):
        place.mkdir(exist_ok=True)
        text = FRAME.format(objects=OBJECT, name=f"{name[:-4]}.png", width=41)
        (place / name).write_text(text)
    (folder / "more").symlink_to(elsewhere)
    (folder / "0.xml").symlink_to("/not/mounted.xml")
    found = read_boxes(folder, strict=False)
    assert found.boxes["path"].tolist() == ["1.png", "2.png", "more/3.png"]
    assert found.problems["path"].tolist() == ["0"]
    assert found.problems["error"][0] == "cannot be read: No such file or directory"


def test_classes_are_trimmed_and_alike_ones_refused(tmp_path):
    objects = OBJECT.replace("dog", " dog\u200b ")
    assert read_boxes(file(tmp_path, objects + OBJECT)).boxes["label"].tolist() == ["dog", "dog"]
    with pytest.raises(UserError, match="the classes 'dog' and 'Dog' differ in capitals or spaces only"):
        read_boxes(file(tmp_path, OBJECT + OBJECT.replace("dog", "Dog")))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.xml")
    with pytest.raises(UserError, match="cannot be read: it is not a regular file"):
        read_boxes(tmp_path, "voc")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("GBK", "\u88c2\u7eb9"),
        ("gb2312", "\u88c2\u7eb9"),
        ("Shift_JIS", "\u5272\u308c"),
        ("EUC-KR", "\uade0\uc5f4"),
    ],
)
def test_encodings_of_several_bytes_a_letter_are_read(tmp_path, encoding, name):
    text = (
        f"<?xml version='1.0' encoding='{encoding}'?><annotation><filename>a.png</filename><object><name>{name}"
        "</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    assert list(read_boxes(tmp_path).boxes["label"]) == [name]
    (tmp_path / "a.xml").write_bytes(text.replace(name, "\x81").encode("latin-1"))
    with pytest.raises(UserError, match="is damaged: its byte .* is not in its encoding"):
        read_boxes(tmp_path, "voc")


def test_a_wrong_size_is_a_problem_of_the_frame_that_the_file_names(tmp_path):
    images = write_images(tmp_path / "images", ["b.png", "c.png"])
    found = read_boxes(file(tmp_path, name="b.png", width="w"), images=images, strict=False)
    assert found.problems["path"].tolist() == ["b.png"]
    assert found.problems["error"].tolist() == ["size/width: 'w' is not a number"]
    assert found.sound().frames["path"].tolist() == ["c.png"]


def test_an_image_called_as_the_file_is_not_one_without_signs_where_the_file_names_another(tmp_path):
    images = write_images(tmp_path / "images", ["000001.png", "c.png"])
    found = read_boxes(file(tmp_path, name="renamed.jpg"), images=images, strict=False)
    assert found.problems["path"].tolist() == ["renamed.jpg", "000001.png"]
    assert "names renamed.jpg, which is not in" in found.problems["error"][1]
    assert found.sound().frames["path"].tolist() == ["c.png"]
