"""What a draw preserves of its class, for one number of clusters K after the other. No MindSpore here."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mindspore_dpus.features.whitening import EXACT_UP_TO
from mindspore_dpus.sampling.diagnostics import FeatureDistances, share_deviation
from mindspore_dpus.sampling.strategies.dpus import dpus

MEASURES = ("energy", "mmd", "share_deviation")


def cluster_range(
    features: np.ndarray,
    labels: np.ndarray,
    n_clusters: Iterable[int],
    proportion: float | str,
    truth: np.ndarray | None = None,
    n_draws: int = 50,
    random_state: int = 0,
    exact_up_to: int = EXACT_UP_TO,
) -> pd.DataFrame:
    """Draw with each K, and measure how far the draws are from their class.

    Nothing is trained, so this costs seconds where a run for each K costs hours. It says what the draws
    keep, not what a classifier makes of it.

    Args:
        features: (N, D) as they are clustered; rows of classes that stay whole are not looked at.
        labels: (N,) classes.
        n_clusters: values of K. One cluster, which is a random draw, is always among them.
        proportion: p, see ``DistributionPreservingUnderSampler``.
        truth: (N,) what images come from, where it is known: castings, patients, sub-populations.
        n_draws: for each K; their mean is shown.
        random_state: seed; clusters are those of a run with this seed.
        exact_up_to: see ``DistributionPreservingUnderSampler``.

    Returns:
        A row a class and K: ``label``; ``n_clusters``, the clusters found; ``largest_cluster``, its share of
        the class; ``energy`` and ``mmd`` as in ``diagnose``; with ``truth``, ``share_deviation`` of its
        values. ``*_ratio``: each of these over that of a random draw (K = 1), below 1 where clusters
        preserve more.
    """
    distances: dict[object, FeatureDistances] = {}
    rows: dict[tuple, dict] = {}
    for k in sorted({1, *n_clusters}):
        subsets, clusters = dpus(
            features, labels, k, n_draws, proportion, "independent", random_state, exact_up_to
        )
        for label in np.unique(labels[clusters >= 0]):
            members = np.flatnonzero(labels == label)
            if label not in distances:
                distances[label] = FeatureDistances(features[members], random_state)
            place = np.full(len(labels), -1)
            place[members] = np.arange(len(members))
            drawn = [np.sort(place[subset][place[subset] >= 0]) for subset in subsets]
            sizes = np.bincount(clusters[members])
            measured = pd.DataFrame([distances[label](part) for part in drawn], columns=MEASURES[:2])
            if truth is not None:
                measured[MEASURES[2]] = [share_deviation(truth[members], part) for part in drawn]
            row = {
                "label": label,
                "n_clusters": len(sizes),
                "largest_cluster": sizes.max() / sizes.sum(),
            }
            # A class with fewer distinct samples than K has as many clusters as with a smaller one.
            rows.setdefault((label, len(sizes)), row | measured.mean().to_dict())
    table = pd.DataFrame(rows.values()).sort_values(["label", "n_clusters"], ignore_index=True)
    for name in table.columns.intersection(MEASURES):
        random = table.groupby("label")[name].transform("first")
        table[f"{name}_ratio"] = table[name] / random
    return table
