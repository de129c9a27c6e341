"""Train, validation and test: stratified, group-aware, balanced when asked. No MindSpore here."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from mindspore_dpus.config import SplitConfig
from mindspore_dpus.data.samples import UNUSED
from mindspore_dpus.errors import UserError


def assign_splits(table: pd.DataFrame, config: SplitConfig, random_state: int) -> pd.DataFrame:
    """Give every sample a split.

    Splits that the table names stay. A missing test split, then a missing val split, is taken out of
    the samples that are ``train`` or unnamed; what remains is train, thinned by
    ``minority_fraction``.

    Args:
        table: the sample table.
        config: sizes; see ``SplitConfig``.
        random_state: seed.

    Returns:
        A copy whose column ``split`` is ``train``, ``val``, ``test`` or ``unused``.

    Raises:
        UserError: a class would be missing from a split.
    """
    table = table.copy()
    # An image without a group is a group of its own.
    groups = table["group"].to_numpy(dtype=object).copy()
    if (groups != "").any():
        alone = np.flatnonzero(groups == "")
        groups[alone] = [f"\0{i}" for i in alone]
    split = table["split"].to_numpy(dtype=object).copy()
    named = set(split)
    n_all = np.isin(split, ("", "train")).sum()
    for name, size in (("test", config.test_size), ("val", config.val_size)):
        if name in named:
            continue
        pool = np.flatnonzero(np.isin(split, ("", "train")))
        held_out, unused = hold_out(
            table["label"].to_numpy()[pool],
            groups[pool],
            size if config.balanced or size > 1 else size * n_all / len(pool),
            config.balanced,
            random_state,
        )
        split[pool[held_out]] = name
        split[pool[unused]] = UNUSED
    split[split == ""] = "train"
    train = np.flatnonzero(split == "train")
    kept = make_imbalance(table["label"].to_numpy()[train], config.minority_fraction, random_state)
    split[np.setdiff1d(train, train[kept])] = UNUSED
    table["split"] = split
    _check_every_class_everywhere(table)
    return table


def hold_out(
    labels: np.ndarray,
    groups: np.ndarray,
    size: float,
    balanced: bool,
    random_state: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the samples of a held-out split.

    Args:
        labels: (N,) class of each sample.
        groups: (N,) group of each sample; where all are equal, groups are ignored.
        size: at most 1: share of the samples; above 1: their number. With ``balanced``: share of
            the smallest class, or number of samples of each class.
        balanced: equally many samples of each class.
        random_state: seed.

    Returns:
        Indices held out, and indices that must not be used at all: samples whose group is held out
        but which would unbalance the split.

    Raises:
        UserError: there are too few samples or groups for that.
    """
    rng = np.random.default_rng(random_state)
    counts = pd.Series(labels).value_counts()
    per_class = _as_number(size, counts.min()) if balanced else None
    if per_class is not None and not 0 < per_class < counts.min():
        raise UserError(
            f"split: {per_class} images of each class cannot be held out; the class "
            f"{counts.idxmin()!r} has {counts.min()}. Change split.val_size or split.test_size"
        )
    if len(set(groups)) > 1:
        wanted = per_class * len(counts) / len(labels) if balanced else _as_share(size, len(labels))
        pool = _whole_groups(labels, groups, wanted, random_state)
    elif balanced:
        pool = np.arange(len(labels))
    else:
        try:
            pool = train_test_split(
                np.arange(len(labels)),
                test_size=_as_number(size, len(labels)),
                stratify=labels,
                random_state=random_state,
            )[1]
        except ValueError as error:
            raise UserError(f"split: {error}. Change split.val_size or split.test_size") from None
    if not balanced:
        return np.sort(pool), np.empty(0, dtype=int)
    per_class = min(per_class, *(int((labels[pool] == c).sum()) for c in counts.index))
    held_out = np.concatenate(
        [rng.choice(pool[labels[pool] == c], per_class, replace=False) for c in sorted(counts.index)]
    )
    unused = np.setdiff1d(pool, held_out) if len(set(groups)) > 1 else np.empty(0, dtype=int)
    return np.sort(held_out), unused


def _whole_groups(labels: np.ndarray, groups: np.ndarray, share: float, random_state: int) -> np.ndarray:
    """Indices of whole groups that hold about ``share`` of the samples, every class on both sides."""
    if share > 0.5:
        raise UserError(
            f"split: {share:.0%} of the images cannot be held out in whole groups; choose at most half "
            "with split.val_size and split.test_size"
        )
    n_folds = round(1 / share)
    classes = set(labels)
    if n_folds <= len(set(groups)):
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state)
        for rest, chosen in folds.split(labels, labels, groups):
            if set(labels[rest]) == set(labels[chosen]) == classes:
                return chosen
    raise UserError(
        f"split: {len(set(groups))} groups cannot be split so that every class is on both sides; "
        "name the splits in the manifest, or leave its group column empty"
    )


def make_imbalance(labels: np.ndarray, minority_fraction: float, random_state: int) -> np.ndarray:
    """Thin the smallest class (paper, section 4.2). Smaller fractions keep subsets of larger ones.

    Args:
        labels: (N,) class of each training sample.
        minority_fraction: share of the smallest class that is kept, above 0, at most 1.
        random_state: seed.

    Returns:
        Sorted indices of the samples that are kept; at least one of the smallest class.
    """
    minority = pd.Series(labels).value_counts().idxmin()
    members = np.flatnonzero(labels == minority)
    shuffled = np.random.default_rng(random_state).permutation(members)
    n_kept = max(1, round(len(members) * minority_fraction))
    return np.setdiff1d(np.arange(len(labels)), shuffled[n_kept:])


def _as_number(size: float, total: int) -> int:
    return round(size * total) if size <= 1 else round(size)


def _as_share(size: float, total: int) -> float:
    return size if size <= 1 else size / total


def _check_every_class_everywhere(table: pd.DataFrame) -> None:
    classes = set(table["label"])
    for name in ("train", "val", "test"):
        missing = sorted(classes - set(table["label"][table["split"] == name]))
        if missing:
            raise UserError(
                f"split {name}: no image of the class {missing[0]!r}; every split needs every class"
            )
