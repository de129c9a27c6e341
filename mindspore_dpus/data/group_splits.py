"""Samples that belong together come into one split: whole groups are held out. No MindSpore here."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.sample_table import UNUSED


def check_groups(table: pd.DataFrame) -> None:
    """Refuse named splits that part a group; samples that are not used do not count.

    Args:
        table: the sample table, splits as the data name them.

    Raises:
        UserError: a group is in two splits.
    """
    table = table[(table["group"] != "") & (table["split"] != UNUSED)]
    for group, splits in table.groupby("group")["split"]:
        # Samples without a split may become train, never join those held out: that is named by hand.
        names = sorted(set(splits))
        if len(names) > 1 and names != ["", "train"]:
            found = " and ".join(name or "no split" for name in names)
            raise UserError(f"split: the group {group!r} is in {found}; give the whole group one split")


def whole_groups(
    labels: np.ndarray, groups: np.ndarray, share: float, random_state: int, every_class: bool
) -> np.ndarray:
    """Whole groups that hold about a share of the samples; every class stays outside, too.

    Args:
        labels: (N,) class of each sample.
        groups: (N,) group of each sample.
        share: of the samples, at most a half.
        random_state: seed.
        every_class: every class must be inside as well.

    Returns:
        Indices of their samples.

    Raises:
        UserError: a larger share, or too few groups.
    """
    if share > 0.5:
        raise UserError(
            f"split: {share:.0%} of the images cannot be held out in whole groups; choose at most half "
            "with split.val_size and split.test_size"
        )
    # One of as many folds as fit, or several of at most ten: 0.4 is two of five, not one of two.
    several = ((k, n) for n in range(2, 11) for k in range(1, n // 2 + 1))
    n_taken, n_folds = min([(1, round(1 / share)), *several], key=lambda f: abs(f[0] / f[1] - share))
    classes = set(labels)
    if n_folds <= len(set(groups)) and n_folds <= pd.Series(labels).value_counts().max():
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():
            # Of classes smaller than the number of folds: what follows looks for itself.
            warnings.filterwarnings("ignore", "The least populated class")
            parts = [chosen for _, chosen in folds.split(labels, labels, groups)]
        for first in range(n_folds):
            chosen = np.concatenate([parts[(first + i) % n_folds] for i in range(n_taken)])
            rest = np.setdiff1d(np.arange(len(labels)), chosen)
            inside = set(labels[chosen])
            if set(labels[rest]) == classes and (inside == classes or not every_class):
                return chosen
    raise _too_few_groups(labels, groups)


def groups_of_every_class(
    labels: np.ndarray, groups: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Whole groups that hold so many samples of every class, or as nearly as they can.

    Class by class, the rarest first, groups are taken until there are enough: at random, but for the
    last one, which is to bring as few too many as possible. Every class keeps a group outside.

    Args:
        labels: (N,) class of each sample.
        groups: (N,) group of each sample.
        number: of each class.
        rng: the dice.

    Returns:
        Sorted indices of their samples.

    Raises:
        TooFewGroups: a class would not be on both sides.
    """
    table = pd.crosstab(groups, labels)
    names, counts = table.index.to_numpy(), table.to_numpy()
    order = rng.permutation(len(names))
    names, counts = names[order], counts[order]
    taken = np.zeros(len(names), bool)
    for c in np.argsort(counts.sum(axis=0), kind="stable"):
        while (need := number - counts[taken, c].sum()) > 0:
            outside = counts[~taken].sum(axis=0)
            there = np.flatnonzero(~taken & (counts[:, c] > 0) & (counts < outside).all(axis=1))
            if not len(there):
                break
            taken[there[np.argmin(np.maximum(counts[there, c] - need, 0))]] = True
    pool = np.flatnonzero(np.isin(groups, names[taken]))
    if set(labels[pool]) != set(labels):
        raise _too_few_groups(labels, groups)
    return pool


class TooFewGroups(UserError):
    """Whole groups cannot be split so that every class is on both sides."""


def _too_few_groups(labels: np.ndarray, groups: np.ndarray) -> TooFewGroups:
    numbers = pd.Series(groups).groupby(labels).nunique()
    return TooFewGroups(
        f"split: {len(set(groups))} groups cannot be split so that every class is on both sides; the class "
        f"{numbers.idxmin()!r} is in {numbers.min()} of them; name the splits in the manifest, leave its "
        "group column empty, or set split.every_class false"
    )
