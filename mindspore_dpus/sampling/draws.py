"""Drawing the same share of every cluster, t times (section 2.2, Eq. 1 and 2).

The functional core of ``DistributionPreservingUnderSampler``: numpy only.
"""

import math

import numpy as np


def systematic_shares(
    sizes: np.ndarray, total: int, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Share a number out in proportion to cluster sizes, for several draws which also add up.

    With the same rounding in every draw, a cluster whose share is rounded down would never be used up, and
    one whose share is below a half would never be seen. Here each draw places the left-over seats by
    systematic sampling (Madow 1949), so that every sample of every cluster is equally likely in it; and
    the starting points of a cycle's draws are spread evenly, so that in each whole cycle a cluster has its
    exact share of the cycle, rounded down or up; each cycle rounds by itself.

    Args:
        sizes: (K,) number of samples of each cluster.
        total: number of samples in one draw.
        n_draws: number of draws. A cycle is ``ceil(sizes.sum() / total)`` draws.
        rng: order of the clusters and starting point of each cycle.

    Returns:
        (n_draws, K) integers; every row sums to ``total``, every entry is within one of the exact share.
    """
    n = int(sizes.sum())
    cycle = math.ceil(n / total)
    shares = np.empty((n_draws, len(sizes)), dtype=np.int64)
    for first in range(0, n_draws, cycle):
        order = rng.permutation(len(sizes))
        # In units of 1 / (n * cycle), all positions are whole numbers.
        cumulative = np.concatenate([[0], np.cumsum(sizes[order].astype(np.int64) * total)]) * cycle
        offset = int(rng.integers(n))
        for i, step in enumerate(rng.permutation(cycle)[: n_draws - first]):
            marks = (cumulative + offset + step * n) // (n * cycle)
            shares[first + i, order] = np.diff(marks)
    return shares


def draw_clusters(
    labels: np.ndarray, total: int, n_draws: int, draw: str, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw the same share of every cluster, several times; every sample is equally likely in each draw.

    Args:
        labels: (N,) cluster of each sample.
        total: samples in one draw (N_BD of Eq. 2), at most N.
        n_draws: t.
        draw: ``independent``: every draw starts afresh (the paper). ``covering``: the draws walk
            through a shuffled copy of each cluster, so every sample is used within
            ``ceil(N / total)`` draws.
        rng: source of randomness.

    Returns:
        ``n_draws`` sorted index arrays into ``labels``, without repetition inside one.
    """
    clusters, inverse = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(inverse == g) for g in range(len(clusters))]
    sizes = np.array([len(m) for m in members])
    if draw == "independent":
        shares = np.concatenate([systematic_shares(sizes, total, 1, rng) for _ in range(n_draws)])
        picks = [
            [rng.choice(m, n, replace=False) for m, n in zip(members, row, strict=True)]
            for row in shares
        ]
    else:
        shares = systematic_shares(sizes, total, n_draws, rng)
        walks = [_walk(m, shares[:, g], rng) for g, m in enumerate(members)]
        picks = list(zip(*walks, strict=True))
    return [np.sort(np.concatenate(pick)) for pick in picks]


def _walk(members: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Take ``counts`` samples one after the other from a shuffled cluster, shuffling again at its end."""
    taken = []
    queue = rng.permutation(members)
    for n in counts:
        if n > len(queue):
            # What is left of the old round comes last in the new one: no sample twice in one draw.
            fresh = rng.permutation(members)
            repeated = np.isin(fresh, queue)
            queue = np.concatenate([queue, fresh[~repeated], fresh[repeated]])
        taken.append(queue[:n])
        queue = queue[n:]
    return taken
