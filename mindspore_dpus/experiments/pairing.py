"""Runs of two methods side by side: with the same seed, on the same images."""

import numpy as np

from mindspore_dpus.experiments.differences import Pair, paired_difference
from mindspore_dpus.experiments.finished import Fused, fused_output
from mindspore_dpus.experiments.formats import difference, interval
from mindspore_dpus.experiments.grid import Case


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
        ``difference_high`` (interval over pairs and images), and, where all images have a group,
        ``group_difference_low`` and ``group_difference_high`` (over pairs and groups).
    """
    found = {"pairs": len(pairs)}
    if not pairs:
        return found
    mean, low, high = paired_difference([_pair(one, other, one.paths) for one, other in pairs])
    found |= {"difference": mean, "difference_low": low, "difference_high": high}
    if all((one.groups != "").all() for one, _ in pairs):
        by_group = [_pair(one, other, one.groups) for one, other in pairs]
        _, low, high = paired_difference(by_group, stratified=False)
        found |= {"group_difference_low": low, "group_difference_high": high}
    return found


def compared(row: dict) -> str:
    """What ``compare`` found of images, for people; empty where there are no pairs."""
    numbers = ("difference", "difference_low", "difference_high", "pairs")
    return difference(*(row[name] for name in numbers))


def compared_over_groups(row: dict) -> str:
    """The interval over groups that ``compare`` found; empty where there is none."""
    limits = [row["group_difference_low"], row["group_difference_high"]]
    return interval(*limits) if np.isfinite(limits).all() else ""


def _same_images(one: Fused, other: Fused) -> bool:
    return np.array_equal(one.paths, other.paths) and np.array_equal(one.labels, other.labels)


def _pair(one: Fused, other: Fused, units: np.ndarray) -> Pair:
    return Pair(one.labels, one.probabilities, other.probabilities, units)
