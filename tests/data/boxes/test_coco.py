"""COCO JSON: what pycocotools reads is what we wrote; results; what is wrong with a file."""

import contextlib
import io
import json

import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.boxes.coco import read_results, write_results
from mindspore_dpus.data.boxes.registry import read_boxes, write_boxes
from tests.data.boxes.helpers import annotations, assert_same
from tests.support import logged

IMAGES = [{"id": 5, "file_name": "a.png", "width": 40, "height": 30}]
CATEGORIES = [{"id": 14, "name": "stop"}, {"id": 3, "name": "bend"}]
BOX = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 2, 3.5, 4]}


def file(tmp_path, **changes):
    value = {"images": IMAGES, "annotations": [BOX], "categories": CATEGORIES} | changes
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}))
    return path


def test_boxes_numbers_and_frames_are_the_files(tmp_path):
    found = read_boxes(file(tmp_path))
    assert found.boxes[EDGES].to_numpy().tolist() == [[1, 2, 4.5, 6]]
    assert list(found.boxes["label"]) == ["bend"]
    assert list(found.classes.items()) == [("stop", 14), ("bend", 3)]
    assert list(found.frames["image_id"]) == [5]
    write_boxes(found, tmp_path / "again.json", "coco")
    assert_same(read_boxes(tmp_path / "again.json"), found)


def test_pycocotools_reads_what_we_write(tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    found = annotations()
    write_boxes(found, tmp_path / "coco.json", "coco")
    detections = found.boxes.assign(score=[0.5, 0.25, 1.0])
    write_results(detections, found, tmp_path / "results.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(tmp_path / "coco.json"))
        results = truth.loadRes(str(tmp_path / "results.json"))
    assert [c["name"] for c in truth.loadCats(truth.getCatIds())] == list(found.classes)
    assert len(truth.getImgIds()) == 3
    for loaded in (truth, results):
        items = loaded.loadAnns(loaded.getAnnIds())
        assert [item["bbox"] for item in items] == [[0, 0, 40, 30], [3, 4, 17, 5], [7, 8, 1, 2]]
        assert [item["area"] for item in items] == [1200, 85, 2]
    assert [item["score"] for item in items] == [0.5, 0.25, 1.0]


def test_results_come_back_and_are_cut_at_the_frame(tmp_path):
    reference = read_boxes(file(tmp_path))
    detections = reference.boxes.assign(score=0.125, x1=-4.0)
    write_results(detections, reference, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == [
        {"image_id": 5, "category_id": 3, "bbox": [-4, 2, 8.5, 4], "score": 0.125}
    ]
    found = read_results(tmp_path / "results.json", reference, strict=True)
    assert found.boxes[[*EDGES, "score"]].to_numpy().tolist() == [[0, 2, 4.5, 6, 0.125]]
    (tmp_path / "results.json").write_text(json.dumps([BOX, {"score": 1}, 7, BOX | {"score": True}]))
    found = read_results(tmp_path / "results.json", reference, strict=False)
    assert list(found.problems["error"]) == [
        "it has no score",
        "it has no image_id",
        "it is not an object",
        "image_id, category_id, bbox or score is wrong: True is not a number",
    ]
    with pytest.raises(UserError, match=r"results.json \[0\]: it has no score"):
        read_results(tmp_path / "results.json", reference, strict=True)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="is not a list of COCO results"):
        read_results(tmp_path / "results.json", reference, strict=False)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"image_id": 6}, "its image_id 6 is not among the images"),
        ({"category_id": 4}, "its category_id 4 is not among the categories"),
        ({"bbox": [1, 2, 3]}, "image_id, category_id, bbox or score is wrong: not enough values"),
        ({"bbox": None}, "image_id, category_id, bbox or score is wrong: "),
        ({"bbox": [1, 2, float("nan"), 4]}, "image_id, .* is wrong: nan is not a finite number"),
        ({"bbox": [1, 2, 10**400, 4]}, "image_id, .* is not a number"),
        ({"bbox": [1, 2, 0, 4]}, "the box is empty"),
        ({"bbox": [1, 2, -3, 4]}, "the box is inverted"),
        ({"bbox": [1, 2, 40, 4]}, "the box reaches 1 pixels out of its frame of 40 x 30 pixels"),
        ({"iscrowd": 1}, "it is a crowd"),
    ],
)
def test_a_bad_annotation_is_a_problem(tmp_path, change, error):
    path = file(tmp_path, annotations=[BOX, BOX | change])
    found = read_boxes(path, strict=False)
    assert len(found.boxes) == 1
    assert len(found.problems) == 1
    assert found.problems["place"][0] == f"{path} annotations[1]"
    with pytest.raises(UserError, match=rf"annotations\[1\]: {error}"):
        read_boxes(path)


def test_whatever_is_wrong_with_it_its_frame_is_not_one_without_signs(tmp_path):
    images = [*IMAGES, *(IMAGES[0] | {"id": i, "file_name": f"{i}.png"} for i in range(6, 12))]
    lacks = [{k: v for k, v in BOX.items() if k != key} for key in ("bbox", "category_id")]
    wrong = [{"bbox": [1, 2, 3]}, {"bbox": None}, {"category_id": "x"}, {"score": "x"}]
    items = [BOX, *lacks, *(BOX | change for change in wrong)]
    items = [item | {"image_id": i} for i, item in enumerate(items, start=5)]
    found = read_boxes(file(tmp_path, images=images, annotations=items), strict=False)
    assert found.problems["path"].tolist() == [f"{i}.png" for i in range(6, 12)]
    assert found.sound().frames["path"].tolist() == ["a.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "is not COCO JSON: it has no list 'images'"),
        ({"categories": {}}, "is not COCO JSON: it has no list 'categories'"),
        ({"images": [{"id": 1}]}, r"images\[0\] needs a whole id, a file_name"),
        ({"images": [IMAGES[0] | {"width": -1}]}, r"images\[0\] needs a whole id, a file_name"),
        ({"images": [IMAGES[0] | {"width": 10**30}]}, r"images\[0\] needs a whole id, a file_name"),
        ({"images": [7]}, r"images\[0\] needs a whole id, a file_name"),
        ({"images": IMAGES * 2}, r"images\[1\]: the id 5 is repeated"),
        ({"images": [*IMAGES, IMAGES[0] | {"id": 6}]}, "the frame a.png is listed more than once"),
        ({"categories": [{"id": 1.5, "name": "x"}]}, r"categories\[0\] has no whole id and name"),
        ({"categories": CATEGORIES * 2}, r"categories\[2\]: the class 'stop' is empty or named twice"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=f"coco.json.* ?{message}"):
        read_boxes(file(tmp_path, **changes), "coco", strict=False)


def test_results_in_the_place_of_annotations_are_named(tmp_path):
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(UserError, match="is a list, as COCO results are"):
        read_boxes(tmp_path / "r.json", "coco")


def test_spaces_around_categories_are_taken_away_and_said(tmp_path):
    lines = []
    with logged(lines.append):
        found = read_boxes(file(tmp_path, categories=[{"id": 3, "name": "bend "}]))
    assert found.boxes["label"].tolist() == ["bend"]
    assert lines == [f"{tmp_path}/coco.json: spaces around 1 classes were taken away, such as 'bend '"]


@pytest.mark.parametrize(
    ("other", "message"), [("stop ", "named twice"), ("STOP", "give them one name")]
)
def test_categories_that_look_alike_are_refused(tmp_path, other, message):
    with pytest.raises(UserError, match=message):
        read_boxes(file(tmp_path, categories=[*CATEGORIES, {"id": 4, "name": other}]))
