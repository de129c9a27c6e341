"""Does a written graph say what the run says?"""

from collections.abc import Callable

import numpy as np

from mindspore_dpus.core.errors import UserError

LIMIT = 1e-4
BATCHES = (1, 3, 16)


def check_agreement(
    graph: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    images: np.ndarray,
    expected: np.ndarray,
) -> dict:
    """Compare a graph with the run, in batches of several sizes.

    Args:
        graph: (N, H, W, C) images -> fused (N, C), members (N, t, C).
        images: (M, H, W, C) prepared real images.
        expected: (t, M, C) outputs of the run's members.

    Returns:
        What was compared, as JSON values.

    Raises:
        UserError: the graph does not run, or differs by 1e-4 or more.
    """
    expected = expected.swapaxes(0, 1)
    differences = []
    for size in BATCHES:
        for first in range(0, len(images) if size == max(BATCHES) else size, size):
            rows = slice(first, first + size)
            try:
                fused, members = graph(images[rows])
            except Exception as error:  # Each engine raises its own.
                raise UserError(
                    f"the exported graph does not run with {len(images[rows])} images: "
                    f"{' '.join(str(error).split())[:200]}"
                ) from None
            if members.shape != expected[rows].shape:
                raise UserError(
                    f"the exported graph gives {members.shape} for {len(images[rows])} images"
                )
            differences.append(np.abs(fused - expected[rows].mean(1)).max())
            differences.append(np.abs(members - expected[rows]).max())
    largest = float(np.max(differences))
    if not largest < LIMIT:  # Also where it is not a number.
        raise UserError(
            f"the exported graph differs from the run by {largest:.2g} on real images (allowed: below "
            f"{LIMIT:g}); nothing was written. Please report this backbone and MindSpore's version"
        )
    return {"images": len(images), "batches": list(BATCHES), "largest_difference": largest}
