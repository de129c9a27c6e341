"""Loops of our own for what Transformers and Conformers do to the order of frames: depthwise convolutions
over them, and swapped axes, compiled by numba. (In one file, as ``kernels.loops`` is, and for its reason.)

Every sequence is one thread's from end to end, and sums over sequences have one order: results do not
depend on the number of threads.
"""

import numpy as np
from numba import prange, types

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

# Of an array that is turned, so many rows and columns stay in the first cache.
TILE = 32


@interruptible
@from_disk
@compiled(parallel=True)
def convolve_frames(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Correlate every channel with its own kernel over the frames, zero-padded to as many frames.

    Args:
        x: (N, T, W) float32.
        weight: (K, W) float32, K odd.

    Returns:
        (N, W, T) float32.
    """
    n, frames, width = x.shape
    out = np.empty((n, width, frames), np.float32)
    for i in prange(n):
        rows = np.zeros((frames, width), np.float32)
        _correlate(x[i], weight, rows)
        _turn(rows, out[i])
    return out


@interruptible
@from_disk
@compiled(parallel=True)
def convolve_frames_gradients(
    x: np.ndarray, weight: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of ``convolve_frames`` with respect to ``x`` and ``weight``.

    Args:
        x, weight: as there.
        gradient: of its result, (N, W, T) float32.

    Returns:
        Arrays like ``x`` and ``weight``.
    """
    n, frames, width = x.shape
    taps = len(weight)
    of_x, of_weights = np.empty_like(x), np.zeros((n, taps, width), np.float32)
    # The gradient is correlated with the kernels from end to end.
    turned = np.ascontiguousarray(weight[::-1])
    for i in prange(n):
        rows = np.empty((frames, width), np.float32)
        _turn(gradient[i], rows)
        of_x[i] = 0
        _correlate(rows, turned, of_x[i])
        for k in range(taps):
            shift = k - taps // 2
            for t in range(max(0, -shift), min(frames, frames - shift)):
                _add_products(x[i, t + shift], rows[t], of_weights[i, k])
    found = np.zeros((taps, width))
    for i in range(n):
        for k in range(taps):
            for w in range(width):
                found[k, w] += of_weights[i, k, w]
    return of_x, found.astype(np.float32)


@interruptible
@from_disk
@compiled(parallel=True)
def swap_frames(x: np.ndarray) -> np.ndarray:
    """(N, A, B) -> (N, B, A) float32."""
    n, rows, columns = x.shape
    out = np.empty((n, columns, rows), np.float32)
    for i in prange(n):
        _turn(x[i], out[i])
    return out


@interruptible
@from_disk
@compiled(parallel=True)
def swap_vectors(x: np.ndarray) -> np.ndarray:
    """(N, A, B, D) -> (N, B, A, D) float32."""
    n, one, other, width = x.shape
    out = np.empty((n, other, one, width), np.float32)
    for i in prange(n):
        for a in range(one):
            for b in range(other):
                for w in range(width):
                    out[i, b, a, w] = x[i, a, b, w]
    return out


@compiled()
def _add_products(one, other, out):
    for w in range(out.size):
        out[w] += one[w] * other[w]


@compiled()
def _correlate(x, weight, out):
    """Add to (T, W) the products of x's frames, and those around them, with their weights."""
    frames, half = len(x), len(weight) // 2
    for t in range(frames):
        for k in range(max(0, half - t), min(len(weight), frames + half - t)):
            _add_products(x[t + k - half], weight[k], out[t])


@compiled()
def _turn(x, out):
    """Write (B, A) from (A, B)."""
    rows, columns = x.shape
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            for b in range(left, min(left + TILE, columns)):
                for a in range(top, min(top + TILE, rows)):
                    out[b, a] = x[a, b]


_VECTORS, _FRAMES, _ROWS = (types.Array(types.float32, d, "C") for d in (4, 3, 2))
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "convolve_frames": (_FRAMES, _ROWS),
    "convolve_frames_gradients": (_FRAMES, _ROWS, _FRAMES),
    "swap_frames": (_FRAMES,),
    "swap_vectors": (_VECTORS,),
}
