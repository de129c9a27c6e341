"""Every format there and back, recognised by its content, and bad files in one line."""

import itertools
import re
import unicodedata

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.images import ByName
from mindspore_dpus.data.boxes.registry import FORMATS, read_boxes, recognise, write_boxes
from mindspore_dpus.data.images.reading import read_image
from tests.data.boxes.helpers import CLASSES, SIZE, annotations, assert_same, write_images

NAMES = {
    "boxes": "boxes.csv",
    "gtsdb": "gt.txt",
    "coco": "coco.json",
    "voc": "voc",
    "yolo": "labels",
}


def test_every_format_has_an_example_here():
    assert set(NAMES) == set(FORMATS)


def written(folder, name, found=None):
    path = folder / NAMES[name]
    write_boxes(annotations() if found is None else found, path, name)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_recognised_and_read_back(tmp_path, name):
    path = written(tmp_path, name)
    images = write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"])
    assert recognise(path) == name
    # gt.txt and Pascal VOC have no list of the classes' names.
    classes = list(CLASSES) if name in ("gtsdb", "voc") else None
    assert_same(read_boxes(path, images=images, classes=classes), annotations())
    assert_same(read_boxes(path, name, images=images, classes=classes), annotations())


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FORMATS, 2)))
def test_every_format_becomes_every_other_one(tmp_path, first, second):
    images = write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"])
    once = read_boxes(written(tmp_path, first), images=images, classes=list(CLASSES))
    twice = read_boxes(written(tmp_path, second, once), images=images, classes=list(CLASSES))
    assert_same(twice, annotations())


@pytest.mark.parametrize("name", ["boxes", "coco", "voc", "yolo"])
def test_fractions_of_pixels_come_back(tmp_path, name):
    rows = [("a.png", 1.25, 2.5, 3.125, 7.75, "stop")]
    images = write_images(tmp_path / "images", ["a.png"])
    path = written(tmp_path, name, annotations(rows, ["a.png"]))
    found = read_boxes(path, images=images, classes=list(CLASSES))
    assert found.boxes[EDGES].to_numpy().tolist() == [[1.25, 2.5, 3.125, 7.75]]


@pytest.mark.parametrize("name", FORMATS)
def test_no_boxes_at_all_are_still_frames(tmp_path, name):
    images = write_images(tmp_path / "images", ["a.png", "b.png"])
    nothing = annotations([], ["a.png", "b.png"])
    path = written(tmp_path, name, nothing)
    assert_same(read_boxes(path, name, images=images, classes=list(CLASSES)), nothing)


def test_frames_without_boxes_are_kept_where_the_format_lists_frames(tmp_path):
    for name in ("boxes", "coco", "voc"):
        found = read_boxes(written(tmp_path, name))
        assert sorted(found.frames["path"]) == ["a.png", "b.png", "empty.png"]
        assert found.frames["width"].tolist() == [SIZE[0]] * 3
    found = read_boxes(written(tmp_path, "gtsdb"))
    assert sorted(found.frames["path"]) == ["a.png", "b.png"]
    assert found.frames["width"].isna().all()


def test_paths_are_those_of_the_images_whatever_the_ending(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("road/00001.ppm;1;2;3;4;0\n")
    images = write_images(tmp_path / "images", ["road/00001.jpg", "road/00002.jpg"])
    found = read_boxes(path, images=images)
    assert list(found.boxes["path"]) == ["road/00001.jpg"]
    assert list(found.frames["path"]) == ["road/00001.jpg", "road/00002.jpg"]
    write_images(images, ["road/00001.png"])
    with pytest.raises(UserError) as caught:
        read_boxes(path, images=images)
    assert str(caught.value) == (
        f"{path} line 1: the frame road/00001.ppm may be road/00001.jpg or road/00001.png"
    )


@pytest.mark.parametrize(
    "written", ["road/Stück.ppm", " road/Stück.jpg ", r"road\Stück.jpg", "/a/Stück.jpg"]
)
@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_may_be_spelled_in_other_ways(written, forms):
    there = unicodedata.normalize(forms[0], "road/Stück.jpg")
    name = unicodedata.normalize(forms[1], written)
    assert ByName([{"path": there}]).find(name) == (there, "")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (r"C:\labels\day 1\00001.jpg", ("road/00001.jpg", "")),
        ("C:/labels/00001.jpg", ("road/00001.jpg", "")),
        (r"\\server\share\00002.ppm", ("road/00002.jpg", "")),
        ("/home/anna/00001.jpg", ("road/00001.jpg", "")),
        # The name as it is goes first, then the one without an ending.
        ("/data/00003.png", ("rail/00003.png", "")),
        ("/data/00003.ppm", (None, "the frame /data/00003.ppm may be rail/00003.png or road/00003.jpg")),
        (r"C:\00004.jpg", (None, r"the frame C:\00004.jpg is not in the folder of the frames")),
        # Not whole: folders count.
        ("other/00001.jpg", (None, "the frame other/00001.jpg is not in the folder of the frames")),
    ],
)
def test_of_a_whole_path_the_files_name_counts(name, found):
    paths = ["road/00001.jpg", "road/00002.jpg", "road/00003.jpg", "rail/00003.png"]
    assert ByName([{"path": path} for path in paths]).find(name) == found


