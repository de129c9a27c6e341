"""Train, validation and test: stratified, group-aware, balanced when asked. No MindSpore here."""

import bisect
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.group_splits import (
    TooFewGroups,
    check_groups,
    groups_of_every_class,
    whole_groups,
)
from mindspore_dpus.data.sample_table import UNUSED
from mindspore_dpus.data.settings import SplitSettings

# Of equal shares, and of groups, chance decides which class gets one sample more: where the seed's own way
# leaves a class out, these are tried, so that every seed can split what any of them can.
OTHER_SEEDS = range(20)
# Up to so many samples of a class are tried where the error says how many are needed.
MOST_TRIED = 1000


def assign_splits(
    table: pd.DataFrame,
    config: SplitSettings,
    random_state: int,
    contents: Sequence[str] | None = None,
    allow_parted_groups: bool = False,
) -> pd.DataFrame:
    """Give every sample a split.

    Splits that the table names stay. A missing test split, then a missing val split, is taken out of
    the samples that are ``train`` or unnamed; what remains is train, thinned by
    ``minority_fraction``. Copies of one image never come into different splits by that: the first one
    is dealt, the others follow it (into a balanced split none follows; they are ``unused``).

    Args:
        table: the sample table.
        config: sizes; see ``SplitSettings``.
        random_state: seed.
        contents: (N,) equal for samples of equal content, empty where it is not known; None: no two
            samples are copies.
        allow_parted_groups: take named splits as they are even where they part a group.

    Returns:
        A copy whose column ``split`` is ``train``, ``val``, ``test`` or ``unused``.

    Raises:
        UserError: a class would be missing from a split, or the named splits part a group.
    """
    table = table.copy()
    if not allow_parted_groups:
        check_groups(table)
    if contents is not None and not {"val", "test"} <= set(table["split"]):
        first = _first_copies(table, contents)
        alone = first == np.arange(len(table))
        if not alone.all():
            try:
                dealt = assign_splits(table[alone], config, random_state, None, allow_parted_groups)
            except TooFewOfAClass as error:
                raise TooFewOfAClass(f"{error} (copies of one image count once)") from None
            split = table["split"].to_numpy(dtype=object).copy()
            split[alone] = dealt["split"]
            split[~alone] = split[first[~alone]]
            if config.balanced:
                named = set(table["split"])
                unbalances = ~alone & np.isin(split, [s for s in ("val", "test") if s not in named])
                split[unbalances] = UNUSED
            table["split"] = split
            return table
    # An image without a group is a group of its own.
    groups = table["group"].to_numpy(dtype=object).copy()
    # One group for all is no group, and images of one group that are left over are still one.
    grouped = len(set(groups)) > 1
    alone = np.flatnonzero(groups == "")
    groups[alone] = [f"\0{i}" for i in alone]
    split = table["split"].to_numpy(dtype=object).copy()
    labels = table["label"].to_numpy()
    try:
        dealt = _deal(labels, groups if grouped else None, split, config, random_state)
    except TooFewOfAClass as error:
        raise _with_needed(str(error), labels, split, config, random_state) from None
    split = dealt
    split[split == ""] = "train"
    train = np.flatnonzero(split == "train")
    kept = make_imbalance(table["label"].to_numpy()[train], config.minority_fraction, random_state)
    split[np.setdiff1d(train, train[kept])] = UNUSED
    table["split"] = split
    _check_classes(table, ("train", "val", "test") if config.every_class else ("train",))
    return table


class TooFewOfAClass(UserError):
    """A class has too few samples for the splits that are to be made; says how many it has."""


def _deal(
    labels: np.ndarray,
    groups: np.ndarray | None,
    split: np.ndarray,
    config: SplitSettings,
    random_state: int,
) -> np.ndarray:
    """The splits of samples: those that nobody named are taken out of ``train`` and the unnamed ones.

    Raises:
        UserError: there are too few samples or groups for that, whatever the seed.
    """
    try:
        return _deal_once(labels, groups, split, config, random_state)
    except (TooFewOfAClass, TooFewGroups) as error:
        failed = error
    # A class that is in fewer groups than it must be in splits is helped by no seed.
    free = np.isin(split, ("", "train"))
    alone = np.arange(len(labels)) if groups is None else groups
    found_in = pd.Series(alone[free]).groupby(labels[free]).nunique()
    if not config.every_class or found_in.min() > len(_unnamed(split)):
        for seed in OTHER_SEEDS:
            try:
                return _deal_once(labels, groups, split, config, seed)
            except (TooFewOfAClass, TooFewGroups):
                continue
    raise failed


def _deal_once(
    labels: np.ndarray,
    groups: np.ndarray | None,
    split: np.ndarray,
    config: SplitSettings,
    random_state: int,
) -> np.ndarray:
    """``_deal`` by one seed."""
    split = split.copy()
    free = labels[np.isin(split, ("", "train"))]
    # Numbers, before anything is taken: both shares are of the same whole.
    total = pd.Series(free).value_counts().min() if config.balanced else len(free)
    missing = {name: as_number(getattr(config, f"{name}_size"), total) for name in _unnamed(split)}
    for name, number in missing.items():
        pool = np.flatnonzero(np.isin(split, ("", "train")))
        held_out, unused = hold_out(
            labels[pool],
            groups[pool] if groups is not None else None,
            number,
            config.balanced,
            random_state,
            config.every_class,
        )
        split[pool[held_out]] = name
        split[pool[unused]] = UNUSED
    split[split == ""] = "train"
    if missing and groups is None:
        for name in ("train", *missing) if config.every_class else ("train",):
            if set(labels[split == name]) < set(free):
                raise TooFewOfAClass(_smallest(free))
    return split


