"""Tasks on a Ray cluster of two machines: their cores, their messages, their errors and their ends."""

import os
import signal
import sys
import time

import pytest

from mindspore_dpus.core.cluster import Needs, claimed_cpus, connect, on_cluster
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import Work, available_cpus


@pytest.fixture(scope="module")
def cluster(start_cluster):
    """Two machines of one core each: their address, and a function that kills the second."""
    return start_cluster()


def run(tasks, address, retries=3, on_message=lambda i, value: None):
    """Every task's messages and its error."""
    messages = [[] for _ in tasks]

    def keep(i, value):
        messages[i].append(value)
        on_message(i, value)

    errors = dict(on_cluster(tasks, address, Needs(retries=retries), keep))
    assert sorted(errors) == list(range(len(tasks)))
    return messages, [errors[i] for i in range(len(tasks))]


# What the other processes do -------------------------------------------------------------------------


def describe(partner, send):
    """Wait until both are here, so that neither can have the other's place."""
    (partner.parent / str(os.getpid())).touch()
    while len(list(partner.parent.iterdir())) < 2:
        time.sleep(0.05)
    send((available_cpus(), os.environ["OMP_NUM_THREADS"]))


def fail(error, send):
    send("before")
    raise error


def die(counter, times, send):
    """End by a signal ``times`` times, then well."""
    with open(counter, "a") as file:
        file.write("x")
    if len(counter.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    send(len(counter.read_text()))


# ------------------------------------------------------------------------------------------------------


def test_each_task_has_a_core_of_its_own(cluster, tmp_path):
    tasks = [Work(str(i), describe, (tmp_path / "_",)) for i in range(2)]
    messages, errors = run(tasks, cluster.address)
    assert errors == [None, None]
    cores = [cpus for ((cpus, threads),) in messages if threads == "1"]
    assert [len(cpus) for cpus in cores] == [1, 1]
    assert len(available_cpus()) < 2 or cores[0] != cores[1]


def test_errors_come_as_they_were_raised_and_do_not_stop_the_others(cluster):
    tasks = [Work("bad", fail, (UserError("one line"),)), Work("odd", fail, (KeyError("k"),))]
    messages, (bad, odd) = run(tasks, cluster.address)
    assert messages == [["before"], ["before"]]
    assert (type(bad), str(bad)) == (UserError, "one line")
    assert type(odd) is RuntimeError
    assert "KeyError: 'k'" in str(odd)


def test_a_killed_task_is_started_again_so_often(cluster, tmp_path):
    tasks = [Work("often", die, (tmp_path / "a", 2)), Work("too often", die, (tmp_path / "b", 3))]
    messages, (often, too_often) = run(tasks, cluster.address, retries=2)
    assert messages == [[3], []]
    assert often is None
    assert "too often: its process was killed by signal 9" in str(too_often)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"training.executor ray needs .* pip install .*\[ray\]"):
        connect("auto", Needs())


def test_no_cluster_is_one_line():
    pytest.importorskip("ray", reason="ray is not installed (pip install -e '.[ray]')")
    with pytest.raises(
        UserError, match=r"^training.ray_address 127.0.0.1:1: no Ray cluster answers"
    ) as e:
        connect("127.0.0.1:1", Needs())
    assert "\n" not in str(e.value)


def test_what_no_machine_has_is_one_line(cluster):
    with pytest.raises(UserError, match="a member needs 1 CPU, 1 NPU, and none of the cluster's 2 mach"):
        connect(cluster.address, Needs(target="Ascend"))


def test_claimed_cores_are_distinct_while_there_are_any():
    n = len(available_cpus())
    with claimed_cpus(n - 1) as some, claimed_cpus(1) as one, claimed_cpus(n) as all_of_them:
        assert sorted(some + one) == available_cpus()
        assert all_of_them == available_cpus()
    with claimed_cpus(n) as again:
        assert again == available_cpus()
