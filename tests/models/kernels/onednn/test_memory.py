"""Where arrays for oneDNN lie."""

import errno
import gc
import mmap

import numpy as np
import pytest

from mindspore_dpus.models.kernels.onednn.memory import ALIGNMENT, LARGE, aligned, lasting
from tests.suite_checks import current_memory_mb


@pytest.mark.parametrize("shape", [(3,), (2, 5, 7), (0,)])
def test_aligned(shape):
    for array in (aligned(shape), lasting(shape), aligned(shape, np.uint8)):
        assert array.shape == shape
        assert array.size == 0 or array.ctypes.data % ALIGNMENT == 0
        assert array.flags.writeable
    assert aligned(shape).dtype == lasting(shape).dtype == np.float32
    assert aligned(shape, np.uint8).dtype == np.uint8


def test_a_large_one_goes_back_to_the_system_with_its_last_view():
    before = current_memory_mb()
    array = lasting((64, LARGE // 4))
    assert array.shape == (64, LARGE // 4)
    array[...] = 1
    view = array[3, 5:]
    del array
    assert current_memory_mb() > before + 50
    assert view.sum() == len(view)
    del view
    gc.collect()
    assert current_memory_mb() < before + 14


def test_a_kernel_without_large_pages_will_do(monkeypatch):
    class Plain(mmap.mmap):
        def madvise(self, *options):
            raise OSError(errno.EINVAL, "no such advice")

    monkeypatch.setattr(mmap, "mmap", Plain)
    array = lasting((LARGE,))
    array[:] = 2
    assert array.sum() == 2 * LARGE


def test_too_much_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"^\d+ MB: "):
        lasting((2**50,))
