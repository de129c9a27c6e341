"""Every kind of finding, planted by hand, found by name; and nothing where nothing is wrong."""

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.data.findings import COLUMNS, describe, summarise
from mindspore_dpus.data.images.findings import SEVERITY, audit
from mindspore_dpus.data.images.measures import measure_images
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.settings import AuditSettings

SPEC = ImageSettings(value_range="minmax")


def picture(seed, shape=(48, 48), dtype=np.uint8):
    """Smooth random structure over the whole range of the type."""
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=shape), (0, 0), 3)
    unit = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (unit * np.iinfo(dtype).max).astype(dtype)


class Data:
    """A data set in the making: images written, rows of a sample table kept."""

    def __init__(self, root):
        self.root, self.rows = root, []

    def add(self, name, image, split="train", label="normal", group=""):
        if isinstance(image, bytes):
            (self.root / name).write_bytes(image)
        else:
            assert cv2.imwrite(str(self.root / name), image)
        self.rows.append((name, label, split, group))

    def audit(self, **options):
        samples = pd.DataFrame(self.rows, columns=["path", "label", "split", "group"])
        found = audit(
            samples, measure_images(samples["path"], self.root, SPEC), AuditSettings(**options)
        )
        assert list(found) == COLUMNS
        return found

    def found(self, **options):
        """Kind -> (path, other) of its findings, without the class counts."""
        table = self.audit(**options)
        table = table[table["kind"] != "class_count"]
        parts = table.groupby("kind", sort=False)
        return {kind: list(zip(part["path"], part["other"], strict=True)) for kind, part in parts}


