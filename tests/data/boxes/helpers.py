"""Annotations that every format can hold, and small image files."""

import cv2
import numpy as np
import pandas as pd

from mindspore_dpus.data.boxes.annotations import EDGES, Annotations, Found, check

SIZE = (40, 30)  # width, height
CLASSES = {"stop": 0, "give way": 1, "no trucks": 2}
ROWS = [
    ("b.png", 0.0, 0.0, 40.0, 30.0, "give way"),
    ("a.png", 3.0, 4.0, 20.0, 9.0, "stop"),
    ("b.png", 7.0, 8.0, 8.0, 10.0, "stop"),
]


def annotations(rows=ROWS, names=("a.png", "b.png", "empty.png"), classes=CLASSES, size=SIZE):
    """Three frames, one of them without a box; no box of the third class."""
    frames = [{"path": name, "width": size[0], "height": size[1]} for name in names]
    keys = ("path", *EDGES, "label")
    found = [dict(zip(keys, row, strict=True)) | {"place": f"row {i}"} for i, row in enumerate(rows)]
    return check(Found(found, frames, dict(classes)), None, strict=True)


def in_order(table):
    keys = [name for name in ("path", *EDGES) if name in table]
    return table.sort_values(keys).reset_index(drop=True)


def assert_same(found: Annotations, expected: Annotations):
    """Equal frames and boxes, in any order; equal classes in this one."""
    columns = list(expected.boxes)
    pd.testing.assert_frame_equal(in_order(found.boxes)[columns], in_order(expected.boxes))
    columns = list(expected.frames)
    pd.testing.assert_frame_equal(in_order(found.frames)[columns], in_order(expected.frames))
    assert list(found.classes.items()) == list(expected.classes.items())
    assert found.problems.empty


def write_images(folder, names, size=SIZE):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((size[1], size[0], 3), np.uint8)
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return folder