SPARSE = {"stop": 14, "bend": 3, "fork": 40}


def numbered(folder, name, numbers):
    """A file of one box a number, without names of classes."""
    write_images(folder / "images", ["a.png"])
    if name == "boxes":
        rows = "".join(f"a.png,1,2,{9 + i},9,{i}\n" for i in numbers)
        (folder / "boxes.csv").write_text(f"path,x1,y1,x2,y2,class_id\n{rows}")
        return folder / "boxes.csv"
    if name == "gtsdb":
        (folder / "gt.txt").write_text("".join(f"a.png;1;2;{9 + i};9;{i}\n" for i in numbers))
        return folder / "gt.txt"
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / "a.txt").write_text("".join(f"{i} .5 .5 .{i + 1} .2\n" for i in numbers))
    return folder / "labels"


@pytest.mark.parametrize("name", ["boxes", "gtsdb", "yolo"])
def test_numbers_with_gaps_are_looked_up_and_names_alone_are_positions(tmp_path, name):
    def read(numbers, classes):
        path = numbered(tmp_path, name, numbers)
        return read_boxes(path, images=tmp_path / "images", classes=classes, strict=False)

    found = read([3, 14], SPARSE)
    assert found.boxes["label"].tolist() == ["bend", "stop"]
    assert found.classes == SPARSE
    assert found.numbered
    assert read([2, 0], list(SPARSE)).boxes["label"].tolist() == ["fork", "stop"]
    errors = read([2, 3], SPARSE).problems["error"].tolist()
    assert errors == ["the class 2 is unknown; known are 3, 14, 40"]
    # Names that nobody has numbered: no number of another file means them.
    found = read([0, 1], dict.fromkeys(SPARSE))
    assert found.boxes.empty
    assert found.problems["error"].tolist() == [
        f"the class {i} is given by its number, and the classes here have names only" for i in (0, 1)
    ]
    assert not found.numbered


def test_classes_without_numbers_stay_so_in_our_own_file(tmp_path):
    found = read_boxes(written(tmp_path, "voc"))
    assert found.classes == {"give way": 0, "stop": 1}
    assert found.numbers == {"give way": None, "stop": None}
    write_boxes(found, tmp_path / "own" / "boxes.csv", "boxes")
    again = read_boxes(tmp_path / "own" / "boxes.csv")
    assert again.numbers == found.numbers
    assert read_boxes(written(tmp_path, "coco")).numbers == CLASSES
    # With names of class 0, 1 ..., they have numbers.
    named = read_boxes(written(tmp_path, "voc"), classes=list(CLASSES))
    assert named.numbers == CLASSES


def test_names_in_the_rows_go_before_numbers_that_another_file_gives(tmp_path):
    (tmp_path / "boxes.csv").write_text(
        "path,x1,y1,x2,y2,class_id,class_name\na.png,1,2,9,9,3,stop\na.png,1,2,8,9,14,\n"
    )
    found = read_boxes(tmp_path / "boxes.csv", classes=SPARSE, strict=False)
    assert found.problems.empty
    assert found.boxes["label"].tolist() == ["stop", "stop"]
    assert found.classes == SPARSE


