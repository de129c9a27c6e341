"""Metrics against scikit-learn, and intervals that hold what they promise."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from mindspore_dpus.experiments.differences import replicated_auc
from mindspore_dpus.metrics.classification import (
    METRICS,
    MULTI_CLASS_METRICS,
    average_precision,
    bootstrap_metrics,
    classification_metrics,
    confusion_matrix,
    log_loss,
    per_class,
    predicted_classes,
    roc_auc,
    top_accuracy,
)

COUNTS = {2: [30, 12], 4: [20, 12, 9, 15]}


def random_case(n_classes, seed=0):
    """Labels, and outputs that know something about them."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(n_classes), COUNTS[n_classes]))
    logits = rng.normal(size=(len(labels), n_classes)) + np.eye(n_classes)[labels]
    exponentials = np.exp(logits)
    return labels, exponentials / exponentials.sum(axis=1, keepdims=True)


def binary(scores):
    """Outputs whose positive class is class 1."""
    return np.column_stack([1 - np.asarray(scores), scores])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_two_classes_are_as_in_scikit_learn(seed, positive, threshold):
    labels, probabilities = random_case(2, seed)
    truth, score = labels == positive, probabilities[:, positive]
    called = score >= threshold
    assert classification_metrics(labels, probabilities, positive, threshold) == pytest.approx(
        {
            "auc": sk.roc_auc_score(truth, score),
            "average_precision": sk.average_precision_score(truth, score),
            "precision": sk.precision_score(truth, called, zero_division=0),
            "recall": sk.recall_score(truth, called),
            "f1": sk.f1_score(truth, called),
            "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
            "accuracy": sk.accuracy_score(truth, called),
        },
        abs=1e-12,
    )


def test_scores_near_one_are_told_apart_by_the_other_class():
    # In float32, 1 - 1e-9 and 1 - 1e-8 are 1.
    defect = np.array([1e-9, 1e-8, 1 - 1e-3, 0.5], np.float32)
    probabilities = np.stack([defect, 1 - defect], axis=1)
    assert probabilities[0, 1] == probabilities[1, 1] == 1
    assert roc_auc(np.array([1, 0, 0, 0]), probabilities) == 1.0
    mirrored = probabilities[:, ::-1]
    assert roc_auc(np.array([0, 1, 1, 1]), mirrored) == 1.0
    counts = np.ones((1, 4), int)
    assert replicated_auc(np.array([1, 0, 0, 0]), probabilities, counts).tolist() == [1.0]
    assert average_precision(np.array([1, 0, 0, 0]), probabilities, 0) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_four_classes_are_scikit_learns_macro_means(seed):
    labels, probabilities = random_case(4, seed)
    predicted = probabilities.argmax(axis=1)
    expected = {
        "auc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "average_precision": sk.average_precision_score(
            np.eye(4)[labels], probabilities, average="macro"
        ),
        "precision": sk.precision_score(labels, predicted, average="macro", zero_division=0),
        "recall": sk.recall_score(labels, predicted, average="macro"),
        "f1": sk.f1_score(labels, predicted, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "accuracy": sk.accuracy_score(labels, predicted),
        "top2_accuracy": sk.top_k_accuracy_score(labels, probabilities, k=2),
    }
    assert classification_metrics(labels, probabilities) == pytest.approx(expected, abs=1e-12)
    assert set(expected) == {*METRICS, *MULTI_CLASS_METRICS}


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_table_of_classes_is_scikit_learns_report(n_classes):
    labels, probabilities = random_case(n_classes)
    predicted = probabilities.argmax(axis=1)
    columns = sk.precision_recall_fscore_support(labels, predicted)
    found = per_class(confusion_matrix(labels, predicted, n_classes))
    for name, expected in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose(found[name], expected, atol=1e-12)


def test_of_a_class_without_samples_or_predictions():
    found = per_class(np.array([[3, 0, 0], [1, 0, 0], [0, 0, 0]]))
    np.testing.assert_equal(found["precision"], [0.75, 0, 0])
    np.testing.assert_equal(found["recall"], [1, 0, np.nan])
    np.testing.assert_equal(found["support"], [3, 1, 0])


def test_among_equally_likely_classes_the_first_count():
    labels, probabilities = np.array([0, 1, 2]), np.full((3, 3), 1 / 3)
    assert top_accuracy(labels, probabilities, 2) == pytest.approx(2 / 3)
    assert top_accuracy(labels, probabilities, 3) == 1


@pytest.mark.parametrize("n_classes", [2, 4])
def test_confusion_and_log_loss_are_scikit_learns(n_classes):
    labels, probabilities = random_case(n_classes)
    predicted = predicted_classes(probabilities)
    matrix = confusion_matrix(labels, predicted, n_classes)
    assert np.array_equal(matrix, sk.confusion_matrix(labels, predicted))
    assert log_loss(labels, probabilities) == pytest.approx(sk.log_loss(labels, probabilities))


def test_confusion_has_a_row_for_a_class_that_is_not_there():
    matrix = confusion_matrix(np.array([0, 0, 2]), np.array([0, 2, 0]), 4)
    assert matrix.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_a_sure_mistake_has_a_finite_log_loss():
    loss = log_loss(np.array([0, 1]), np.array([[0, 1], [0, 1]], np.float32))
    assert loss == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2)


