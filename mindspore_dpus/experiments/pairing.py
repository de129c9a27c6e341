"""Runs of two methods side by side: with the same seed, on the same images."""

import numpy as np
import pandas as pd

from mindspore_dpus.experiments.differences import Pair, paired_difference
from mindspore_dpus.experiments.finished import Fused, fused_output
from mindspore_dpus.experiments.grid import Case
from mindspore_dpus.experiments.markup import difference, interval


def paired_runs(
    cell: dict[str, str], reference: dict[str, str], done: list[Case], split: str
) -> list[tuple[Fused, Fused]]:
    """What both cells of a grid say of a split, seed by seed.

    Args:
        cell, reference: axis -> value.
        done: finished runs.
        split: whose predictions.

    Returns:
        A pair for each seed that both have finished. Of other images (an axis that changes the split),
        there is none.
    """
    own = {case.seed: case for case in done if case.cell == cell}
    other = {case.seed: case for case in done if case.cell == reference}
    pairs = [
        (fused_output(own[seed], split), fused_output(other[seed], split))
        for seed in sorted(set(own) & set(other))
    ]
    return [(one, other) for one, other in pairs if _same_images(one, other)]


def compare(pairs: list[tuple[Fused, Fused]]) -> dict:
    """Differences of AUC, the first of each pair minus the second.

    Returns:
        ``pairs``, how many; and, of one or more, their mean ``difference``, ``difference_low`` and
        ``difference_high`` (interval over pairs and images). Where images of all pairs have groups, the
        same of ``within_groups_auc``: ``within_difference``, ``_low`` and ``_high`` (nan where one pair
        has no group of two classes); where all images have, the interval over pairs and groups of the
        first: ``group_difference_low`` and ``group_difference_high``.
    """
    found = {"pairs": len(pairs)}
    if not pairs:
        return found
    mean, low, high = paired_difference([_pair(one, other, one.paths) for one, other in pairs])
    found |= {"difference": mean, "difference_low": low, "difference_high": high}
    if all((one.groups != "").any() for one, _ in pairs):
        within = [_pair(one, other, one.paths, one.groups) for one, other in pairs]
        mean, low, high = paired_difference(within)
        found |= {
            "within_difference": mean,
            "within_difference_low": low,
            "within_difference_high": high,
        }
    if all((one.groups != "").all() for one, _ in pairs):
        by_group = [_pair(one, other, one.groups) for one, other in pairs]
        _, low, high = paired_difference(by_group, stratified=False)
        found |= {"group_difference_low": low, "group_difference_high": high}
    return found


def compared(row: dict, of: str = "") -> str:
    """What ``compare`` found of images, for people; empty where there are no pairs. ``of``: ``within_``
    for pairs of images of the same group."""
    numbers = (f"{of}difference", f"{of}difference_low", f"{of}difference_high", "pairs")
    return difference(*(row[name] for name in numbers))


def compared_by_group(table: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of text for a table of what ``compare`` found, where images have groups: the interval of
    the AUC difference over groups, and the difference of AUC within groups, with one over images."""
    columns, rows = {}, table.to_dict("records")
    if "group_difference_low" in table:
        limits = [(row["group_difference_low"], row["group_difference_high"]) for row in rows]
        columns["interval over groups"] = [
            interval(*both) if np.isfinite(both).all() else "" for both in limits
        ]
    if "within_difference" in table and table["within_difference"].notna().any():
        columns["difference within groups"] = [compared(row, "within_") for row in rows]
    return columns


def _same_images(one: Fused, other: Fused) -> bool:
    return np.array_equal(one.paths, other.paths) and np.array_equal(one.labels, other.labels)


def _pair(one: Fused, other: Fused, units: np.ndarray, groups: np.ndarray | None = None) -> Pair:
    return Pair(one.labels, one.probabilities, other.probabilities, units, groups)
