"""Areas under curves of one class against the rest, of many weightings of the same samples at once. No
MindSpore here.

scikit-learn sorts the samples anew in each call, which takes minutes for 1,000 replicates of 43 classes.
Here they are sorted once, and a replicate only says how often each sample counts. Counts are integers,
so equal rankings give equal areas to the last bit.
"""

import numpy as np


class Ranking:
    """Samples sorted by their scores, the highest first; equal scores pass a threshold together.

    Args:
        is_positive: (N,) bool, with at least one of each kind.
        scores: (N,) finite; higher: more likely positive.

    Raises:
        ValueError: a score is not finite, or all samples are of one kind.
    """

    def __init__(self, is_positive: np.ndarray, scores: np.ndarray) -> None:
        if not np.isfinite(scores).all():
            raise ValueError("a score is not finite")
        if is_positive.all() or not is_positive.any():
            raise ValueError("all samples are of one kind")
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        # Only the scores of positives matter: between them, precision falls and the ROC curve is flat.
        positions = np.flatnonzero(is_positive[self._order])
        tie = np.searchsorted(starts, positions, side="right") - 1
        held, self._first = np.unique(tie, return_index=True)
        self._positive = self._order[positions]
        self._start, self._end = starts[held], np.append(starts, len(scores))[held + 1]

    def roc_auc(self, counts: np.ndarray) -> np.ndarray:
        """Area under the ROC curve: the share of pairs in the right order; of equal scores, half.

        Args:
            counts: (B, N) int, how often each sample counts.

        Returns:
            (B,); nan where a replicate lacks positives or negatives.
        """
        own, above, through, total = self._counts(counts)
        hits = np.cumsum(own, axis=1)
        n_positive = hits[:, -1]
        n_negative = total - n_positive
        false_above = above - (hits - own)
        tied = through - above - own
        doubled = (own * (2 * (n_negative[:, None] - false_above) - tied)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return doubled / (2 * n_positive * n_negative)

    def average_precision(self, counts: np.ndarray) -> np.ndarray:
        """Mean of the precisions at each positive's score: the area under the precision-recall curve
        as steps.

        Args:
            counts: (B, N) int, how often each sample counts.

        Returns:
            (B,); nan where a replicate lacks positives.
        """
        own, _, through, _ = self._counts(counts)
        hits = np.cumsum(own, axis=1)
        # Where nothing counts up to a score, there is no positive to take a precision of.
        precision = hits / np.maximum(through, 1)
        with np.errstate(invalid="ignore"):
            return (own * precision).sum(axis=1) / hits[:, -1]

    def _counts(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For each score that a positive has, (B, G): positives with it, all samples above it, all down
        to it; and (B,) all samples."""
        passed = np.zeros((len(counts), len(self._order) + 1), np.int64)
        np.cumsum(counts[:, self._order], axis=1, out=passed[:, 1:])
        own = np.add.reduceat(counts[:, self._positive], self._first, axis=1)
        return own, passed[:, self._start], passed[:, self._end], passed[:, -1]
