"""Mean average precision: equal to pycocotools; by hand; intervals over frames."""

import contextlib
import io
import math

import numpy as np
import pytest

from mindspore_dpus.metrics.average_precision import (
    IOU_THRESHOLDS,
    average_precision,
    average_precisions,
    interpolate,
    precision_recall,
)
from mindspore_dpus.metrics.detection import (
    LEVELS,
    METRICS,
    bootstrap_detection,
    detection_metrics,
    mean_average_precision,
    per_class,
)
from mindspore_dpus.metrics.matching import Detections, Truths, match

N_CLASSES = 6


def random_case(seed, n_frames=12, whole=True):
    """Boxes of six classes. Class 4 has no true boxes, class 5 no detections; scores have ties, boxes
    repeat, some frames have nothing."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    frames = rng.integers(n_frames, size=n)
    labels = rng.choice([0, 1, 2, 3, 5], size=n)
    corners = rng.uniform(0, 40, (n, 2))
    truth = np.concatenate([corners, corners + rng.uniform(4, 25, (n, 2))], axis=1)
    again = rng.integers(n, size=3 * n)
    boxes = truth[again] + rng.normal(0, rng.choice([0, 0.5, 2, 6], size=(3 * n, 1)), (3 * n, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    if whole:
        # Many IoU are equal then, and some are just a threshold.
        truth, boxes = np.rint(truth), np.rint(boxes)
    found = np.where(rng.random(3 * n) < 0.2, rng.integers(5, size=3 * n), labels[again])
    found[found == 5] = 4
    where = np.where(rng.random(3 * n) < 0.1, rng.integers(n_frames, size=3 * n), frames[again])
    scores = np.round(rng.random(3 * n), 1)
    return Truths(frames, labels, truth), Detections(where, found, boxes, scores)


def coco_precisions(truths, detections, n_classes, n_frames, max_detections):
    """(T, C) of pycocotools, nan where it says -1; and its mean."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluate = pytest.importorskip("pycocotools.cocoeval").COCOeval

    def items(rows, scores=None):
        for i, (frame, label, (x1, y1, x2, y2)) in enumerate(zip(*rows[:3], strict=True)):
            box = [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]
            item = {"id": i + 1, "image_id": int(frame), "category_id": int(label), "bbox": box}
            item |= {"area": box[2] * box[3], "iscrowd": 0}
            yield item if scores is None else item | {"score": float(scores[i])}

    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(n_frames)],
            "categories": [{"id": i, "name": str(i)} for i in range(n_classes)],
            "annotations": list(items(truths)),
        }
        truth.createIndex()
        run = evaluate(truth, truth.loadRes(list(items(detections, detections.scores))), "bbox")
        run.params.maxDets = [max_detections]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, 0]
    table = np.where(precision > -1, precision, np.nan).mean(axis=1)
    return table, float(precision[precision > -1].mean())


@pytest.mark.parametrize("max_detections", [1, 3, 100])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_pycocotools(seed, whole, max_detections):
    truths, detections = random_case(seed, whole=whole)
    expected, mean = coco_precisions(truths, detections, N_CLASSES, 12, max_detections)
    matches = match(truths, detections, IOU_THRESHOLDS, max_detections)
    found = average_precisions(matches, truths.labels, N_CLASSES)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.isnan(found[:, 4]).all()
    assert (found[:, 5] == 0).all()
    metrics = detection_metrics(truths, detections, N_CLASSES, max_detections=max_detections)
    assert metrics["map"] == pytest.approx(mean, abs=1e-9)
    assert metrics["map_50"] == pytest.approx(np.nanmean(expected[0]), abs=1e-9)
    assert metrics["map_70"] == pytest.approx(np.nanmean(expected[4]), abs=1e-9)
    one = (truths._replace(labels=0 * truths.labels), detections._replace(labels=0 * detections.labels))
    expected, mean = coco_precisions(*one, 1, 12, max_detections)
    assert metrics["ap_agnostic"] == pytest.approx(mean, abs=1e-9)
    assert metrics["ap_50_agnostic"] == pytest.approx(expected[0, 0], abs=1e-9)
    assert metrics["ap_70_agnostic"] == pytest.approx(expected[4, 0], abs=1e-9)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_boxes_that_overlap_alike_pycocotools_takes_the_same(order):
    # The first detection overlaps both alike; the second only the left one.
    truths = Truths([0, 0], [0, 0], np.array([[0.0, 0, 10, 10], [4, 0, 14, 10]])[order])
    detections = Detections([0, 0], [0, 0], np.array([[2.0, 0, 12, 10], [0, 0, 10, 10]]), [0.9, 0.8])
    expected, _ = coco_precisions(truths, detections, 1, 1, 100)
    found = average_precisions(match(truths, detections, IOU_THRESHOLDS), np.zeros(2, int), 1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[0, 0] == pytest.approx(1.0 if order == [0, 1] else 51 / 101)


def test_a_few_boxes_by_hand():
    # Two signs: the best detection finds one, the second is false, the third finds the other.
    truths = Truths([0, 1], [0, 0], [[0, 0, 10, 10], [0, 0, 10, 10]])
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 6]]
    detections = Detections([0, 0, 1], [0, 0, 0], boxes, [0.9, 0.8, 0.7])
    matches = match(truths, detections, [0.5, 0.7])
    curve = precision_recall(matches, truths.labels, 0)
    np.testing.assert_allclose(curve.recall, [0.5, 0.5, 1])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_array_equal(curve.scores, [0.9, 0.8, 0.7])
    np.testing.assert_allclose(curve.interpolated, [1] * 51 + [2 / 3] * 50)
    found = average_precisions(matches, np.array(truths.labels), 1)
    np.testing.assert_allclose(found, [[(51 + 50 * 2 / 3) / 101], [51 / 101]])
    assert precision_recall(matches, truths.labels, 0, threshold=1).recall.tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match="the class 1 has no true box"):
        precision_recall(matches, truths.labels, 1)


