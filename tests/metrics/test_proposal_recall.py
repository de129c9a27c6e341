"""Recall of proposals: by hand, and against a plain loop."""

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.metrics.proposal_recall import best_overlaps, proposal_recall

BOX = [0.0, 0.0, 10.0, 10.0]


def test_one_proposal_may_find_two_boxes_and_equal_is_enough():
    frames, boxes = [0, 0, 1], [BOX, [0, 0, 10, 9], BOX]
    overlaps = best_overlaps(
        frames, np.array(boxes), [0, 1], np.array([BOX, [0, 0, 10, 5]]), [1, 1], [1]
    )
    np.testing.assert_allclose(overlaps, [[1.0, 0.9, 0.5]])
    np.testing.assert_allclose(proposal_recall(overlaps), [[1.0], [2 / 3]])


def test_the_best_proposals_of_each_frame_count():
    boxes = np.array([[0, 0, 10, 1], BOX, [0, 0, 10, 6], BOX])
    overlaps = best_overlaps(
        [5, 7], np.array([BOX, BOX]), [5, 5, 5, 7], boxes, [3, 1, 2, 0], [1, 2, 3, 9]
    )
    np.testing.assert_allclose(overlaps, [[0.1, 1], [0.6, 1], [1, 1], [1, 1]])
    np.testing.assert_allclose(proposal_recall(overlaps), [[0.5, 1, 1, 1], [0.5, 0.5, 1, 1]])


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_a_plain_loop_counts(seed):
    rng = np.random.default_rng(seed)

    def draw(n):
        corners = rng.uniform(0, 30, (n, 2))
        return rng.integers(6, size=n), np.concatenate(
            [corners, corners + rng.uniform(2, 20, (n, 2))], 1
        )

    (truth_frames, truths), (frames, boxes) = draw(25), draw(200)
    scores, numbers = np.round(rng.random(200), 1), [1, 4, 20, 1000]
    found = best_overlaps(truth_frames, truths, frames, boxes, scores, numbers)
    for i, number in enumerate(numbers):
        for j in range(25):
            mine = np.flatnonzero(frames == truth_frames[j])
            best = sorted(mine, key=lambda p: -scores[p])[:number]
            assert found[i, j] == iou(truths[[j]], boxes[best]).max(initial=0.0)


def test_nothing_proposed_is_0_and_nothing_to_find_is_nan():
    none = np.zeros((0, 4))
    overlaps = best_overlaps([0, 1], np.array([BOX, BOX]), [], none, [], [5])
    assert proposal_recall(overlaps).tolist() == [[0.0], [0.0]]
    assert np.isnan(proposal_recall(best_overlaps([], none, [0], np.array([BOX]), [1], [5]))).all()


def test_bad_numbers_and_scores_are_refused():
    with pytest.raises(ValueError, match="numbers of proposals are at least 1, not 0"):
        best_overlaps([0], np.array([BOX]), [0], np.array([BOX]), [1], [5, 0])
    with pytest.raises(ValueError, match="scores must be finite"):
        best_overlaps([0], np.array([BOX]), [0], np.array([BOX]), [np.nan], [5])
