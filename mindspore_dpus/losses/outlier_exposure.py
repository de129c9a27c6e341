"""Losses of outlier exposure on machine sounds: sections, machine, domain (Kuroyanagi et al. 2022).

Targets are soft: what Mixup makes of 0 and 1.
"""

from mindspore import Tensor, nn, ops


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of every logit: ``-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z))``.

    Args:
        logits: z, of any shape, float32.
        targets: t in [0, 1], of that shape.
    """
    # softplus(z) - t z is what others add up, but loses digits where the two are near: 2.5e-6 at z = 7.
    ones = ops.ones_like(logits)
    return ops.binary_cross_entropy_with_logits(logits, targets, ones, ones, "none")


def section_loss(logits: Tensor, sections: Tensor, machine: Tensor) -> Tensor:
    """Whether a sound of the target machine is told to its section.

    Args:
        logits: (N, K) float32.
        sections: y, (N, K) float32: one-hot, or mixed.
        machine: t, (N,) float32: how far a sound is the target machine's. Not all may be 0: there is no
            such loss then (not-a-number).

    Returns:
        () float32. Eq. 1.
    """
    return (machine * cross_entropies(logits, sections).mean(1)).sum() / machine.sum()


def machine_loss(logits: Tensor, machine: Tensor) -> Tensor:
    """Whether the target machine's sounds are told from others.

    Args:
        logits: (N,) float32.
        machine: t, (N,) float32.

    Returns:
        () float32. Eq. 2.
    """
    return cross_entropies(logits, machine).mean()


def domain_loss(logits: Tensor, domains: Tensor, machine: Tensor) -> Tensor:
    """Whether a sound of the target machine is told to its domain.

    Args:
        logits: (N,) float32.
        domains: d, (N,) float32: 0 source, 1 target; the mixing ratio for pseudo-target sounds.
        machine: t, (N,) float32, not all 0.

    Returns:
        () float32. Eq. 5.
    """
    return (machine * cross_entropies(logits, domains)).sum() / machine.sum()


class OutlierExposure(nn.Cell):
    """What an ``OutlierExposureNet`` is trained to make small: Eq. 3, or Eq. 6 with a domain.

    Args:
        section_weight: lambda_section (the paper: 10).
        domain_weight: lambda_domain (the paper: 1); None: the net has no domain head.

    Inputs: the net's logits, as it gives them behind the embedding: sections (N, K), machine (N,), and
    with a domain weight domain (N,); then the targets in the same order and shapes (``section_loss``,
    ``machine_loss``, ``domain_loss``), as two tuples. Output: () float32.

    Source: Kuroyanagi et al. 2022, Eq. 3 and 6.
    """

    def __init__(self, section_weight: float, domain_weight: float | None) -> None:
        super().__init__()
        self.section_weight = section_weight
        self.domain_weight = domain_weight

    def construct(self, logits: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        loss = machine_loss(logits[1], targets[1])
        loss = loss + self.section_weight * section_loss(logits[0], targets[0], targets[1])
        if self.domain_weight is None:
            return loss
        return loss + self.domain_weight * domain_loss(logits[2], targets[2], targets[1])
