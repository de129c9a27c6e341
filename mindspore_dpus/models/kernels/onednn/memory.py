"""Arrays for oneDNN and for the loops between its convolutions."""

import mmap
from contextlib import suppress

import numpy as np

ALIGNMENT = 64
# Bytes from which on memory that lives long comes from the system.
LARGE = 2**20


def aligned(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An uninitialised array at the beginning of a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def lasting(shape: tuple[int, ...]) -> np.ndarray:
    """The same, float32, for many batches: a large one comes from the system and goes back to it.

    In the C library's memory it would leave a hole, which small things fill at once, and the next one
    would lie behind them.

    Raises:
        MemoryError: there is not so much.
    """
    size = 4 * int(np.prod(shape))
    if size < LARGE:
        return aligned(shape)
    # By default, Unix shares it with forked processes.
    kind = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    try:
        memory = mmap.mmap(-1, size, **kind)
    except OSError as error:
        raise MemoryError(f"{size / 2**20:.0f} MB: {error.strerror}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A page fault for two megabytes, not for four kilobytes; not every kernel has such pages.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)
