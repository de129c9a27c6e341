"""Box arithmetic against a slow reference that counts and loops in plain Python."""

import math
from fractions import Fraction

import numpy as np
import pytest

from mindspore_dpus.data.boxes.arithmetic import (
    MAX_LOG_SCALE,
    area,
    clip,
    decode,
    encode,
    intersection,
    iou,
    nms,
    paired_iou,
    top_k,
)


def whole_boxes(n, seed, size=12):
    """Boxes with whole corners in a small frame, so that pixels can be counted; some are empty."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.integers(0, size, (n, 2, 2)), axis=1)
    return corners.reshape(n, 4).astype(float)


def pixels(box):
    x1, y1, x2, y2 = (int(v) for v in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def exact_iou(a, b):
    union = pixels(a) | pixels(b)
    return Fraction(len(pixels(a) & pixels(b)), len(union)) if union else Fraction(0)


def slow_nms(boxes, scores, threshold, classes, limit):
    waiting = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    while waiting and len(kept) < limit:
        best, *waiting = waiting
        kept.append(best)
        waiting = [
            i
            for i in waiting
            if classes[i] != classes[best] or float(exact_iou(boxes[i], boxes[best])) <= threshold
        ]
    return kept


def test_area_counts_the_pixels_of_a_half_open_box():
    boxes = whole_boxes(50, 0)
    assert area(boxes).tolist() == [len(pixels(box)) for box in boxes]


def test_swapped_corners_are_an_empty_box():
    assert area([[5, 5, 3, 3], [5, 2, 3, 8]]).tolist() == [0, 0]


def test_iou_is_the_share_of_common_pixels():
    a, b = whole_boxes(30, 1), whole_boxes(20, 2)
    expected = [[float(exact_iou(x, y)) for y in b] for x in a]
    assert iou(a, b).tolist() == expected
    assert intersection(a, b).tolist() == [[len(pixels(x) & pixels(y)) for y in b] for x in a]


def test_paired_iou_is_the_diagonal_of_iou():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 20, (2, 50, 2))
    boxes, others = np.concatenate([start, start + rng.uniform(0, 20, (2, 50, 2))], axis=2)
    boxes[0] = others[0] = 3.0  # empty
    found = paired_iou(boxes, others)
    np.testing.assert_allclose(found, np.diag(iou(boxes, others)), rtol=1e-12)
    assert 0 < (found > 0).sum() < 50


def test_nothing_overlaps_no_box():
    assert iou(np.empty((0, 4)), whole_boxes(3, 0)).shape == (0, 3)
    assert iou(whole_boxes(3, 0), []).shape == (3, 0)


def test_clip_keeps_what_lies_in_the_frame():
    boxes = [[-3.5, 2, 5, 30], [1, 1, 2, 2], [20, -9, 30, -2]]
    assert clip(boxes, 10, 20).tolist() == [[0, 2, 5, 20], [1, 1, 2, 2], [10, 0, 10, 0]]


def test_encode_is_what_the_paper_writes():
    # Centre (12, 24) of 8 x 8 seen from an anchor with the centre (10, 20) of 4 x 16.
    box, anchor = [[8, 20, 16, 28]], [[8, 12, 12, 28]]
    expected = [2 / 4, 4 / 16, math.log(2), math.log(0.5)]
    np.testing.assert_allclose(encode(box, anchor)[0], expected, rtol=1e-15)
    weighted = encode(box, anchor, (10, 10, 5, 5))[0]
    np.testing.assert_allclose(weighted, np.multiply(expected, [10, 10, 5, 5]), rtol=1e-15)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5)])
def test_decode_is_the_inverse_of_encode(weights):
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 500, (2, 200, 2))
    a, b = np.concatenate([corner, corner + rng.uniform(4, 90, (2, 200, 2))], axis=2)
    np.testing.assert_allclose(decode(encode(a, b, weights), b, weights), a, rtol=0, atol=1e-10)


def test_decode_enlarges_by_1000_sixteenths_at_most():
    width_height = decode([[0, 0, 1e4, 99.0]], [[0, 0, 16, 16]])[0]
    np.testing.assert_allclose(width_height, [8 - 500, 8 - 500, 8 + 500, 8 + 500], rtol=1e-12)
    # The limit holds for what is left when the weights are divided out.
    unclamped = decode([[0, 0, 5.0, 5.0]], [[0, 0, 1, 1]], (1, 1, 5, 5))[0]
    np.testing.assert_allclose(unclamped[2] - unclamped[0], math.e, rtol=1e-12)
    assert math.isclose(math.exp(MAX_LOG_SCALE), 62.5)


def test_an_empty_box_cannot_be_coded():
    with pytest.raises(ValueError, match="empty"):
        encode([[3, 3, 3, 9]], [[0, 0, 4, 4]])
    with pytest.raises(ValueError, match="empty"):
        encode([[0, 0, 4, 4]], [[3, 3, 3, 9]])


@pytest.mark.parametrize("k", [1, 2, 7, 39, 40, 1000, None])
def test_top_k_is_a_stable_sort(k):
    scores = np.random.default_rng(4).integers(0, 6, 40) / 4  # Many ties.
    expected = sorted(range(40), key=lambda i: (-scores[i], i))[:k]
    assert top_k(scores, k).tolist() == expected
    assert top_k(scores.astype(np.float32), k).tolist() == expected


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("limit", [None, 1, 9])
def test_nms_against_the_slow_reference(threshold, limit):
    rng = np.random.default_rng(5)
    boxes = whole_boxes(300, 6, size=9)
    scores = rng.integers(0, 40, 300) / 8  # With ties.
    classes = rng.integers(0, 3, 300)
    stop = limit or 300
    plain = nms(boxes, scores, threshold, limit=limit)
    assert plain.tolist() == slow_nms(boxes, scores, threshold, [0] * 300, stop)
    by_class = nms(boxes, scores, threshold, classes=classes, limit=limit)
    assert by_class.tolist() == slow_nms(boxes, scores, threshold, classes, stop)
    assert plain.tolist() != by_class.tolist() or limit == 1 or threshold == 1.0


def test_nms_keeps_a_box_exactly_on_the_threshold():
    # Half of the first box, and nothing else: an overlap of 0.5.
    boxes = [[0, 0, 4, 4], [0, 0, 4, 2]]
    assert nms(boxes, [2.0, 1.0], 0.5).tolist() == [0, 1]
    assert nms(boxes, [2.0, 1.0], np.nextafter(0.5, 0)).tolist() == [0]


def test_nms_agrees_with_torchvision():
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: reference)")
    rng = np.random.default_rng(7)
    corner = rng.uniform(0, 300, (2000, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (2000, 2))], axis=1)
    scores, classes = rng.random(2000), rng.integers(0, 5, 2000)
    b, s, c = torch.tensor(boxes), torch.tensor(scores), torch.tensor(classes)
    assert nms(boxes, scores, 0.4).tolist() == ops.nms(b, s, 0.4).tolist()
    assert nms(boxes, scores, 0.4, classes=classes).tolist() == ops.batched_nms(b, s, c, 0.4).tolist()


def test_nothing_is_kept_of_nothing():
    assert nms(np.empty((0, 4)), [], 0.5).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: area(np.zeros((3, 5))), r"\(3, 5\)"),
        (lambda: area(np.zeros((0, 4, 1))), r"\(0, 4, 1\)"),
        (lambda: top_k([1.0, np.nan]), "NaN"),
        (lambda: top_k([[1.0]]), r"\(1, 1\)"),
        (lambda: top_k([1.0], 0), "at least 1"),
        (lambda: nms([[0, 0, 1, 1]], [1.0, 2.0], 0.5), r"1 boxes have scores of the shape \(2,\)"),
        (lambda: nms([[0, 0, 1, 1]], [1.0], 0.5, classes=[1, 2]), "classes"),
        (lambda: nms([[0, 0, 1, 1]], [1.0], 0.5, limit=0), "at least 1"),
        (lambda: nms([[0, 0, 1, 1]], [np.nan], 0.5), "NaN"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
