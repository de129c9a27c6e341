"""Mixup of machine sounds, with soft targets (Kuroyanagi et al. 2022, sections 2.4 and 3.1). No
MindSpore here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """Which clips make a batch: sample i is ``ratios[i]`` of clip ``rows[i]``, and the rest of it is
    clip ``partners[i]``.

    Args:
        rows: (N,) rows of the clips' table.
        partners: (N,) rows; the same as ``rows`` where nothing is mixed.
        ratios: (N,) float32 in [0, 1]; 1 where nothing is mixed.
    """

    rows: np.ndarray
    partners: np.ndarray
    ratios: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_mixed(self) -> np.ndarray:
        """(N,) bool."""
        return self.rows != self.partners


def unmixed(rows: np.ndarray) -> Batch:
    """A batch of clips as they are."""
    return Batch(rows, rows, np.ones(len(rows), np.float32))


@dataclass(frozen=True)
class SoftTargets:
    """What the losses of ``losses.outlier_exposure`` take.

    Args:
        sections: y, (N, K) float32.
        machine: t, (N,) float32.
        domains: d, (N,) float32; 0 source, 1 target.
    """

    sections: np.ndarray
    machine: np.ndarray
    domains: np.ndarray


def soft_targets(
    batch: Batch,
    is_machine: np.ndarray,
    sections: np.ndarray,
    is_target_domain: np.ndarray,
    n_sections: int,
) -> SoftTargets:
    """Targets of a batch, mixed as its clips are.

    A clip of the target machine has t = 1, its section's one-hot vector and its domain; a
    pseudo-anomalous one has 0 everywhere.

    Args:
        batch: rows and ratios.
        is_machine: (M,) bool, of every row of the table: of the target machine.
        sections: (M,) index of the section, 0 to K - 1; of other machines any number.
        is_target_domain: (M,) bool; of other machines anything.
        n_sections: K, of the target machine.

    Returns:
        Soft targets. A target-domain clip mixed with a pseudo-anomalous one has the mixing ratio as its
        domain (section 2.4), as its t and at its section.

    Raises:
        ValueError: a section of the target machine is not below K.
    """
    own = sections[is_machine]
    if own.size and (own.min() < 0 or own.max() >= n_sections):
        raise ValueError(f"sections {own.min()} to {own.max()} for {n_sections} of the target machine")
    share = batch.ratios.astype(np.float32)
    y = np.zeros((len(batch), n_sections), np.float32)
    t, d = np.zeros(len(batch), np.float32), np.zeros(len(batch), np.float32)
    for rows, weights in ((batch.rows, share), (batch.partners, 1 - share)):
        of_machine = np.flatnonzero(is_machine[rows])
        weights = weights[of_machine]
        # No place is named twice in one of the two additions.
        y[of_machine, sections[rows[of_machine]]] += weights
        t[of_machine] += weights
        d[of_machine] += weights * is_target_domain[rows[of_machine]]
    return SoftTargets(y, t, d)


def mix(first: np.ndarray, second: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """``ratio * first + (1 - ratio) * second``, sample by sample.

    Args:
        first, second: (N, ...) float32: waveforms or log-mels.
        ratios: (N,) in [0, 1].

    Returns:
        (N, ...) float32; equal to ``first`` where the ratio is 1.

    Source: Zhang et al. 2018, section 2.
    """
    ratios = np.asarray(ratios, np.float32).reshape(-1, *(1,) * (first.ndim - 1))
    return (ratios * first + (1 - ratios) * second).astype(np.float32)


def mix_pairs(batch: Batch, is_machine: np.ndarray, alpha: float, rng: np.random.Generator) -> Batch:
    """Mix every normal clip of a batch with a pseudo-anomalous one of it, and that one with the normal.

    Both samples of a pair have the same ratio, the one of its normal clip, the other of its
    pseudo-anomalous one, so the targets t of a batch still are 1 : 1 in sum.

    Args:
        batch: as many clips of the target machine as of others, none of them mixed yet.
        is_machine: (M,) bool, of every row of the table: of the target machine.
        alpha: ratios are drawn from Beta(alpha, alpha).
        rng: source of randomness.

    Returns:
        A batch with the same rows in the same order.

    Raises:
        ValueError: the batch is not 1 : 1, or mixed already.

    Source: Kuroyanagi et al. 2022, section 3.1; Zhang et al. 2018, section 2.
    """
    if batch.is_mixed.any():
        raise ValueError("this batch holds mixed clips already")
    own = np.flatnonzero(is_machine[batch.rows])
    others = np.flatnonzero(~is_machine[batch.rows])
    if len(own) != len(others):
        raise ValueError(
            f"{len(own)} clips of the target machine and {len(others)} others are not 1 : 1"
        )
    others = rng.permutation(others)
    ratios = rng.beta(alpha, alpha, len(own)).astype(np.float32)
    partners, shares = batch.rows.copy(), batch.ratios.copy()
    partners[own], partners[others] = batch.rows[others], batch.rows[own]
    shares[own] = shares[others] = ratios
    return Batch(batch.rows, partners, shares)
