"""Is one method better than another? Differences of AUC, paired by seed and image."""

import numpy as np

from mindspore_dpus.evaluation.metrics import roc_auc

BOOTSTRAPS = 1000

# (labels (N,), probabilities (N, C)) of one run.
Output = tuple[np.ndarray, np.ndarray]


def paired_difference(
    pairs: list[tuple[Output, Output]], n_bootstrap: int = BOOTSTRAPS, random_state: int = 0
) -> tuple[float, float, float]:
    """Mean difference of AUC between two methods, with a 95 % interval over seeds and images.

    Args:
        pairs: for each seed, (labels, probabilities) of the one method and of the other, on the same
            images in the same order.
        n_bootstrap: replicates; each draws seeds with repetition and, for each, images within their
            class, the same ones for both methods.
        random_state: seed.

    Returns:
        Mean, low, high.
    """
    rng = np.random.default_rng(random_state)
    mean = np.mean([roc_auc(*one) - roc_auc(*other) for one, other in pairs])
    drawn = rng.integers(len(pairs), size=(n_bootstrap, len(pairs)))
    differences = np.empty(drawn.shape)
    for i, ((labels, one), (_, other)) in enumerate(pairs):
        here = drawn == i
        counts = _draw_counts(labels, here.sum(), rng)
        differences[here] = replicated_auc(labels, one, counts) - replicated_auc(labels, other, counts)
    low, high = np.quantile(differences.mean(axis=1), [0.025, 0.975])
    return float(mean), float(low), float(high)


def _draw_counts(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, N): how often each replicate has drawn each image, as many of every class as there are."""
    counts = np.empty((n, len(labels)), dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        counts[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=n)
    return counts


def replicated_auc(labels: np.ndarray, probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``roc_auc`` of many replicates at once: images are sorted once, not in each of them.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C).
        counts: (B, N) how often each replicate holds each image.

    Returns:
        (B,); more than two classes: mean over the classes, one against the rest.
    """
    n_classes = probabilities.shape[1]
    areas = []
    for c in [1] if n_classes == 2 else range(n_classes):
        order = np.argsort(probabilities[:, c], kind="stable")
        scores = probabilities[order, c]
        first = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
        ours = labels[order] == c
        positive, negative = (
            np.add.reduceat(counts[:, order] * chosen, first, axis=1) for chosen in (ours, ~ours)
        )
        # Pairs of a positive and a negative in the right order; among equal scores, half of them.
        below = np.cumsum(negative, axis=1) - negative / 2
        n_pairs = positive.sum(axis=1) * negative.sum(axis=1)
        areas.append((positive * below).sum(axis=1) / n_pairs)
    return np.mean(areas, axis=0)
