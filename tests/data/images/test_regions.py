"""Regions of frames as samples."""

import cv2
import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.data.hashing import content_hashes
from mindspore_dpus.data.images import regions
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.frames import expand_frames, split_frame
from mindspore_dpus.data.images.preparing import ImageSettings
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.images.regions import (
    Regions,
    cut,
    name_region,
    prepare_regions,
    split_region,
)
from mindspore_dpus.data.source import Source


@pytest.fixture
def frame(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    return image


def test_a_name_is_split_and_made():
    assert split_region("a.png#xywh=1,2,3.5,4") == ("a.png", (1, 2, 4.5, 6))
    assert split_region("a.png") == ("a.png", None)
    assert name_region("a.png", (1, 2, 4.5, 6)) == "a.png#xywh=1,2,3.5,4"
    assert name_region("a.png", (0.25, 20, 30.3333333, 120)) == "a.png#xywh=0.25,20,30.083,100"


def test_hashes_and_groups_go_by_the_file(tmp_path, frame):
    name = "a.png#xywh=1,2,16,16"
    assert split_frame(tmp_path / name) == (tmp_path / "a.png", None)
    hashes = content_hashes([name, "a.png"], tmp_path, tmp_path / "hashes.csv")
    assert hashes[0] == hashes[1] != ""
    table = pd.DataFrame({"path": [name, "a.png"], "label": "x", "split": "", "group": ""})
    assert expand_frames(table, tmp_path)["group"].tolist() == ["a.png", ""]


def test_a_region_of_its_own_size_is_the_pixels(tmp_path, frame):
    found = Regions(ImageSettings(size=16, channels=3)).load(tmp_path / "a.png#xywh=5,7,16,16")
    assert np.array_equal(found, frame[7:23, 5:21])


def test_the_margin_is_a_share_of_the_box_and_ends_at_the_frame(frame):
    assert cut(frame, (10, 10, 20, 30), 0.1).shape == (24, 12, 3)
    assert cut(frame, (0, 0, 20, 20), 0.5).shape == (30, 30, 3)
    assert cut(frame, (59.6, 39.7, 60, 40)).shape == (1, 1, 3)


def test_memory_and_file_give_the_same(tmp_path, frame):
    boxes = np.array([[3.3, 4.4, 30, 20.2], [0, 0, 60, 40]])
    images = ImageSettings(size=24, channels=3)
    found = prepare_regions(frame, boxes, images, 0.25)
    reader = Regions(images, 0.25)
    for box, region in zip(boxes, found, strict=True):
        assert np.array_equal(reader.load(tmp_path / name_region("a.png", box)), region)


def test_a_frame_is_decoded_once_for_many_regions(tmp_path, frame, monkeypatch):
    calls = []

    def counted(*args):
        calls.append(args)
        return read_image(*args)

    monkeypatch.setattr(regions, "read_image", counted)
    names = [f"a.png#xywh={i},0,16,16" for i in range(30)]
    source = Source(tmp_path, Regions(ImageSettings(size=16, channels=3)), tmp_path / "cache")
    images = source.open(pd.DataFrame({"path": names}))
    assert len(calls) == 1
    assert all(np.array_equal(images[i], frame[:16, i : i + 16]) for i in range(30))


@pytest.mark.parametrize(
    ("region", "message"),
    [("1,1,0,5", "the region is empty"), ("60,0,5,5", "outside of the frame of 60 x 40 pixels")],
)
def test_a_region_that_is_none_is_an_error(tmp_path, frame, region, message):
    with pytest.raises(ImageError, match=message):
        Regions(ImageSettings(size=16)).load(tmp_path / f"a.png#xywh={region}")


def test_a_reader_of_whole_images_refuses_a_region(tmp_path, frame):
    with pytest.raises(ImageError, match="reader of regions"):
        ImageSettings(size=16).load(tmp_path / "a.png#xywh=1,1,5,5")
