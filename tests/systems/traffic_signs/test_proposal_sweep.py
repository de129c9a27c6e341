"""The sweep over saved maps."""

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.arithmetic import encode, iou
from mindspore_dpus.deploy.proposals import Maps, propose
from mindspore_dpus.metrics.proposal_recall import proposal_recall
from mindspore_dpus.systems.traffic_signs.proposal_sweep import (
    SweepRow,
    best_overlaps,
    read_maps,
    sweep,
    sweep_rows,
    take_anchors,
    write_maps,
)
from tests.deploy.test_proposals import (
    GRID,
    HEIGHT,
    RATIOS,
    SIZES,
    STRIDE,
    WIDTH,
    random_maps,
)


def test_recall_counts_a_box_on_the_threshold():
    truth = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
    overlaps = best_overlaps(np.array([[0.0, 0, 10, 5], [20, 20, 30, 30]]), truth)
    assert overlaps.tolist() == [0.5, 1, 0]
    assert proposal_recall(overlaps[np.newaxis], (0.5, 0.7)).tolist() == [[2 / 3], [1 / 3]]
    assert best_overlaps(np.empty((0, 4)), truth).tolist() == [0, 0, 0]
    assert np.isnan(proposal_recall(np.empty((1, 0)))).all()


def perfect_maps(truth):
    """Every anchor that overlaps a true box says exactly where it is; half of them with good scores."""
    flat = GRID.reshape(-1, 4)
    overlaps = iou(flat, truth)
    deltas = encode(truth[overlaps.argmax(axis=1)], flat) * (overlaps.max(axis=1) > 0.2)[:, None]
    return Maps(
        (overlaps.max(axis=1) * 10 - 5).reshape(GRID.shape[:3]).astype(np.float32),
        deltas.reshape(4, 8, 13, 4).transpose(0, 3, 1, 2).reshape(16, 8, 13).astype(np.float32),
        WIDTH,
        HEIGHT,
    )


def test_a_sweep_is_what_single_calls_give():
    truth = {
        "a": np.array([[8.0, 8, 24, 26]]),
        "b": np.array([[40.0, 10, 66, 34], [70, 40, 81, 52]]),
        "c": np.empty((0, 4)),
    }
    maps = {"a": perfect_maps(truth["a"]), "b": random_maps(1), "c": random_maps(2)}
    rows = sweep_rows([RATIOS, (1.0,)], [SIZES, (24.0,)], [50, 400], [5, 30], [0.6])
    assert len(rows) == 16
    read = []

    def reader(name):
        read.append(name)
        return maps[name]

    told = []
    table = sweep(
        rows,
        list(truth),
        reader,
        truth,
        sizes=SIZES,
        ratios=RATIOS,
        stride=STRIDE,
        told=lambda done, total: told.append((done, total)),
    )
    assert read == ["a", "b", "c"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    for row, line in zip(rows, table.to_dict("records"), strict=True):
        places = [
            i * 2 + j
            for i, size in enumerate(SIZES)
            for j, ratio in enumerate(RATIOS)
            if size in row.sizes and ratio in row.ratios
        ]
        overlaps, number = [], 0
        for name, boxes in truth.items():
            part = Maps(
                maps[name].scores[places],
                np.concatenate([maps[name].deltas[4 * p : 4 * p + 4] for p in places]),
                WIDTH,
                HEIGHT,
            )
            found = propose(
                part,
                GRID[places],
                pre_nms_top_k=row.pre_nms_top_k,
                post_nms_top_k=row.post_nms_top_k,
                nms_threshold=row.nms_threshold,
            ).boxes
            number += len(found)
            overlaps += [max(iou(box[None], found)[0]) for box in boxes]
        assert line["recall_50"] == np.mean([o >= 0.5 for o in overlaps])
        assert line["recall_70"] == np.mean([o >= 0.7 for o in overlaps])
        assert line["proposals"] == number / 3
        assert line["boxes"] == 3
        assert line["seconds"] > 0
        assert (line["anchor_sizes"], line["anchor_ratios"]) == (row.sizes, row.ratios)
    assert table["recall_50"].nunique() > 1
    assert table["proposals"].nunique() > 3


def test_anchors_that_were_not_trained_need_a_new_training():
    row = SweepRow((1.0,), (12.0, 48.0), 10, 10, 0.5)
    with pytest.raises(ValueError, match="size 48"):
        sweep([row], [], read_maps, {}, sizes=SIZES, ratios=RATIOS, stride=8)


def test_maps_of_another_number_of_anchors_are_refused():
    row = SweepRow((1.0,), (12.0,), 10, 10, 0.5)
    maps = take_anchors(random_maps(0), np.array([0, 1, 2]))
    truth = {"f": np.empty((0, 4))}
    with pytest.raises(ValueError, match="f: maps of 3 anchors; the settings have 4"):
        sweep([row], ["f"], lambda name: maps, truth, sizes=SIZES, ratios=RATIOS, stride=8)


def test_maps_come_back_from_disk_as_they_were(tmp_path):
    maps = random_maps(3)
    write_maps(maps, tmp_path / "maps" / "a.npz")
    found = read_maps(tmp_path / "maps" / "a.npz")
    np.testing.assert_array_equal(found.scores, maps.scores)
    np.testing.assert_array_equal(found.deltas, maps.deltas)
    assert (found.width, found.height) == (WIDTH, HEIGHT)


def test_torn_or_missing_maps_are_one_line(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match=r"a\.npz holds no maps"):
        read_maps(path)
    write_maps(random_maps(3), path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"a\.npz holds no maps.*make them again"):
        read_maps(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="holds no maps"):
        read_maps(path)
