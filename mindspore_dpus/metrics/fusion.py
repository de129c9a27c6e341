"""Model fusion: the average of the members' softmax outputs (section 2.4, Eq. 3)."""

import numpy as np


def fuse(probabilities: np.ndarray) -> np.ndarray:
    """Average the members' outputs.

    Args:
        probabilities: (t, N, C) softmax output of each member.

    Returns:
        (N, C) mean over the members. Eq. 3 writes the sum; the mean ranks the same and stays a
        probability, so that the threshold of 0.5 means what it says.
    """
    return np.asarray(probabilities).mean(axis=0)
