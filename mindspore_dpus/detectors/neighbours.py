"""Nearest neighbours by Euclidean distance, with NumPy alone."""

import numpy as np

# Distances that are held at once: 32 MB.
BLOCK = 4_194_304
# Candidates beyond the k nearest, whose distances are computed exactly.
MARGIN = 8


def nearest(
    points: np.ndarray, queries: np.ndarray, k: int, leave_self_out: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest points of each query.

    A matrix product finds the candidates; their distances are then computed from differences, so that
    they do not suffer from cancellation (a point is at distance 0 of itself, exactly).

    Args:
        points: (N, D) float64, N at least k (k + 1 with ``leave_self_out``).
        queries: (M, D) float64.
        k: at least 1.
        leave_self_out: query i is point i, and does not count as its own neighbour.

    Returns:
        Distances (M, k), ascending, and positions in ``points`` (M, k).
    """
    # Centred, products are smallest and so are their rounding errors.
    centre = points.mean(axis=0)
    points, queries = points - centre, queries - centre
    squares = (points**2).sum(axis=1)
    n_candidates = min(k + MARGIN, len(points) - leave_self_out)
    distances, places = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    step = max(1, BLOCK // max(len(points), n_candidates * points.shape[1]))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        rows = np.arange(len(block))
        # Short of the query's own square, which is the same for all points.
        nearness = squares - 2 * (block @ points.T)
        if leave_self_out:
            nearness[rows, start + rows] = np.inf
        found = np.argpartition(nearness, n_candidates - 1, axis=1)[:, :n_candidates]
        # By position first, so that equal distances keep one order.
        found.sort(axis=1)
        exact = np.sqrt(((points[found] - block[:, None]) ** 2).sum(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        distances[start + rows] = np.take_along_axis(exact, order, axis=1)
        places[start + rows] = np.take_along_axis(found, order, axis=1)
    return distances, places
