"""Model fusion: the average of the members' softmax outputs (section 2.4, Eq. 3)."""

import numpy as np

# Names of outputs besides the members': the ensemble's, and of one model that has no part in it.
FUSED = "fused"
BASELINE = "baseline"


def fuse(probabilities: np.ndarray) -> np.ndarray:
    """Average the members' outputs.

    Args:
        probabilities: (t, N, C) softmax output of each member.

    Returns:
        (N, C) mean over the members. Eq. 3 writes the sum; the mean ranks the same and stays a
        probability, so that the threshold of 0.5 means what it says.
    """
    return np.asarray(probabilities).mean(axis=0)


def with_fused(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the fused output (Eq. 3) before the models' own; the baseline has no part in it.

    Args:
        outputs: model -> (N, C).
    """
    members = [output for name, output in outputs.items() if name != BASELINE]
    return {FUSED: fuse(np.stack(members))} | outputs
