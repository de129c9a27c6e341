"""Metrics of section 3.3 and their bootstrap intervals, for two classes and more. No MindSpore here.

Two classes: precision, recall and F1 are the positive class's, at a threshold on its probability.
More: the class of the highest probability is predicted, and every metric but accuracy and top-2
accuracy is the plain (macro) mean over the classes, one against the rest.
"""

import math

import numpy as np

from mindspore_dpus.metrics.ranking import Ranking

METRICS = (
    "auc",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "balanced_accuracy",
    "accuracy",
)
# Trivial for two classes, so computed for more only.
MULTI_CLASS_METRICS = ("top2_accuracy",)
# Of one class against the rest: recall:<class>.
CLASS_METRICS = ("precision", "recall", "f1")
# Replicates at once: each needs a number a sample.
CHUNK = 100


def roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve; more than two classes: mean over the classes, one against the rest.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C), rows sum to 1.

    Returns:
        0..1, or nan where a class has no sample.

    Example:
        >>> import numpy as np
        >>> from mindspore_dpus.metrics import roc_auc
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
        >>> roc_auc(np.array([0, 0, 1, 1]), probabilities)
        0.75
    """
    rankings = _rankings(labels, probabilities)
    return float(_areas(rankings, Ranking.roc_auc, _once(labels))[0])


def average_precision(labels: np.ndarray, probabilities: np.ndarray, positive: int | None) -> float:
    """Area under the precision-recall curve of the positive class; None: mean over the classes."""
    rankings = _rankings(labels, probabilities, positive, symmetric=False)
    return float(_areas(rankings, Ranking.average_precision, _once(labels))[0])


def _once(labels: np.ndarray) -> np.ndarray:
    """(1, N): every sample counts once."""
    return np.ones((1, len(labels)), np.int64)


def _rankings(labels, probabilities, positive=None, symmetric=True) -> list[Ranking]:
    """Of each class whose area is asked for; none where a class has no sample."""
    n_classes = probabilities.shape[1]
    if len(np.unique(labels)) < n_classes:
        return []
    if positive is not None:
        classes = [positive]
    else:
        # With two classes, the ROC curves of both are mirror images of equal area.
        classes = [1] if n_classes == 2 and symmetric else range(n_classes)
    return [Ranking(labels == c, class_scores(probabilities, c)) for c in classes]


def _areas(rankings: list[Ranking], area, counts: np.ndarray) -> np.ndarray:
    """(B,) means over the classes of an area, for (B, N) counts of the samples."""
    if not rankings:
        return np.full(len(counts), math.nan)
    return np.mean([area(ranking, counts) for ranking in rankings], axis=0)


def class_scores(probabilities: np.ndarray, c: int) -> np.ndarray:
    """(N,) float64 that order samples by the probability of class ``c``.

    Of two classes it is their difference: near 1, where float32 has no steps left between 1 - 1e-8 and
    1, the other class's probability still tells samples apart.
    """
    own = probabilities[:, c].astype(np.float64)
    return own - probabilities[:, 1 - c] if probabilities.shape[1] == 2 else own


def top_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """Share of samples whose class is among the k likeliest; among equally likely ones, the first count.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C), rows sum to 1.
        k: how many guesses.
    """
    return float(_among_likeliest(labels, probabilities, k).mean())


def _among_likeliest(labels: np.ndarray, probabilities: np.ndarray, k: int) -> np.ndarray:
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (likeliest == labels[:, None]).any(axis=1)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of ``-log p`` of the true class; probabilities are kept above float32's smallest step."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, np.finfo(np.float32).eps)).mean())


def predicted_classes(
    probabilities: np.ndarray, positive: int | None = None, threshold: float = 0.5
) -> np.ndarray:
    """(N,) class indices: the positive one from ``threshold`` up (two classes), else the likeliest."""
    if probabilities.shape[1] == 2 and positive is not None:
        return np.where(probabilities[:, positive] >= threshold, positive, 1 - positive)
    return probabilities.argmax(axis=1)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, C) counts, a row for each true class, a column for each predicted one."""
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(
        n_classes, n_classes
    )


def classification_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: int | None = None,
    threshold: float = 0.5,
) -> dict[str, float]:
    """All of ``METRICS``; for more than two classes, of ``MULTI_CLASS_METRICS`` too.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C), rows sum to 1.
        positive: index of the positive class where there are two.
        threshold: probability from which an image counts as positive.

    Returns:
        Metric -> value; nan where a class without samples leaves it undefined, 0 for the precision of a
        class that is never predicted.

    Source: paper, Eq. 4 and 5.
    """
    return _Evaluation(labels, probabilities, positive, threshold)(_once(labels))[0]


