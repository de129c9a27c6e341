"""Greedy matching, case by case."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mindspore_dpus.metrics.matching import Detections, Truths, match

BOX = [0.0, 0.0, 10.0, 10.0]


def found(truths, detections, thresholds=(0.5,), **options):
    """What each detection finds at the first threshold, in the order given; None: beyond the limit."""
    matches = match(truths, detections, thresholds, **options)
    result = [None] * len(detections.scores)
    for place, truth in zip(matches.order, matches.truths[0], strict=True):
        result[place] = int(truth)
    return result


def test_a_true_box_is_found_once_by_the_best_score():
    truths = Truths([0], [0], [BOX])
    detections = Detections([0, 0, 0], [0, 0, 0], [BOX, [0, 0, 10, 9], BOX], [0.2, 0.9, 0.5])
    assert found(truths, detections) == [-1, 0, -1]


def test_equal_scores_count_in_the_order_given():
    truths = Truths([0], [0], [BOX])
    assert found(truths, Detections([0, 0], [0, 0], [BOX, BOX], [0.5, 0.5])) == [0, -1]


def test_frames_and_classes_do_not_mix():
    truths = Truths([0, 1, 1], [0, 0, 1], [BOX] * 3)
    detections = Detections([1, 1, 0, 0, 2], [1, 2, 1, 0, 0], [BOX] * 5, [0.5] * 5)
    assert found(truths, detections) == [2, -1, -1, 0, -1]


def test_the_box_that_overlaps_most_is_taken_and_of_equal_ones_the_last():
    truths = Truths([0, 0, 0], [0, 0, 0], [[0, 0, 10, 8], BOX, BOX])
    assert found(truths, Detections([0], [0], [BOX], [1.0])) == [2]
    assert found(truths, Detections([0, 0], [0, 0], [BOX, BOX], [1.0, 0.5])) == [2, 1]
    assert found(truths, Detections([0] * 3, [0] * 3, [BOX] * 3, [1.0, 0.5, 0.1])) == [2, 1, 0]


def test_a_box_that_just_reaches_the_threshold_finds():
    truths = Truths([0], [0], [BOX])
    half = Detections([0], [0], [[0, 0, 10, 5]], [1.0])
    matches = match(truths, half, [0.5, 0.500001, 1.0])
    assert matches.hits[:, 0].tolist() == [True, False, False]
    assert match(truths, half._replace(boxes=[BOX]), [1.0]).hits.all()


def test_the_limit_is_of_a_frame_and_class():
    truths = Truths([0], [0], [BOX])
    detections = Detections([0, 0, 0, 1], [0, 0, 1, 0], [BOX] * 4, [0.1, 0.2, 0.3, 0.4])
    assert found(truths, detections, max_detections=1) == [None, 0, -1, -1]
    assert found(truths, detections, max_detections=None) == [-1, 0, -1, -1]


def test_matches_come_by_class_then_score_then_frame():
    detections = Detections([3, 1, 1, 2], [1, 0, 1, 1], [BOX] * 4, [0.5, 0.1, 0.5, 0.9])
    matches = match(Truths([], [], []), detections)
    assert matches.order.tolist() == [1, 3, 2, 0]
    assert matches.labels.tolist() == [0, 1, 1, 1]
    assert matches.scores.tolist() == [0.1, 0.9, 0.5, 0.5]
    assert matches.frames.tolist() == [1, 2, 1, 3]


def test_no_detections_are_no_matches():
    matches = match(Truths([0], [0], [BOX]), Detections([], [], [], []), [0.5, 0.7])
    assert matches.truths.shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [np.nan]}, "edges and scores must be finite numbers"),
        ({"boxes": [[0, 0, np.inf, 1]]}, "edges and scores must be finite numbers"),
        ({"scores": [1.0, 2.0]}, "must be of one length"),
        ({"labels": [0.0]}, "frames and labels must be whole numbers"),
    ],
)
def test_bad_rows_are_refused(change, message):
    good = Detections([0], [0], [BOX], [0.5])
    with pytest.raises(ValueError, match=message):
        match(Truths([0], [0], [BOX]), good._replace(**change))
    for limits in ([0.0], [1.1], 0.5):
        with pytest.raises(ValueError, match="thresholds of IoU lie above 0, up to 1"):
            match(Truths([0], [0], [BOX]), good, limits)


def test_it_needs_numpy_only():
    code = (
        "import sys, mindspore_dpus.metrics.detection, mindspore_dpus.metrics.proposal_recall;"
        "print(sorted({'pandas', 'mindspore', 'sklearn', 'scipy', 'cv2'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert run.stdout.strip() == "[]"
