"""Normals between the domains: Mixup of embeddings."""

import numpy as np

from mindspore_dpus.core.errors import UserError

# Technical report, section 2.3.
NUMBER = 50


def pseudo_normals(
    source: np.ndarray,
    target: np.ndarray,
    *,
    number: int = NUMBER,
    alpha: float = 1.0,
    random_state: int = 0,
) -> np.ndarray:
    """``share * source + (1 - share) * target`` of pairs drawn at random, with repetition.

    Args:
        source: (N, D) embeddings of normals of the source domain.
        target: (M, D) of the target domain.
        number: how many to make.
        alpha: shares follow Beta(alpha, alpha); 1: uniformly distributed. The report names neither.
        random_state: seed.

    Returns:
        (number, D) float64.

    Raises:
        UserError: a domain has no normal, or alpha is not above 0.
    """
    for name, vectors in (("source", source), ("target", target)):
        if len(vectors) == 0:
            raise UserError(f"pseudo-normals: no normal of the {name} domain to mix")
    if not alpha > 0:
        raise UserError(f"pseudo-normals: alpha {alpha!r} must be above 0")
    rng = np.random.default_rng(random_state)
    first = np.asarray(source, np.float64)[rng.integers(0, len(source), number)]
    second = np.asarray(target, np.float64)[rng.integers(0, len(target), number)]
    share = rng.beta(alpha, alpha, (number, 1))
    return share * first + (1 - share) * second
