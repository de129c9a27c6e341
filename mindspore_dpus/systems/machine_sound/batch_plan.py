"""Which clips go into which batch of outlier exposure (Kuroyanagi et al. 2022, sections 2.1 to 2.4). No
MindSpore here.

One epoch uses every source-domain normal of the target machine once (section 3.1). Batches are as even
as they can be: none is larger than asked for, and their numbers of source normals differ by 1 at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.systems.machine_sound.mixup import Batch, unmixed


@dataclass(frozen=True)
class Clips:
    """The training clips of one target machine, as rows of the clips' table.

    Args:
        machine: its name, for messages.
        source: (S,) its normals of the source domain.
        target: (T,) its normals of the target domain.
        others: (A,) pseudo-anomalous: clips of other machines and outliers.

    Raises:
        UserError: there are too few source normals, or no other clips.
    """

    machine: str
    source: np.ndarray
    target: np.ndarray
    others: np.ndarray

    def __post_init__(self) -> None:
        if len(self.source) < 2:
            raise UserError(
                f"machine {self.machine}: its training part has {len(self.source)} normal clip(s) of "
                "the source domain, and a feature extractor needs 2 or more; add clips, or leave this "
                "machine out"
            )
        if len(self.others) == 0:
            raise UserError(
                f"machine {self.machine}: there are no clips of other machines nor outliers to tell it "
                "from; add another machine's folder, or outliers"
            )


def plan_epoch(
    clips: Clips, batch_size: int, n_target: int, seed: Sequence[int], epoch: int
) -> list[Batch]:
    """Batches of one epoch: the target machine and others 1 : 1.

    Args:
        clips: of the target machine, and others.
        batch_size: the most clips of a batch; even.
        n_target: clips of the target domain in every batch, among those of the target machine
            (section 2.3: at least 1). 0: the target domain is not trained with.
        seed: such as run and machine.
        epoch: from 1 on; equal seeds and epochs give equal batches, whatever came before.

    Returns:
        Batches of clips as they are, in a random order inside a batch.

    Raises:
        UserError: the batch is too small or odd, or there is no clip of the target domain.
    """
    half = batch_size // 2
    if batch_size % 2 or half <= n_target:
        raise UserError(
            f"batch_size {batch_size}: must be even, and its half above n_target, which is {n_target}"
        )
    if n_target:
        _need_target_domain(clips)
    rng = np.random.default_rng([*seed, epoch])
    shares = _even_shares(clips.source, half - n_target, rng)
    targets = _walk(clips.target, [n_target] * len(shares), rng)
    others = _walk(clips.others, [len(share) + n_target for share in shares], rng)
    return [
        unmixed(rng.permutation(np.concatenate(parts)))
        for parts in zip(shares, targets, others, strict=True)
    ]


def plan_domain_epoch(
    clips: Clips, batch_size: int, alpha: float, seed: Sequence[int], epoch: int
) -> list[Batch]:
    """Batches of one epoch for the domain classifier: a quarter source normals, a quarter pseudo-target
    sounds, and half pseudo-anomalous clips.

    A pseudo-target sound is a clip of the target domain mixed with a pseudo-anomalous one.

    Args:
        clips, seed, epoch: as for ``plan_epoch``.
        batch_size: the most samples of a batch; a multiple of 4.
        alpha: mixing ratios are drawn from Beta(alpha, alpha).

    Returns:
        Batches in a random order inside a batch; the ratio of a pseudo-target sound is the share of its
        target-domain clip.

    Raises:
        UserError: the batch size does not go, or there is no clip of the target domain.

    Source: Kuroyanagi et al. 2022, section 2.4.
    """
    if batch_size % 4 or batch_size < 4:
        raise UserError(f"batch_size {batch_size}: a domain classifier needs a multiple of 4")
    _need_target_domain(clips)
    rng = np.random.default_rng([*seed, epoch])
    shares = _even_shares(clips.source, batch_size // 4, rng)
    counts = [len(share) for share in shares]
    targets = _walk(clips.target, counts, rng)
    others = _walk(clips.others, [3 * count for count in counts], rng)
    batches = []
    for source, target, other in zip(shares, targets, others, strict=True):
        partners, alone = np.split(other, [len(target)])
        rows = np.concatenate([source, target, alone])
        mixed = np.concatenate([source, partners, alone])
        ratios = np.ones(len(rows), np.float32)
        ratios[len(source) : len(source) + len(target)] = rng.beta(alpha, alpha, len(target))
        order = rng.permutation(len(rows))
        batches.append(Batch(rows[order], mixed[order], ratios[order]))
    return batches


def _need_target_domain(clips: Clips) -> None:
    if len(clips.target) == 0:
        raise UserError(
            f"machine {clips.machine}: its training part has no clip of the target domain, and every "
            "batch needs one; add some, or train without the target domain (n_target: 0)"
        )


def _even_shares(rows: np.ndarray, most: int, rng: np.random.Generator) -> list[np.ndarray]:
    """All rows in a random order, cut into as few parts of up to ``most`` as there must be, as even as
    they can be."""
    return np.array_split(rng.permutation(rows), -(-len(rows) // most))


def _walk(rows: np.ndarray, counts: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Parts of so many rows: shuffled anew whenever all are used up, so none is used twice more often
    than another."""
    needed = sum(counts)
    n_rounds = -(-needed // len(rows)) if needed else 0
    order = [rng.permutation(rows) for _ in range(n_rounds)]
    taken = np.concatenate([*order, rows[:0]])[:needed]
    return np.split(taken, np.cumsum(counts)[:-1])