def _unnamed(split: np.ndarray) -> list[str]:
    """The splits that are to be made, in the order in which they are."""
    return [name for name in ("test", "val") if name not in set(split)]


def _smallest(labels: np.ndarray) -> str:
    """``split: the class 'defect' has 3 images``."""
    counts = pd.Series(labels).value_counts()
    number = int(counts.min())
    return f"split: the class {counts.idxmin()!r} has {number} image{'s' if number > 1 else ''}"


def _with_needed(
    reason: str, labels: np.ndarray, split: np.ndarray, config: SplitSettings, random_state: int
) -> TooFewOfAClass:
    """An error that also says how many samples of a class are enough, and what to do.

    Args:
        reason: which class has how many.
        labels: of all samples.
        split: of all samples, empty where nobody named one.
        config: sizes.
        random_state: seed.
    """
    missing = _unnamed(split)
    counts = pd.Series(labels[np.isin(split, ("", "train"))]).value_counts()
    named = [name for name in ("test", "val") if name not in missing]

    def suffices(number: int) -> bool:
        # As many samples of every class that has fewer, dealt in the same way.
        more = np.repeat(counts.index.to_numpy(), np.maximum(counts, number))
        splits = np.array([""] * len(more) + named, dtype=object)
        try:
            _deal(np.append(more, [more[0]] * len(named)), None, splits, config, random_state)
        except UserError:
            return False
        return True

    tries = range(int(counts.min()) + 1, MOST_TRIED + 1)
    place = bisect.bisect_left(tries, True, key=suffices)
    keys = [f"split.{name}_size" for name in missing]
    if place < len(tries):
        sizes = " and ".join(f"{key} {getattr(config, key[6:])}" for key in keys)
        verb = "needs" if len(keys) == 1 else "need"
        reason += f", and {sizes} {verb} at least {tries[place]} of each class"
    allow = ", or set split.every_class false" if config.every_class and not config.balanced else ""
    return TooFewOfAClass(f"{reason}. Add images of it, change {' or '.join(reversed(keys))}{allow}")


def hold_out(
    labels: np.ndarray,
    groups: np.ndarray | None,
    number: int,
    balanced: bool,
    random_state: int,
    every_class: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the samples of a held-out split.

    Args:
        labels: (N,) class of each sample.
        groups: (N,) group of each sample, or None where every sample stands alone.
        number: how many samples; with ``balanced``, of each class. Whole groups meet it as nearly as
            they can.
        balanced: equally many samples of each class.
        random_state: seed.
        every_class: a class that is not held out is an error; else only one of which nothing is left.

    Returns:
        Indices held out, and indices that must not be used at all: samples whose group is held out
        but which would unbalance the split.

    Raises:
        UserError: there are too few samples or groups for that.
    """
    rng = np.random.default_rng(random_state)
    counts = pd.Series(labels).value_counts()
    if balanced and not 0 < number < counts.min():
        raise TooFewOfAClass(
            f"split: {number} images of each class cannot be held out; the class "
            f"{counts.idxmin()!r} has {counts.min()}"
        )
    if not 0 < number < len(labels):
        raise UserError(
            f"split: {number} of {len(labels)} images cannot be held out. "
            "Change split.val_size or split.test_size"
        )
    if groups is not None and balanced:
        pool = groups_of_every_class(labels, groups, number, rng)
    elif groups is not None:
        pool = whole_groups(labels, groups, number / len(labels), random_state, every_class)
    elif balanced:
        pool = np.arange(len(labels))
    elif not every_class:
        try:
            alone, share = np.arange(len(labels)), number / len(labels)
            pool = whole_groups(labels, alone, share, random_state, every_class)
        except TooFewGroups:
            raise TooFewOfAClass(_smallest(labels)) from None
    else:
        try:
            pool = train_test_split(
                np.arange(len(labels)),
                test_size=number,
                stratify=labels,
                random_state=random_state,
            )[1]
        except ValueError:
            # Its own text speaks of what nobody here has heard of.
            raise TooFewOfAClass(_smallest(labels)) from None
    if not balanced:
        return np.sort(pool), np.empty(0, dtype=int)
    per_class = min(number, *(int((labels[pool] == c).sum()) for c in counts.index))
    held_out = np.concatenate(
        [rng.choice(pool[labels[pool] == c], per_class, replace=False) for c in sorted(counts.index)]
    )
    unused = np.setdiff1d(pool, held_out) if groups is not None else np.empty(0, dtype=int)
    return np.sort(held_out), unused


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


def as_number(size: float, total: int) -> int:
    """``split.val_size`` or ``split.test_size`` as a number of samples: up to 1 it is a share."""
    return round(size * total) if size <= 1 else round(size)


def _first_copies(table: pd.DataFrame, contents: Sequence[str]) -> np.ndarray:
    """(N,) for each sample the first of its copies, among those that may be dealt one by one."""
    free = (table["group"] == "") & table["split"].isin(["", "train"]) & (np.asarray(contents) != "")
    rows = np.arange(len(table))
    first = rows.copy()
    first[free] = pd.Series(rows[free]).groupby(np.asarray(contents)[free]).transform("first")
    return first


def _check_classes(table: pd.DataFrame, splits: Sequence[str]) -> None:
    classes = set(table["label"])
    for name in splits:
        missing = sorted(classes - set(table["label"][table["split"] == name]))
        if missing:
            raise UserError(
                f"split {name}: no image of the class {missing[0]!r}; every split needs every class"
                + ("" if name == "train" else " (or set split.every_class false)")
            )
