"""How much of a waveform was cut off. Needs NumPy alone, as scoring looks at it, too."""

import numpy as np

# So many equal samples in a row at the extreme are no peak but a limit.
CLIPPED_RUN = 3


def share_clipped(samples: np.ndarray) -> float:
    """The share of samples in runs of ``CLIPPED_RUN`` or more at the largest or the smallest value.

    Whatever that value is: what a recorder has cut off may have been made quieter afterwards. 0 for a
    constant waveform.
    """
    low, high = samples.min(), samples.max()
    if low == high:
        return 0.0
    number = 0
    for extreme in (low, high):
        edges = np.flatnonzero(
            np.diff(np.concatenate([[False], samples == extreme, [False]]).astype(int))
        )
        lengths = edges[1::2] - edges[::2]
        number += int(lengths[lengths >= CLIPPED_RUN].sum())
    return number / len(samples)