def test_class_names_in_two_forms_are_refused_for_that_reason(tmp_path):
    names = [unicodedata.normalize(form, "Straße für alle") for form in ("NFC", "NFD")]
    rows = "".join(f"a.png,1,2,3,4,{name}\n" for name in names)
    (tmp_path / "boxes.csv").write_text(f"path,x1,y1,x2,y2,class_name\n{rows}")
    with pytest.raises(UserError, match="look the same and are written with other characters") as caught:
        read_boxes(tmp_path / "boxes.csv")
    assert "capitals" not in str(caught.value)


@pytest.mark.parametrize("name", ["gtsdb", "yolo"])
def test_of_two_images_that_may_be_meant_neither_is_without_signs(tmp_path, name):
    images = write_images(tmp_path / "images", ["a.png", "a.jpg", "b.png"])
    if name == "gtsdb":
        (tmp_path / "gt.txt").write_text("a.ppm;1;2;9;9;0\nb.ppm;1;2;9;9;0\n")
    else:
        (tmp_path / "labels").mkdir()
        for stem in "ab":
            (tmp_path / "labels" / f"{stem}.txt").write_text("0 .5 .5 .2 .2\n")
    found = read_boxes(tmp_path / NAMES[name], images=images, classes=["stop"], strict=False)
    assert set(found.problems["path"]) == {"a.jpg", "a.png"}
    assert found.problems["error"].str.contains("may be a.jpg or a.png").all()
    assert found.sound().frames["path"].tolist() == ["b.png"]


def test_an_annotation_of_another_image_is_a_problem(tmp_path):
    images = write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"])
    write_images(images, ["b.png", "empty.png"], (SIZE[0] * 2, SIZE[1] * 2))
    (images / "a.png").unlink()
    found = read_boxes(written(tmp_path, "coco"), images=images, strict=False)
    assert found.boxes.empty
    assert found.problems[["path", "error"]].to_numpy().tolist() == [
        ["b.png", "the annotation is of 40 x 30 pixels, b.png has 80 x 60"],
        ["a.png", "the frame a.png is not in the folder of the frames"],
        ["b.png", "the annotation is of 40 x 30 pixels, b.png has 80 x 60"],
        ["empty.png", "the annotation is of 40 x 30 pixels, empty.png has 80 x 60"],
    ]
    assert found.sound().frames.empty


def test_two_annotated_frames_cannot_be_one_image(tmp_path):
    (tmp_path / "gt.txt").write_text("a.ppm;1;2;3;4;0\na.bmp;1;2;3;4;0\n")
    images = write_images(tmp_path / "images", ["a.png"])
    with pytest.raises(UserError, match=r"gt.txt line 2: the image a.png is also that of a.ppm"):
        read_boxes(tmp_path / "gt.txt", images=images)


