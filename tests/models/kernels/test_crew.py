"""Parts of a batch, and the threads that work on them."""

import functools
import operator
import threading

import pytest

from mindspore_dpus.models.kernels import crew


@pytest.mark.parametrize("parts", [1, 2, 3, 16])
@pytest.mark.parametrize("n", [1, 2, 5, 16, 17])
def test_parts_are_a_cut(n, parts, monkeypatch):
    monkeypatch.setattr(crew, "n_parts", lambda: parts)
    found = [list(range(n))[part] for part in crew.cut(n)]
    assert functools.reduce(operator.iadd, found, []) == list(range(n))
    assert len(found) == min(n, parts)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert all(found)


def test_more_cores_later_do_not_cut_a_batch_otherwise(monkeypatch):
    crew.n_parts.cache_clear()
    monkeypatch.setattr(crew, "available_cpus", lambda: [0])
    before = crew.n_parts()
    monkeypatch.setattr(crew, "available_cpus", lambda: list(range(8)))
    assert crew.n_parts() == before == crew.FEWEST_PARTS
    crew.n_parts.cache_clear()
    assert crew.n_parts() == 8
    crew.n_parts.cache_clear()


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_every_item_is_met_once_by_as_many_threads_as_cores(cores, monkeypatch):
    monkeypatch.setattr(crew, "available_cpus", lambda: list(range(cores)))
    barrier, met = threading.Barrier(cores, timeout=20), []

    def work(item):
        barrier.wait()
        met.append((item, threading.get_ident()))

    crew.side_by_side(work, range(2 * cores))
    assert sorted(item for item, _ in met) == list(range(2 * cores))
    assert len({thread for _, thread in met}) == cores


@pytest.mark.parametrize("here", [True, False])
def test_errors_come_when_all_are_done(here, monkeypatch):
    monkeypatch.setattr(crew, "available_cpus", lambda: [0, 1])
    barrier, done, main = threading.Barrier(2, timeout=20), [], threading.get_ident()

    def work(item):
        barrier.wait()
        if (threading.get_ident() == main) == here:
            raise KeyError(item)
        done.append(item)

    with pytest.raises(KeyError):
        crew.side_by_side(work, range(2))
    assert len(done) == 1