class _Evaluation:
    """``classification_metrics`` of many replicates: what does not depend on the counts is done once."""

    def __init__(
        self, labels: np.ndarray, probabilities: np.ndarray, positive: int | None, threshold: float
    ) -> None:
        self.n_classes, self.positive = probabilities.shape[1], positive
        predicted = predicted_classes(probabilities, positive, threshold)
        self.cells = labels * self.n_classes + predicted
        self.ranked = _rankings(labels, probabilities)
        self.ranked_positives = _rankings(labels, probabilities, positive, symmetric=False)
        self.in_top2 = _among_likeliest(labels, probabilities, 2)

    def __call__(self, counts: np.ndarray) -> list[dict[str, float]]:
        """(B, N) counts -> B times metric -> value."""
        auc = _areas(self.ranked, Ranking.roc_auc, counts)
        precision = _areas(self.ranked_positives, Ranking.average_precision, counts)
        top2 = counts @ self.in_top2 / counts.sum(axis=1)
        return [
            {
                "auc": float(auc[b]),
                "average_precision": float(precision[b]),
                **_confusion_metrics(self._confusion(counts[b]), self.positive),
                **({"top2_accuracy": float(top2[b])} if self.n_classes > 2 else {}),
            }
            for b in range(len(counts))
        ]

    def _confusion(self, counts: np.ndarray) -> np.ndarray:
        cells = np.bincount(self.cells, counts, self.n_classes**2)
        return cells.reshape(self.n_classes, self.n_classes)


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class against the rest, and its number of samples.

    Args:
        matrix: (C, C) ``confusion_matrix``.

    Returns:
        ``precision``, ``recall``, ``f1``, ``support``: (C,). The precision of a class that is never
        predicted is 0; the recall of one without samples is nan.
    """
    hits = np.diag(matrix).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = hits / matrix.sum(axis=1)
        precisions = np.where(matrix.sum(axis=0) > 0, hits / matrix.sum(axis=0), 0.0)
        f1s = 2 * hits / (matrix.sum(axis=0) + matrix.sum(axis=1))
    return {"precision": precisions, "recall": recalls, "f1": f1s, "support": matrix.sum(axis=1)}


def _confusion_metrics(matrix: np.ndarray, positive: int | None) -> dict[str, float]:
    hits = np.diag(matrix).astype(float)
    table = per_class(matrix)
    precisions, recalls, f1s = table["precision"], table["recall"], table["f1"]
    classes = slice(None) if positive is None else [positive]
    return {
        "precision": float(precisions[classes].mean()),
        "recall": float(recalls[classes].mean()),
        "f1": float(f1s[classes].mean()),
        "balanced_accuracy": float(recalls.mean()),
        "accuracy": float(hits.sum() / matrix.sum()),
    }


def bootstrap_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: int | None = None,
    threshold: float = 0.5,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, dict[str, float]]:
    """``classification_metrics`` with percentile intervals of a stratified bootstrap.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C), rows sum to 1.
        positive: index of the positive class where there are two.
        threshold: probability from which an image counts as positive.
        n_bootstrap: replicates; each draws as many images of every class as there are, with repetition.
            0: no intervals.
        confidence: coverage.
        random_state: seed; equal seeds compare models on equal replicates.

    Returns:
        Metric -> ``{"value", "low", "high"}``.
    """
    values = classification_metrics(labels, probabilities, positive, threshold)
    if n_bootstrap == 0:
        return {name: {"value": value} for name, value in values.items()}
    rng = np.random.default_rng(random_state)
    rows = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    evaluate = _Evaluation(labels, probabilities, positive, threshold)
    replicates = []
    for start in range(0, n_bootstrap, CHUNK):
        counts = np.zeros((min(CHUNK, n_bootstrap - start), len(labels)), np.int64)
        for row in counts:
            sample = np.concatenate([rng.choice(r, len(r)) for r in rows])
            row += np.bincount(sample, minlength=len(labels))
        replicates += [[found[name] for name in values] for found in evaluate(counts)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(replicates, tails, axis=0)
    return {
        name: {"value": value, "low": float(low[i]), "high": float(high[i])}
        for i, (name, value) in enumerate(values.items())
    }
