"""Loops of our own for what Transformers and Conformers compute slowly on CPU: layer norm and softmax,
forward and backward, compiled by numba. (In one file, as ``kernels.loops`` is, and for its reason.)

Every row is one thread's from end to end, and sums over rows are those of fixed blocks in a fixed order:
results do not depend on the number of threads.
"""

import numpy as np
from numba import prange, types

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

# Parts that the rows are cut into for sums over them.
PARTS = 64
LOG2_E = np.float32(1.44269504)
# ln 2 in two parts: the first one has few digits, so that its products with small integers are exact.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)


@interruptible
@from_disk
@compiled(parallel=True)
def normalise_rows(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardise every row by its own mean and variance, then scale and shift it.

    Args:
        x: (R, W) float32.
        gamma, beta: (W,) float32: scale and shift.
        epsilon: added to the variance.

    Returns:
        (R, W) the result; (R,) the mean; (R,) the inverse of the standard deviation; all float32. Where a
        square overflows, not-a-number. Ba et al. 2016, Eq. 4.
    """
    rows, width = x.shape
    out = np.empty((rows, width), np.float32)
    mean, inverse = np.empty(rows, np.float32), np.empty(rows, np.float32)
    for r in prange(rows):
        centre = np.float32(_sum(x[r]) / width)
        squares = _squares(x[r], centre)
        scale = np.float32(1 / (np.sqrt(squares / width + epsilon) if np.isfinite(squares) else np.nan))
        _standardise(x[r], centre, scale, gamma, beta, out[r])
        mean[r], inverse[r] = centre, scale
    return out, mean, inverse


@interruptible
@from_disk
@compiled(parallel=True)
def normalise_rows_gradients(
    x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of ``normalise_rows`` with respect to ``x``, ``gamma`` and ``beta``.

    Args:
        x, gamma: as there.
        mean, inverse: as it returned them.
        gradient: of its result, (R, W).

    Returns:
        Arrays like ``x``, ``gamma`` and ``beta``.
    """
    rows, width = x.shape
    grad_x = np.empty((rows, width), np.float32)
    of_gamma, of_beta = np.zeros((PARTS, width), np.float32), np.zeros((PARTS, width), np.float32)
    for p in prange(PARTS):
        for r in range(p * rows // PARTS, (p + 1) * rows // PARTS):
            total, products = _add_up(
                x[r], gamma, mean[r], inverse[r], gradient[r], of_gamma[p], of_beta[p]
            )
            slope, offset = np.float32(products / width), np.float32(total / width)
            _back(x[r], gamma, mean[r], inverse[r], gradient[r], slope, offset, grad_x[r])
    grad_gamma, grad_beta = np.zeros(width), np.zeros(width)
    for p in range(PARTS):
        for w in range(width):
            grad_gamma[w] += of_gamma[p, w]
            grad_beta[w] += of_beta[p, w]
    return grad_x, grad_gamma.astype(np.float32), grad_beta.astype(np.float32)


@interruptible
@from_disk
@compiled(parallel=True)
def softmax_rows(x: np.ndarray) -> np.ndarray:
    """Softmax of every row.

    Args:
        x: (R, W) float32.

    Returns:
        (R, W) float32; a row with a number that is none, or with an infinite one above all, is none.
    """
    rows, width = x.shape
    out = np.empty((rows, width), np.float32)
    for r in prange(rows):
        powers = np.empty(width, np.int32)
        most = _largest(x[r])
        _exponential(x[r], most, powers, out[r])
        total = np.float32(1 / _sum(out[r]))
        for w in range(width):
            out[r, w] *= total
    return out


@interruptible
@from_disk
@compiled(parallel=True)
def softmax_rows_gradient(out: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Gradient of ``softmax_rows`` with respect to its input.

    Args:
        out: what it returned.
        gradient: of that.

    Returns:
        (R, W) float32.
    """
    rows, width = out.shape
    found = np.empty((rows, width), np.float32)
    for r in prange(rows):
        total = _product(out[r], gradient[r])
        for w in range(width):
            found[r, w] = out[r, w] * (gradient[r, w] - total)
    return found


@compiled()
def _sum(row):
    total = np.float32(0)
    for k in range(row.size):
        total += row[k]
    return total


@compiled()
def _squares(row, centre):
    total = np.float32(0)
    for k in range(row.size):
        total += (row[k] - centre) * (row[k] - centre)
    return total


@compiled()
def _product(one, other):
    total = np.float32(0)
    for k in range(one.size):
        total += one[k] * other[k]
    return total


@compiled()
def _largest(row):
    most = row[0]
    for k in range(row.size):
        most = row[k] if row[k] > most else most
    return most


@compiled()
def _standardise(row, centre, scale, gamma, beta, out):
    for k in range(row.size):
        out[k] = (row[k] - centre) * scale * gamma[k] + beta[k]


@compiled()
def _add_up(row, gamma, centre, scale, gradient, of_gamma, of_beta):
    """Add a row's part to the gradients of scale and shift; the sum of the gradient of the standardised
    row, and that of its products with this row."""
    total = products = np.float32(0)
    for k in range(row.size):
        unit = (row[k] - centre) * scale
        of_gamma[k] += gradient[k] * unit
        of_beta[k] += gradient[k]
        total += gradient[k] * gamma[k]
        products += gradient[k] * gamma[k] * unit
    return total, products


@compiled()
def _back(row, gamma, centre, scale, gradient, slope, offset, out):
    for k in range(row.size):
        unit = (row[k] - centre) * scale
        out[k] = scale * (gradient[k] * gamma[k] - offset - unit * slope)


@compiled()
def _exponential(row, most, powers, out):
    """``exp(row - most)`` to two units of the last place, in vector registers: 2 to an integer, whose bits
    are written, times a polynomial. Below exp(-87) it is exp(-87). What is no number stays so."""
    for k in range(row.size):
        z = row[k] - most
        z = LOWEST if z < LOWEST else (HIGHEST if z > HIGHEST else z)
        n = np.floor(z * LOG2_E + np.float32(0.5))
        r = z - n * LN2_HIGH
        r = r - n * LN2_LOW
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        out[k] = p * r * r + r + np.float32(1)
        powers[k] = (np.int32(n) + np.int32(127)) << np.int32(23)
    factors = powers.view(np.float32)
    for k in range(row.size):
        out[k] *= factors[k]


_ROWS, _LINE = (types.Array(types.float32, d, "C") for d in (2, 1))
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "normalise_rows": (_ROWS, _LINE, _LINE, types.float64),
    "normalise_rows_gradients": (_ROWS, _LINE, _LINE, _LINE, _ROWS),
    "softmax_rows": (_ROWS,),
    "softmax_rows_gradient": (_ROWS, _ROWS),
}
