"""Which anchors are signs, which are background, and what they are to say."""

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import decode
from mindspore_dpus.deploy.anchors import anchor_grid, anchor_shapes
from mindspore_dpus.systems.traffic_signs.assignment import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    anchor_targets,
    assign_anchors,
    regression_targets,
    sample_anchors,
)


def overlap(a, b):
    """Intersection over union of two boxes, in plain Python."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def by_loops(anchors, boxes, high, low, ignored):
    """The rule of Ren et al., section 3.1.2, anchor by anchor."""
    labels, matched = [], []
    for anchor in anchors:
        values = [overlap(anchor, box) for box in boxes]
        best = max(values, default=0)
        matched.append(values.index(best) if values else 0)
        if values and best >= high:
            labels.append(POSITIVE)
        elif (values and best >= low) or any(overlap(anchor, box) >= low for box in ignored):
            labels.append(IGNORED)
        else:
            labels.append(NEGATIVE)
    for g, box in enumerate(boxes):
        values = [overlap(anchor, box) for anchor in anchors]
        if 0 < max(values) < high:
            for i, value in enumerate(values):
                if value == max(values):
                    labels[i], matched[i] = POSITIVE, g
    return labels, matched


@pytest.fixture
def scene():
    anchors = anchor_grid(anchor_shapes([16, 30], [1.0]), 12, 12, 8)
    rng = np.random.default_rng(0)
    start = rng.integers(0, 60, (7, 2))
    boxes = np.concatenate([start, start + rng.integers(9, 36, (7, 2))], axis=1).astype(float)
    return anchors, boxes[:5], boxes[5:]


@pytest.mark.parametrize(("high", "low"), [(0.7, 0.3), (0.5, 0.5), (0.95, 0.1)])
def test_assignment_against_loops(scene, high, low):
    anchors, boxes, ignored = scene
    flat = anchors.reshape(-1, 4)
    labels, matched = assign_anchors(
        flat, boxes, positive_from=high, negative_below=low, ignored=ignored
    )
    expected_labels, expected_matched = by_loops(flat, boxes, high, low, ignored)
    assert labels.tolist() == expected_labels
    assert matched.tolist() == expected_matched
    assert {POSITIVE, NEGATIVE, IGNORED} <= set(labels.tolist())


def test_an_anchor_exactly_on_a_threshold():
    # Overlaps with the box: 1, 0.5, 0.25, and just below each of the two.
    anchors = np.array([[0, 0, 10, w] for w in (40, 20, 10, 19, 9)], dtype=float)
    labels, _ = assign_anchors(
        anchors, np.array([[0.0, 0, 10, 40]]), positive_from=0.5, negative_below=0.25
    )
    assert labels.tolist() == [POSITIVE, POSITIVE, IGNORED, IGNORED, NEGATIVE]


def test_every_box_has_an_anchor_even_below_both_thresholds():
    anchors = np.array([[0, 0, 8, 8], [8, 0, 16, 8], [40, 40, 48, 48]], dtype=float)
    labels, matched = assign_anchors(
        anchors, np.array([[6.0, 0, 10, 4], [0, 0, 8, 8]]), positive_from=0.7, negative_below=0.3
    )
    # The first box overlaps two anchors alike; the first anchor is the second box's as well.
    assert labels.tolist() == [POSITIVE, POSITIVE, NEGATIVE]
    assert matched.tolist()[:2] == [0, 0]


def test_a_box_that_no_anchor_touches_changes_nothing():
    anchors = np.array([[0.0, 0, 8, 8]])
    labels, _ = assign_anchors(
        anchors, np.array([[50.0, 50, 60, 60]]), positive_from=0.7, negative_below=0.3
    )
    assert labels.tolist() == [NEGATIVE]


def test_without_boxes_all_is_background_but_what_is_unknown():
    anchors = np.array([[0.0, 0, 8, 8], [40, 40, 48, 48]])
    none = np.empty((0, 4))
    labels, _ = assign_anchors(anchors, none, positive_from=0.7, negative_below=0.3)
    assert labels.tolist() == [NEGATIVE, NEGATIVE]
    unknown = np.array([[41.0, 40, 48, 48]])
    labels, _ = assign_anchors(anchors, none, positive_from=0.7, negative_below=0.3, ignored=unknown)
    assert labels.tolist() == [NEGATIVE, IGNORED]


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"0\.8 and 0\.5"):
        assign_anchors(np.empty((0, 4)), np.empty((0, 4)), positive_from=0.5, negative_below=0.8)


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [(100, 900, (32, 32)), (5, 900, (5, 59)), (100, 10, (32, 10)), (0, 0, (0, 0))],
)
def test_a_sample_is_balanced_as_far_as_there_are_positives(positives, negatives, expected):
    labels = np.array([POSITIVE] * positives + [NEGATIVE] * negatives + [IGNORED] * 50, dtype=np.int8)
    chosen = sample_anchors(labels, 64, 0.5, np.random.default_rng(0))
    assert ((chosen & (labels == POSITIVE)).sum(), (chosen & (labels == NEGATIVE)).sum()) == expected
    assert not (chosen & (labels == IGNORED)).any()


def test_the_sample_follows_the_generator():
    labels = np.zeros(1000, dtype=np.int8)
    one, same, other = (sample_anchors(labels, 64, 0.5, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_targets_lead_from_the_anchors_to_the_boxes(scene):
    anchors, boxes, _ = scene
    flat = anchors.reshape(-1, 4)
    labels, matched = assign_anchors(flat, boxes, positive_from=0.6, negative_below=0.3)
    deltas = regression_targets(flat, boxes, labels, matched, (10, 10, 5, 5))
    positive = labels == POSITIVE
    assert (deltas[~positive] == 0).all()
    found = decode(deltas[positive], flat[positive], (10, 10, 5, 5))
    np.testing.assert_allclose(found, boxes[matched[positive]], rtol=0, atol=1e-9)


def test_targets_have_the_layout_of_the_maps(scene):
    anchors, boxes, ignored = scene
    settings = {"positive_from": 0.6, "negative_below": 0.3, "ignored": ignored}
    targets = anchor_targets(
        anchors, boxes, np.random.default_rng(3), size=50, positive_share=0.5, **settings
    )
    labels, matched = assign_anchors(anchors.reshape(-1, 4), boxes, **settings)
    assert targets.labels.dtype == targets.sampled.dtype == targets.deltas.dtype == np.float32
    assert targets.sampled.sum() == 50
    assert (targets.labels.reshape(-1) == (labels == POSITIVE)).all()
    assert targets.deltas.shape == (8, 12, 12)
    for a, row, column in np.argwhere(targets.labels == 1):
        box = decode(targets.deltas[4 * a : 4 * a + 4, row, column][None], anchors[a, row, column][None])
        truth = boxes[matched.reshape(2, 12, 12)[a, row, column]]
        np.testing.assert_allclose(box[0], truth, rtol=0, atol=1e-4)