@pytest.fixture
def data(tmp_path):
    """Twelve pictures of one size and type, four in each split."""
    made = Data(tmp_path)
    for i in range(12):
        made.add(f"{i}.png", picture(i), ("train", "val", "test")[i // 4], ("normal", "defect")[i % 2])
    return made


def test_good_data_have_class_counts_and_nothing_else(data):
    table = data.audit()
    assert set(table["kind"]) == {"class_count"}
    assert table["detail"].tolist() == [
        *("train: 2 defect", "train: 2 normal", "val: 2 defect"),
        *("val: 2 normal", "test: 2 defect", "test: 2 normal"),
    ]
    assert summarise(table).empty


def test_unreadable_images_are_errors_even_where_they_are_not_used(data):
    data.add("torn.png", (data.root / "0.png").read_bytes()[:100])
    data.add("empty.png", b"", split="unused")
    table = data.audit()
    rows = table[table["kind"] == "unreadable"]
    assert rows["path"].tolist() == ["torn.png", "empty.png"]
    assert set(rows["severity"]) == {"error"}
    assert describe(rows.iloc[1]) == f"{data.root}/empty.png is empty (0 bytes)"


def test_equal_pixels_in_two_splits_are_a_leak_whatever_the_file(data):
    data.add("again.bmp", picture(1), split="test", label="defect")
    data.add("third.png", picture(1), split="test", label="defect")
    assert data.found() == {
        "exact_duplicates_across_splits": [("again.bmp", "1.png")],
        "exact_duplicates": [("third.png", "again.bmp")],
    }


def test_the_held_out_image_is_the_one_that_is_named(data):
    data.rows.insert(0, data.rows.pop())  # A test image first in the table.
    data.add("again.png", picture(11), split="train", label="defect")
    assert data.found() == {"exact_duplicates_across_splits": [("11.png", "again.png")]}


def test_equal_pixels_in_one_split_are_a_warning(data):
    data.add("again.png", picture(1), label="defect")
    assert data.found() == {"exact_duplicates": [("again.png", "1.png")]}


def test_images_without_a_split_and_train_are_one_pool(data):
    data.add("again.png", picture(1), split="", label="defect")
    assert list(data.found()) == ["exact_duplicates"]


def test_one_content_with_two_labels(data):
    data.add("other.png", picture(0), label="defect")
    found = data.found()
    assert found["conflicting_labels"] == [("other.png", "0.png")]
    table = data.audit()
    row = table[table["kind"] == "conflicting_labels"].iloc[0]
    assert (row["severity"], row["detail"]) == ("warning", "equal pixels, but defect and normal")


def test_unused_images_are_no_duplicates(data):
    data.add("again.png", picture(1), split="unused", label="normal")
    assert data.found() == {}


def test_near_duplicates_are_told_apart_by_split(data):
    jpeg = cv2.imencode(".jpg", picture(1), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    data.add("near.jpg", jpeg, split="test", label="normal")
    smaller = cv2.resize(picture(2), (40, 40), interpolation=cv2.INTER_AREA)
    data.add("smaller.png", smaller, split="train", label="normal")
    table = data.audit()
    assert data.found() == {
        "near_duplicates_across_splits": [("near.jpg", "1.png")],
        "near_duplicates": [("smaller.png", "2.png")],
    }
    details = dict(zip(table["kind"], table["detail"], strict=True))
    assert details["near_duplicates_across_splits"].endswith("differ; test normal and train defect")
    assert data.found(near_distance=None) == {}


def test_an_exact_duplicate_is_not_a_near_one_too(data):
    data.add("again.png", picture(1), split="test", label="defect")
    assert list(data.found()) == ["exact_duplicates_across_splits"]


def test_blank_images_are_constant_and_not_duplicates_of_each_other(data):
    data.add("white.png", np.full((48, 48), 255, np.uint8))
    data.add("blank.png", np.full((48, 48), 255, np.uint8), split="test")
    assert data.found() == {"constant_image": [("white.png", ""), ("blank.png", "")]}


def test_a_group_in_two_splits_is_a_leak(data):
    for i, split in enumerate(("train", "train", "val", "test")):
        data.add(f"g{i}.png", picture(100 + i), split, group="part 7")
    data.add("h.png", picture(200), "val", group="part 8")
    data.add("i.png", picture(201), "unused", group="part 8")
    table = data.audit()
    rows = table[table["kind"] == "groups_across_splits"]
    assert rows[["severity", "path", "other"]].to_numpy().tolist() == [
        ["error", "g2.png", "g0.png"],
        ["error", "g3.png", "g0.png"],
    ]
    assert rows["detail"].iloc[0] == "group part 7: 2 images in train, 1 in val"


def test_one_group_for_all_is_no_group(data):
    data.rows = [(*row[:3], "castings") for row in data.rows]
    assert data.found() == {}


def test_groups_may_be_numbers(data):
    samples = pd.DataFrame(data.rows, columns=["path", "label", "split", "group"])
    samples["group"] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]
    found = audit(samples, measure_images(samples["path"], data.root, SPEC), AuditSettings())
    assert found["detail"].iloc[0] == "group 1: 1 images in train, 1 in test"


def test_leaks_that_are_allowed_are_warnings(data):
    data.add("again.png", picture(1), split="test", label="defect")
    table = data.audit(allow=["exact_duplicates_across_splits"])
    assert table["severity"].iloc[0] == "warning"
    assert not (table["severity"] == "error").any()


@pytest.mark.parametrize(
    ("shape", "is_odd"), [((24, 48), True), ((96, 96), True), ((48, 25), False), ((60, 90), False)]
)
def test_a_side_half_or_twice_the_median_is_odd(data, shape, is_odd):
    data.add("odd.png", picture(50, shape))
    table = data.audit()
    rows = table[table["kind"] == "size_outlier"]
    assert rows["path"].tolist() == ["odd.png"] * is_odd
    if is_odd:
        assert rows["detail"].iloc[0] == f"{shape[0]} x {shape[1]} pixels; the median is 48 x 48"


def test_sizes_that_vary_widely_have_no_outliers(tmp_path):
    data = Data(tmp_path)
    for i, side in enumerate((20, 24, 30, 60, 80, 100, 120, 150, 20, 25, 100, 130, 40, 66)):
        data.add(f"v{i}.png", picture(60 + i, (side, side)))
    assert "size_outlier" not in data.found()


def test_other_depths_and_channels_are_named(data):
    data.add("deep.png", picture(50, dtype=np.uint16))
    data.add("colour.png", cv2.cvtColor(picture(51), cv2.COLOR_GRAY2BGR))
    table = data.audit()
    assert data.found() == {
        "bit_depth_outlier": [("deep.png", "")],
        "channels_outlier": [("colour.png", "")],
    }
    details = table["detail"].tolist()
    assert details[:2] == [
        "uint16; 13 of 14 images have uint8",
        "3 channels; 13 of 14 images have 1",
    ]


def test_eight_bits_in_a_file_of_sixteen(tmp_path):
    data = Data(tmp_path)
    for i in range(3):
        data.add(f"{i}.png", picture(i, dtype=np.uint16) // 16)
    data.add("dark.png", picture(9).astype(np.uint16))
    assert data.found() == {"bit_depth_outlier": [("dark.png", "")]}


@pytest.mark.parametrize(("share", "is_found"), [(0.4, True), (0.2, False)])
@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (0, np.uint8), (4095, np.uint16)])
def test_clipped_pixels_are_saturated_at_any_depth(tmp_path, share, is_found, value, dtype):
    data = Data(tmp_path)
    image = np.clip(picture(3, (50, 50)).astype(dtype), 10, 200)
    image[: int(50 * share)] = value
    data.add("clipped.png", image)
    expected = {"saturated": [("clipped.png", "")]} if is_found else {}
    assert data.found() == expected
    if is_found:
        name = "smallest" if value == 0 else "largest"
        table = data.audit()
        assert table["detail"].iloc[0] == f"40% of the pixels have the {name} value, {value}"
        assert data.found(saturation=0.5) == {}


def test_the_gravest_come_first_and_every_kind_has_one_line(data):
    data.add("white.png", np.full((48, 48), 255, np.uint8))
    data.add("blank.png", np.full((48, 48), 255, np.uint8))
    data.add("again.png", picture(1), split="test", label="defect")
    data.add("empty.png", b"")
    table = data.audit()
    order = list(dict.fromkeys(table["kind"]))
    assert order == sorted(order, key=list(SEVERITY).index)
    summary = summarise(table)
    assert summary[["kind", "severity", "number"]].to_numpy().tolist() == [
        ["unreadable", "error", 1],
        ["exact_duplicates_across_splits", "error", 1],
        ["constant_image", "warning", 2],
    ]
    assert summary["example"].iloc[1] == "again.png and 1.png: equal pixels in train and test"


def test_only_unreadable_images(tmp_path):
    data = Data(tmp_path)
    data.add("empty.png", b"")
    assert data.found() == {"unreadable": [("empty.png", "")]}
