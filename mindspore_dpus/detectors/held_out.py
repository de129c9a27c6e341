"""Scores of normals by detectors that have not seen them."""

from collections.abc import Callable

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.base import Detector


def held_out_scores(
    fit: Callable[[np.ndarray], Detector],
    X: np.ndarray,
    groups: np.ndarray,
    n_folds: int,
    random_state: int = 0,
) -> np.ndarray:
    """Every normal's score by a detector fitted on the other folds.

    A detector's scores of its own normals are too low (a nearest neighbour is at distance 0), so neither
    a threshold nor a standardisation can be read off them. Nor do segments of one clip count as unseen
    when another segment of it was seen: whole groups are held out.

    Args:
        fit: rows of ``X`` to learn from -> fitted detector.
        X: (N, D) normals.
        groups: (N,) what belongs together (clip, or recording).
        n_folds: at least 2, at most the number of groups (then one group at a time).
        random_state: seed of the folds.

    Returns:
        (N,) float64.

    Raises:
        UserError: there are fewer groups than folds.
    """
    if n_folds < 2:
        raise ValueError(f"n_folds={n_folds} must be at least 2")
    names, group_of_row = np.unique(groups, return_inverse=True)
    if len(names) < n_folds:
        raise UserError(
            f"held-out scores: {n_folds} folds need as many clips or groups of normals, there are "
            f"{len(names)}; choose fewer folds"
        )
    fold_of_group = np.random.default_rng(random_state).permutation(np.arange(len(names)) % n_folds)
    folds = fold_of_group[group_of_row]
    scores = np.empty(len(X))
    for fold in range(n_folds):
        held_out = folds == fold
        scores[held_out] = fit(np.flatnonzero(~held_out)).score(X[held_out])
    return scores