def test_a_frame_that_cannot_be_read_has_the_size_that_is_written(tmp_path):
    images = write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"])
    (images / "b.png").write_bytes(b"nothing")
    found = read_boxes(written(tmp_path, "coco"), images=images)
    assert found.frames["width"].tolist() == [SIZE[0]] * 3


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_another_format_is_refused_in_one_line(tmp_path, name):
    images = write_images(tmp_path / "images", ["a.png"])
    for other in FORMATS:
        path = written(tmp_path / other, other)
        if other != name:
            with pytest.raises(UserError) as caught:
                read_boxes(path, name, images=images)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe\x80", b"{", b"[" * 100_000, b"<a>", b"1;2", b'"']
)
def test_torn_files_are_refused_in_one_line_or_rows(tmp_path, name, content):
    images = write_images(tmp_path / "images", ["a.png"])
    path = tmp_path / NAMES[name]
    file = {"voc": path / "a.xml", "yolo": path / "a.txt"}.get(name, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    options = {"images": images, "classes": ["stop"], "strict": False}
    # An empty gt.txt holds no boxes, as an empty file of YOLO's.
    empty_is_valid = content == b"" and name in ("gtsdb", "yolo")
    if name in ("voc", "yolo") or empty_is_valid:
        found = read_boxes(path, name, **options)
        assert found.boxes.empty
        assert found.problems.empty == empty_is_valid
    else:
        with pytest.raises(UserError, match=re.escape(str(path))):
            read_boxes(path, name, **options)


def test_what_is_no_format_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n")
    for path, message in [
        (tmp_path / "nowhere", "does not exist; give a file of boxes"),
        (tmp_path / "notes.txt", "is in no format of boxes that is known: boxes (CSV with"),
        (tmp_path, "is in no format of boxes that is known"),
    ]:
        with pytest.raises(UserError, match=re.escape(f"{path} {message}")):
            read_boxes(path)
    with pytest.raises(
        UserError, match="the format of boxes 'kitti' is unknown; choose auto, boxes, gtsdb"
    ):
        read_boxes(tmp_path, "kitti")
    with pytest.raises(UserError, match="the format of boxes 'auto' is unknown"):
        write_boxes(annotations(), tmp_path / "x", "auto")
    with pytest.raises(UserError, match="the names of the classes must be given once each"):
        read_boxes(tmp_path / "notes.txt", "gtsdb", classes=["a", "a"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no images there"):
        read_boxes(tmp_path / "notes.txt", "gtsdb", images=tmp_path / "empty")


def test_a_folder_of_two_formats_must_be_named(tmp_path):
    written(tmp_path, "voc", annotations())
    (tmp_path / "voc" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(UserError, match="holds boxes in the formats voc and yolo; name one"):
        read_boxes(tmp_path / "voc")


def test_a_refused_box_names_the_file_and_the_place(tmp_path):
    (tmp_path / "gt.txt").write_text("a.ppm;1;2;3;4;0\n\na.ppm;5;2;3;4;0\n")
    with pytest.raises(UserError) as caught:
        read_boxes(tmp_path / "gt.txt")
    assert str(caught.value) == (
        f"{tmp_path / 'gt.txt'} line 3: the box is inverted, its right or bottom edge before the other: "
        "x from 5 to 4, y from 2 to 5"
    )


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_boxes_lie_in_the_image_as_it_is_shown(tmp_path, ending):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow writes the orientation tag")
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    (labels / "classes.txt").write_text("sign\n")
    stored = np.zeros((30, 40), np.uint8)
    stored[24:29, 4:12] = 255
    for orientation in range(1, 9):
        exif = image_module.Exif()
        exif[274] = orientation
        file = images / f"{orientation}.{ending}"
        image_module.fromarray(stored).save(
            file, exif=exif, **({"quality": 100} if ending == "jpg" else {})
        )
        shown = read_image(file).values > 128
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        x1, y1, x2, y2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        height, width = shown.shape
        shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        (labels / f"{orientation}.txt").write_text(" ".join(map(str, (0, *shares))))
        found = read_boxes(labels)
        box = found.boxes[found.boxes["path"] == file.name]
        assert box[EDGES].to_numpy().tolist() == [[x1, y1, x2, y2]]
        size = found.frames.loc[found.frames["path"] == file.name, ["width", "height"]]
        assert size.to_numpy().tolist() == [[width, height]]
        assert (width == 40) == (orientation < 5)


def test_an_annotation_of_the_image_as_it_is_stored_is_refused(tmp_path):
    written(tmp_path, "voc", annotations(size=SIZE))
    images = write_images(tmp_path / "images", ["a.png", "b.png", "empty.png"], SIZE[::-1])
    with pytest.raises(
        UserError, match="the annotation is of 40 x 30 pixels, .*.png has 30 x 40, as it is"
    ):
        read_boxes(tmp_path / "voc", images=images)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
def test_backslashes_of_windows_are_understood(tmp_path, name):
    rows = [("sub\\a.png", 3.0, 4.0, 20.0, 9.0, "stop")]
    path = written(tmp_path, name, annotations(rows, ["sub\\a.png"]))
    for ending in ("png", "bmp"):
        images = write_images(tmp_path / ending, [f"sub/a.{ending}"])
        found = read_boxes(path, name, images=images, classes=list(CLASSES) if name == "gtsdb" else None)
        assert list(found.boxes["path"]) == list(found.frames["path"]) == [f"sub/a.{ending}"]
    images = write_images(tmp_path / "png", ["sub\\a.png"])
    found = read_boxes(path, name, images=images, classes=list(CLASSES) if name == "gtsdb" else None)
    assert list(found.boxes["path"]) == ["sub\\a.png"]
