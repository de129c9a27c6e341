"""Proposals -> named signs."""

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import iou
from mindspore_dpus.deploy.cascade import Scored, detect, score_boxes, vote
from mindspore_dpus.deploy.place_filter import PlaceFilter

LOWER_HALF = PlaceFilter(0.5, 1.0, None, 0.0, 1.0, 0.0, 1.0, 0.0, 100.0)


def random_scores(n, seed, n_classes=3):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 100, (n, 2))
    boxes = np.concatenate([start, start + rng.uniform(10, 40, (n, 2))], axis=1)
    return Scored(boxes, rng.random(n), rng.dirichlet([0.3] * n_classes, n))


def test_every_step_sees_what_the_one_before_has_left():
    boxes = np.array([[0, 10, 10, 20], [0, 60, 10, 70], [20, 60, 30, 70], [40, 70, 50, 80]], dtype=float)
    asked = []

    def foreground(left):
        asked.append(left)
        return np.array([0.2, 0.9, 0.5])

    def signs(left):
        asked.append(left)
        return np.array([[0.1, 0.9], [0.7, 0.3]])

    scored = score_boxes(boxes, 100, 100, LOWER_HALF, foreground, signs, 2, foreground_floor=0.5)
    np.testing.assert_array_equal(asked[0], boxes[1:])
    np.testing.assert_array_equal(asked[1], boxes[2:])
    np.testing.assert_array_equal(scored.boxes, boxes[1:])
    np.testing.assert_array_equal(scored.signs, [[np.nan] * 2, [0.1, 0.9], [0.7, 0.3]])
    found = detect(scored, background_threshold=0.5, sign_threshold=0.0)
    assert found.classes.tolist() == [1, 0]
    assert found.scores.tolist() == [0.9, 0.7]
    np.testing.assert_array_equal(found.boxes, boxes[2:])


def test_without_a_filter_every_proposal_is_looked_at():
    boxes = np.array([[0, 10, 10, 20], [0, 60, 10, 70]], dtype=float)
    scored = score_boxes(
        boxes, 100, 100, None, lambda b: np.ones(len(b)), lambda b: np.ones((len(b), 1)), 1, 0.5
    )
    np.testing.assert_array_equal(scored.boxes, boxes)


def test_networks_are_not_asked_about_nothing():
    def never(boxes):
        raise AssertionError("asked")

    none = score_boxes(np.empty((0, 4)), 100, 100, None, never, never, 4, 0.5)
    above = score_boxes(np.array([[0.0, 0, 9, 9]]), 100, 100, LOWER_HALF, never, never, 4, 0.5)
    low = score_boxes(np.array([[0.0, 0, 9, 9]]), 9, 9, None, lambda b: np.zeros(len(b)), never, 4, 0.5)
    for scored, n in ((none, 0), (above, 0), (low, 1)):
        assert scored.signs.shape == (n, 4)
        found = detect(scored, background_threshold=0.5, sign_threshold=0.5)
        assert found.boxes.shape == (0, 4)
        assert len(found.classes) == len(found.scores) == 0


@pytest.mark.parametrize(("background", "sign"), [(0.0, 0.0), (0.3, 0.6), (0.9, 0.9), (1.1, 0.0)])
@pytest.mark.parametrize(("overlap", "limit"), [(0.3, 6), (0.0, 3), (1.0, 1000)])
def test_detections_against_loops(background, sign, overlap, limit):
    scored = random_scores(80, 0)
    found = detect(
        scored,
        background_threshold=background,
        sign_threshold=sign,
        nms_threshold=overlap,
        limit=limit,
    )
    waiting = [
        (max(p), list(p).index(max(p)), box)
        for box, f, p in zip(scored.boxes, scored.foreground, scored.signs, strict=True)
        if f >= background and max(p) >= sign
    ]
    waiting.sort(key=lambda one: -one[0])
    kept = []
    for one in waiting:
        if all(iou([one[2]], [other[2]])[0, 0] <= overlap for other in kept):
            kept.append(one)
    kept = kept[:limit]
    assert found.scores.tolist() == [score for score, _, _ in kept]
    assert found.classes.tolist() == [label for _, label, _ in kept]
    assert found.boxes.tolist() == [box.tolist() for _, _, box in kept]


def test_a_box_on_both_thresholds_stays():
    scored = Scored(np.array([[0.0, 0, 9, 9]]), np.array([0.5]), np.array([[0.25, 0.75]]))
    assert len(detect(scored, background_threshold=0.5, sign_threshold=0.75).boxes) == 1


