"""Memory that is used again, for small and for large batches."""

import numpy as np

from mindspore_dpus.models.kernels.workspace import Workspace, Workspaces


def places(arrays):
    return [array.ctypes.data for array in arrays]


def test_the_same_memory_for_all_that_fits():
    workspace = Workspace()
    first = workspace.numbers(10)
    assert (first.shape, first.dtype) == ((10,), np.float32)
    assert places([first])[0] % 64 == 0
    assert places([workspace.numbers(7)]) == places([first])
    more = workspace.numbers(5000)
    assert more.size == 5000
    assert places([workspace.numbers(10)]) == places([more])


def test_batches_under_way_have_memory_of_their_own():
    workspaces = Workspaces()
    one, other = workspaces.take(2), workspaces.take(1)
    assert len({id(w) for w in (*one, *other)}) == 3
    workspaces.give_back(other)
    again = workspaces.take(2)
    assert again[0] is other[0]
    assert again[1] not in one
    workspaces.give_back(again)
    assert workspaces.take(1) == again
    workspaces.give_back(again)
    workspaces.release()
    assert workspaces.take(1)[0] not in (*one, *again)


def test_banks_grow_and_are_two():
    workspaces = Workspaces()
    one, other = workspaces.banks(2, 5)
    assert one.shape == other.shape == (2, 5)
    assert not np.shares_memory(one, other)
    assert places(workspaces.banks(3, 3)) == places([one, other])
    large = workspaces.banks(2, 6)
    assert large[0].shape == (2, 6)
    assert places(workspaces.banks(2, 5)) == places(large)