def test_metrics_have_the_names_they_are_listed_by():
    truths, detections = random_case(0)
    assert tuple(detection_metrics(truths, detections, N_CLASSES)) == METRICS
    assert [IOU_THRESHOLDS[part] for part in LEVELS.values()][1:] == [(0.5,), (0.7,)]


def test_frequent_classes_are_those_with_enough_boxes():
    truths, detections = random_case(1)
    table = per_class(truths, detections, N_CLASSES)
    assert table["truths"].tolist() == np.bincount(truths.labels, minlength=N_CLASSES).tolist()
    assert table["detections"].tolist() == np.bincount(detections.labels, minlength=N_CLASSES).tolist()
    least = int(np.sort(table["truths"])[-2])
    chosen = table["truths"] >= least
    assert 0 < chosen.sum() < N_CLASSES - 1
    metrics = detection_metrics(truths, detections, N_CLASSES, least=least)
    for level in LEVELS:
        expected = table[f"ap{level}"][chosen].mean()
        assert metrics[f"map{level}_frequent"] == pytest.approx(expected)
    assert math.isnan(mean_average_precision(np.ones((1, 2)), np.array([3, 4]), least=5))


def test_nothing_found_is_0_and_nothing_to_find_is_nan():
    truths, detections = random_case(2)
    none = Detections([], [], np.zeros((0, 4)), [])
    assert set(detection_metrics(truths, none, N_CLASSES).values()) == {0.0}
    empty = Truths([], [], [])
    for found in (detections, none):
        assert all(map(math.isnan, detection_metrics(empty, found, N_CLASSES).values()))


def repeated(rows, drawn):
    """The frames that were drawn, each copy under a number of its own."""
    parts = [np.flatnonzero(np.asarray(rows[0]) == frame) for frame in drawn]
    frames = np.repeat(np.arange(len(drawn)), [len(p) for p in parts])
    places = np.concatenate(parts)
    return type(rows)(frames, *(np.asarray(column)[places] for column in rows[1:]))


def test_a_replicate_is_the_data_set_of_the_frames_it_drew():
    truths, detections = random_case(3, whole=False)
    # No ties: copies of one frame keep together then, whatever the order.
    scores = np.random.default_rng(0).permutation(len(detections.scores)) / 1000.0
    detections = detections._replace(scores=scores)
    found = bootstrap_detection(truths, detections, N_CLASSES, range(12), n_bootstrap=20, confidence=0.5)
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(20):
        drawn = rng.integers(12, size=12)
        case = repeated(truths, drawn), repeated(detections, drawn)
        rows.append(detection_metrics(*case, N_CLASSES))
    for name in ("map", "map_50", "ap_70_agnostic"):
        values = [row[name] for row in rows]
        low, high = np.quantile(values, [0.25, 0.75])
        assert found[name]["low"] == pytest.approx(low, abs=1e-9)
        assert found[name]["high"] == pytest.approx(high, abs=1e-9)
        assert found[name]["low"] < found[name]["high"]
    values = detection_metrics(truths, detections, N_CLASSES)
    assert {name: row["value"] for name, row in found.items()} == values


def test_intervals_are_seeded_and_can_be_left_out():
    case = random_case(4)
    run = [
        bootstrap_detection(*case, N_CLASSES, range(12), n_bootstrap=5, random_state=s)
        for s in (0, 0, 1)
    ]
    assert run[0] == run[1]
    assert run[0] != run[2]
    none = bootstrap_detection(*case, N_CLASSES, range(12), n_bootstrap=0)
    assert none == {k: {"value": v} for k, v in detection_metrics(*case, N_CLASSES).items()}


def test_frames_without_boxes_widen_nothing_but_are_drawn():
    truths = Truths([3], [0], [[0, 0, 5, 5]])
    detections = Detections([3], [0], [[0, 0, 5, 5]], [0.5])
    found = bootstrap_detection(truths, detections, 1, [1, 2, 3], n_bootstrap=50)
    # Where the one frame with a sign is not drawn, there is no metric; elsewhere it is 1.
    assert found["map"] == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})
    assert math.isnan(found["map_frequent"]["low"])


def test_what_does_not_belong_together_is_refused():
    truths, detections = random_case(5)
    with pytest.raises(ValueError, match="a label lies outside of 0 to 2"):
        detection_metrics(truths, detections, 3)
    with pytest.raises(ValueError, match="the frame 11 is not among the frames"):
        bootstrap_detection(truths, detections, N_CLASSES, range(11))
    with pytest.raises(ValueError, match="a frame is given more than once"):
        bootstrap_detection(truths, detections, N_CLASSES, [*range(12), 3])


def test_weights_of_one_change_nothing_and_of_zero_leave_out():
    rng = np.random.default_rng(0)
    hits = rng.random((2, 30)) < 0.5
    np.testing.assert_array_equal(interpolate(hits, 20.0), interpolate(hits, 20.0, np.ones(30)))
    weights = (np.arange(30) % 3 > 0).astype(float)
    expected = interpolate(hits[:, weights > 0], 20.0)
    np.testing.assert_array_equal(interpolate(hits, 20.0, weights), expected)
    np.testing.assert_allclose(average_precision(hits, 20.0, weights), expected.mean(axis=1))
    assert 0 < expected.mean() < 1