def test_suppression_goes_by_the_sign_score_and_across_classes():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10]])
    scored = Scored(boxes, np.array([1.0, 0.6]), np.array([[0.6, 0.4], [0.1, 0.9]]))
    found = detect(scored, background_threshold=0.5, sign_threshold=0.5)
    assert found.classes.tolist() == [1]
    assert found.boxes.tolist() == [[1, 0, 11, 10]]


def test_a_threshold_below_what_was_asked_is_an_error():
    signs = np.array([[np.nan, np.nan], [0.4, 0.6]])
    scored = Scored(np.array([[0.0, 0, 9, 9], [20, 0, 29, 9]]), np.array([0.4, 0.8]), signs)
    assert len(detect(scored, background_threshold=0.5, sign_threshold=0.5).boxes) == 1
    with pytest.raises(ValueError, match=r"not asked about all boxes from 0\.3"):
        detect(scored, background_threshold=0.3, sign_threshold=0.5)


@pytest.mark.parametrize(
    ("foreground", "signs", "message"),
    [
        (np.ones(3), np.ones((2, 2)), r"background network gives \(3,\) where \(2,\)"),
        (np.ones(2), np.ones((2, 3)), r"sign network gives \(2, 3\) where \(2, 2\)"),
        (np.array([1, np.nan]), np.ones((2, 2)), "background network gives NaN"),
        (np.ones(2), np.full((2, 2), np.nan), "sign network gives NaN"),
    ],
)
def test_a_network_that_gives_something_else_is_named(foreground, signs, message):
    boxes = np.array([[0.0, 0, 9, 9], [20, 0, 29, 9]])
    with pytest.raises(ValueError, match=message):
        score_boxes(boxes, 50, 50, None, lambda b: foreground, lambda b: signs, 2, 0.5)


def test_a_vote_is_the_weighted_mean_of_the_boxes_around():
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10], [8, 0, 18, 10], [50, 50, 60, 60]])
    # The first overlaps itself by 1, the second by 2/3, the third by 1/9.
    moved = vote(boxes[[0, 3]], boxes, np.array([3.0, 1.0, 9.0, 1.0]), 0.5)
    np.testing.assert_allclose(moved, [[0.5, 0, 10.5, 10], boxes[3]])
    np.testing.assert_array_equal(vote(boxes, boxes, np.ones(4), 1.0), boxes)


def test_what_has_not_passed_has_no_vote():
    scored = Scored(
        np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [1, 1, 11, 11]]),
        np.array([1.0, 0.5, 0.1, 1.0]),
        np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.4, 0.6]]),
    )
    limits = {"background_threshold": 0.5, "sign_threshold": 0.7}
    plain = detect(scored, **limits)
    voted = detect(scored, **limits, vote_threshold=0.3)
    assert plain.boxes.tolist() == [[0, 0, 10, 10]]
    # Weights 0.9 * 1 and 0.8 * 0.5.
    np.testing.assert_allclose(voted.boxes, [[0.4 / 1.3, 0, 10 + 0.4 / 1.3, 10]])
    assert voted.scores.tolist() == plain.scores.tolist()
    assert voted.classes.tolist() == plain.classes.tolist()
    nothing = detect(scored, background_threshold=1.1, sign_threshold=0, vote_threshold=0.3)
    assert nothing.boxes.shape == (0, 4)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_vote_moves_together_is_suppressed_once_more(seed):
    scored = random_scores(60, seed)
    limits = {"background_threshold": 0.0, "sign_threshold": 0.0, "nms_threshold": 0.3, "limit": 1000}
    overlaps = iou(*[detect(scored, **limits, vote_threshold=0.1).boxes] * 2)
    assert (overlaps - np.eye(len(overlaps))).max() <= 0.3


def test_a_double_that_goes_after_the_vote_leaves_its_place_to_the_next_box():
    # The first two overlap by 0.25 and are kept; the third lies between and draws both to itself.
    boxes = np.array([[0.0, 0, 10, 10], [6, 0, 16, 10], [3, 0, 13, 10], [50, 50, 60, 60]])
    signs = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    limits = {"background_threshold": 0.5, "sign_threshold": 0.5, "limit": 2}
    scored = Scored(boxes, np.array([0.5, 0.5, 1.0, 1.0]), signs)
    plain = detect(scored, **limits)
    assert plain.boxes.tolist() == boxes[:2].tolist()
    found = detect(scored, **limits, vote_threshold=0.3)
    assert found.classes.tolist() == [0, 0]
    assert found.scores.tolist() == [0.9, 0.6]
    np.testing.assert_allclose(found.boxes[1], boxes[3])
