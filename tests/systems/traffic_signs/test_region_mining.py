"""Background and signs out of proposals."""

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.systems.traffic_signs.region_mining import (
    judge,
    mine_frames,
    mine_regions,
    whole_pixels,
)

TRUTH = np.array([[100.0, 100, 140, 140], [300, 50, 330, 85]])
FRAME = {"path": "a.jpg", "split": "train", "width": 400, "height": 200}


def scatter(n, seed):
    """Boxes all over a frame, and many around the true ones."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 1, (n, 2)) * [380, 180]
    anywhere = np.concatenate([start, start + rng.uniform(5, 60, (n, 2))], axis=1)
    return np.concatenate([anywhere, np.repeat(TRUTH, 40, axis=0) + rng.normal(0, 6, (80, 4))])


def test_boxes_are_rounded_into_the_frame():
    boxes = [[-3.2, 4.6, 10.4, 20.5], [50, 20, 50.2, 20.1], [99.9, 59.9, 120, 80]]
    assert whole_pixels(boxes, 100, 60).tolist() == [[0, 5, 10, 20], [50, 20, 51, 21], [99, 59, 100, 60]]


def test_thresholds_on_the_spot():
    # Overlaps with the only true box: 0.2, 0.6, and just below each.
    truth = np.array([[0.0, 0, 100, 10]])
    boxes = np.array([[0.0, 0, 20, 10], [0, 0, 60, 10], [0, 0, 19, 10], [0, 0, 59, 10]])
    background, sign = judge(boxes, truth, 0.2, 0.6)
    assert background.tolist() == [False, False, True, False]
    assert sign.tolist() == [-1, 0, -1, -1]


def test_a_frame_without_signs_is_all_background():
    background, sign = judge(np.ones((3, 4)), np.empty((0, 4)), 0.2, 0.6)
    assert background.all()
    assert (sign == -1).all()


def test_what_is_mined_keeps_the_thresholds_with_its_whole_corners():
    boxes = scatter(500, 0)
    table = mine_regions(
        boxes, TRUTH, ["stop", "yield"], np.random.default_rng(0), n_background=1e9, **FRAME
    )
    assert table.columns.tolist() == ["path", "x1", "y1", "x2", "y2", "label", "split", "group"]
    corners = table[["x1", "y1", "x2", "y2"]]
    assert (corners.dtypes == np.int64).all()
    overlaps = iou(corners.to_numpy(), TRUTH)
    for label, overlap in zip(table["label"], overlaps, strict=True):
        if label == "background":
            assert overlap.max() < 0.2
        else:
            assert overlap.max() >= 0.6
            assert label == ["stop", "yield"][overlap.argmax()]
    # With a dice that never fails, all of both kinds are there, once.
    whole = np.unique(whole_pixels(boxes, 400, 200), axis=0)
    best = iou(whole, TRUTH).max(axis=1)
    assert (table["label"] == "background").sum() == (best < 0.2).sum()
    assert (table["label"] != "background").sum() == (best >= 0.6).sum() > 0
    assert not corners.duplicated().any()
    assert set(table["path"]) == set(table["group"]) == {"a.jpg"}
    assert set(table["split"]) == {"train"}


def test_the_dice_gives_n_on_average_whatever_the_number_of_boxes():
    counts = {}
    for n in (100, 600):
        boxes = scatter(n, 1)
        counts[n] = [
            (
                mine_regions(
                    boxes, TRUTH, ["a", "b"], np.random.default_rng(seed), n_background=30, **FRAME
                )["label"]
                == "background"
            ).sum()
            for seed in range(200)
        ]
    for drawn in counts.values():
        assert np.mean(drawn) == pytest.approx(30, abs=1.5)  # Four standard errors.
        assert np.std(drawn) > 2


def test_all_signs_are_taken_whatever_the_dice_says():
    boxes = scatter(300, 2)
    none = mine_regions(boxes, TRUTH, ["a", "b"], np.random.default_rng(0), n_background=0, **FRAME)
    some = mine_regions(boxes, TRUTH, ["a", "b"], np.random.default_rng(0), n_background=50, **FRAME)
    assert (none["label"] != "background").all()
    pd.testing.assert_frame_equal(none, some[some["label"] != "background"].reset_index(drop=True))


def many(n, seed=3):
    return {
        "proposals": [scatter(200, seed + i) for i in range(n)],
        "truth": [TRUTH] * n,
        "labels": [["a", "b"]] * n,
        "paths": [f"{i}.jpg" for i in range(n)],
        "splits": ["train"] * n,
        "sizes": [(400, 200)] * n,
    }


def test_frames_together_give_the_background_that_is_wanted():
    table = mine_frames(**many(30), seed=1, n_background=[50] * 30)
    background = table[table["label"] == "background"]
    assert len(background) == pytest.approx(1500, abs=120)
    assert background["path"].nunique() == 30
    assert table.index.tolist() == list(range(len(table)))


def test_a_frame_gives_the_same_beside_others_and_another_seed_something_else():
    alone = mine_frames(**many(1), seed=[1, 2], n_background=[50])
    beside = mine_frames(**many(2), seed=[1, 2], n_background=[50, 80])
    pd.testing.assert_frame_equal(alone, beside[beside["path"] == "0.jpg"])
    other = mine_frames(**many(1), seed=[1, 3], n_background=[50])
    assert not alone.equals(other)


def test_no_frames_give_an_empty_table_with_its_columns():
    table = mine_frames(**many(0), seed=1, n_background=[])
    assert table.columns.tolist()[0] == "path"
    assert len(table) == 0


def test_no_proposals_give_no_rows():
    table = mine_regions(
        np.empty((0, 4)), TRUTH, ["a", "b"], np.random.default_rng(0), n_background=5, **FRAME
    )
    assert len(table) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"background_below": 0.7}, r"0\.7 and 0\.6"),
        ({"n_background": -1}, "n_background is -1"),
        ({"labels": ["a"]}, "a.jpg: 2 true boxes have 1 labels"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    arguments = {"labels": ["a", "b"], "n_background": 5} | FRAME | changes
    with pytest.raises(ValueError, match=message):
        mine_regions(scatter(5, 0), TRUTH, rng=np.random.default_rng(0), **arguments)