def test_average_precision_of_two_classes_is_the_mean_where_none_is_positive():
    labels, probabilities = random_case(2)
    single = [average_precision(labels, probabilities, c) for c in (0, 1)]
    assert average_precision(labels, probabilities, None) == pytest.approx(np.mean(single))


@pytest.mark.parametrize("positive", [0, 1])
def test_an_image_at_the_threshold_is_positive(positive):
    scores = np.array([0.5, np.nextafter(0.5, 0), 0.9])
    probabilities = binary(scores) if positive == 1 else binary(scores)[:, ::-1]
    expected = [positive, 1 - positive, positive]
    assert predicted_classes(probabilities, positive, 0.5).tolist() == expected


def test_more_classes_know_no_threshold():
    assert predicted_classes(np.array([[0.2, 0.45, 0.35]]), None, 0.9).tolist() == [1]


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_class_without_samples_leaves_curves_and_its_recall_undefined(n_classes):
    labels, probabilities = random_case(n_classes)
    kept = labels != 1
    labels, probabilities = labels[kept], probabilities[kept]
    assert math.isnan(roc_auc(labels, probabilities))
    values = classification_metrics(labels, probabilities, 1 if n_classes == 2 else None)
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == {"auc", "average_precision", "recall", "balanced_accuracy"}


def test_a_class_that_is_never_predicted_has_precision_zero():
    values = classification_metrics(np.array([0, 1, 1]), binary([0.1, 0.2, 0.3]), positive=1)
    assert (values["precision"], values["recall"], values["f1"]) == (0, 0, 0)
    assert values["auc"] == 1


@pytest.mark.parametrize(("n_classes", "positive"), [(2, 1), (4, None)])
def test_intervals_hold_the_point_values(n_classes, positive):
    labels, probabilities = random_case(n_classes)
    result = bootstrap_metrics(labels, probabilities, positive, n_bootstrap=100)
    values = classification_metrics(labels, probabilities, positive)
    assert {name: entry["value"] for name, entry in result.items()} == values
    for entry in result.values():
        assert 0 <= entry["low"] < entry["value"] < entry["high"] <= 1


@pytest.mark.parametrize(("n_classes", "positive"), [(2, 0), (2, 1), (4, None)])
def test_intervals_are_quantiles_of_metrics_of_drawn_rows(n_classes, positive):
    labels, probabilities = random_case(n_classes)
    n = 130  # more than are computed at once
    found = bootstrap_metrics(labels, probabilities, positive, 0.4, n, random_state=7)
    rng = np.random.default_rng(7)
    replicates = []
    for _ in range(n):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(labels == c), COUNTS[n_classes][c]) for c in range(n_classes)]
        )
        drawn = classification_metrics(labels[rows], probabilities[rows], positive, 0.4)
        replicates.append(list(drawn.values()))
    low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
    for i, entry in enumerate(found.values()):
        assert entry["low"] == pytest.approx(low[i], abs=1e-12)
        assert entry["high"] == pytest.approx(high[i], abs=1e-12)


def test_more_confidence_is_a_wider_interval():
    labels, probabilities = random_case(2)
    narrow, wide = (
        bootstrap_metrics(labels, probabilities, 1, n_bootstrap=200, confidence=c) for c in (0.5, 0.99)
    )
    for name in METRICS:
        assert wide[name]["low"] < narrow[name]["low"]
        assert narrow[name]["high"] < wide[name]["high"]


def test_the_interval_of_a_recall_is_that_of_binomial_draws():
    labels = np.repeat([0, 1], [50, 200])
    scores = np.where(np.arange(250) % 5 == 0, 0.1, 0.9)  # one in five of each class is missed
    entry = bootstrap_metrics(labels, binary(scores), 1, n_bootstrap=400)["recall"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 200)
    assert entry["value"] == 0.8
    assert entry["low"] == pytest.approx(0.8 - half, abs=0.012)
    assert entry["high"] == pytest.approx(0.8 + half, abs=0.012)


def test_every_replicate_keeps_the_counts_of_the_classes():
    labels = np.repeat([0, 1], [30, 10])
    everything_positive = bootstrap_metrics(labels, binary(np.full(40, 0.9)), 1, n_bootstrap=50)
    # Only the numbers of images decide these.
    assert everything_positive["accuracy"] == {"value": 0.25, "low": 0.25, "high": 0.25}
    assert everything_positive["precision"] == {"value": 0.25, "low": 0.25, "high": 0.25}


def test_perfect_scores_leave_no_doubt():
    labels = np.repeat([0, 1], [30, 2])
    result = bootstrap_metrics(labels, binary(labels.astype(float)), 1, n_bootstrap=50)
    assert result == {name: {"value": 1.0, "low": 1.0, "high": 1.0} for name in METRICS}


def test_equal_seeds_give_equal_intervals():
    labels, probabilities = random_case(2)
    first, again, other = (
        bootstrap_metrics(labels, probabilities, 1, n_bootstrap=30, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_no_replicates_give_no_intervals():
    labels, probabilities = random_case(2)
    result = bootstrap_metrics(labels, probabilities, 1, n_bootstrap=0)
    values = classification_metrics(labels, probabilities, 1)
    assert result == {name: {"value": value} for name, value in values.items()}


def test_undefined_metrics_have_undefined_intervals():
    labels, probabilities = random_case(2)
    result = bootstrap_metrics(labels[labels == 0], probabilities[labels == 0], 1, n_bootstrap=20)
    assert all(math.isnan(value) for value in result["auc"].values())
    assert not math.isnan(result["accuracy"]["low"])
