"""Processes side by side: their cores, their messages, their errors and their ends."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mindspore_dpus.core import nursery, processes
from mindspore_dpus.core.errors import Terminated, UserError
from mindspore_dpus.core.nursery import CAN_FORK, close_kept, kept_usage
from mindspore_dpus.core.processes import (
    Work,
    available_cpus,
    cpu_shares,
    in_threads,
    prepare,
    side_by_side,
)
from mindspore_dpus.core.stages import peak_memory_mb

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def wait_for(condition):
    """Poll until something holds, as long as a busy machine may need."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run(tasks, n_processes=2):
    """Every task's messages and its error."""
    messages = [[] for _ in tasks]
    ended = side_by_side(tasks, n_processes, lambda i, value: messages[i].append(value))
    errors = dict(ended)
    assert sorted(errors) == list(range(len(tasks)))
    return messages, [errors[i] for i in range(len(tasks))]


# What the other processes do -------------------------------------------------------------------------


def describe(send):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    send((available_cpus(), [os.environ.get(name) for name in VARIABLES], blocked))


def count(start, send):
    for number in range(start, start + 500):
        send(number)


def fail(kind, send):
    send("before")
    raise {
        "user": UserError("data.root: no such folder"),
        "disk": full_disk(),
        "named": FileNotFoundError(2, "No such file or directory", "/missing"),
        "bug": ValueError("a bug"),
        "awkward": Awkward("a", "b"),
    }[kind]


def full_disk():
    error = OSError(28, "No space left on device")
    error.filename = "/full"  # As run.atomic does.
    return error


class Awkward(UserError):
    """Cannot be unpickled: its arguments are not those of its parent."""

    def __init__(self, one, two):
        super().__init__(one + two)


def end_badly(kind, send):
    send("before")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        sys.exit(0)
    elif kind == "late":
        # As when a library's threads crash while the interpreter shuts down.
        atexit.register(os._exit, 5)
    elif kind == "unsendable":
        send(threading.Lock())


def die_while_sending(send):
    send(os.getpid())
    send(bytes(50_000_000))


def say_hello(name, send):
    send(f"hello {name}")


def look_at_modules(send):
    send((__name__ in sys.modules, "colorsys" in sys.modules))


def kill_the_nursery(send):
    os.kill(os.getppid(), signal.SIGKILL)


def sleep(folder, send):
    send(os.getpid())
    (folder / "started").touch()
    time.sleep(10 * PATIENCE)


def start_and_wait(folder, send):
    """Give the follower time to end when it should not."""
    time.sleep(1)
    (folder / "started").touch()


def follow(folder, send):
    """End when the sleeper has started."""
    wait_for((folder / "started").exists)


def wait_for_cores(number, folder, send):
    """Say how many cores there are at first, and whether there are so many later."""
    send(len(available_cpus()))
    (folder / "started").touch()
    end = time.monotonic() + (PATIENCE if number > 1 else 2)
    while len(available_cpus()) < number and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2 if number > 1 else 2)
    send(len(available_cpus()))


def never_read(connection, cpus):
    """In place of the function that starts a task."""
    os._exit(7)


# ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(len(available_cpus()) < 2, reason="there is one core only")
@pytest.mark.parametrize("grows", [True, False])
def test_idle_cores_go_to_those_that_may_have_them(grows, tmp_path):
    before = os.sched_getaffinity(0)
    messages = []
    tasks = [
        Work("waits", wait_for_cores, (2 if grows else 1, tmp_path)),
        Work("ends", follow, (tmp_path,)),
    ]
    try:
        os.sched_setaffinity(0, sorted(before)[:2])
        ended = side_by_side(tasks, 2, lambda i, v: messages.append(v), lambda v: grows and v == 1)
        assert dict(ended) == {0: None, 1: None}
    finally:
        os.sched_setaffinity(0, before)
    assert messages == [1, 2 if grows else 1]


@pytest.mark.parametrize("n_cpus", [1, 2, 7, 8])
@pytest.mark.parametrize("n_processes", [1, 2, 3, 7])
def test_shares_are_equal_and_disjoint(monkeypatch, n_cpus, n_processes):
    cpus = set(range(3, 3 + n_cpus))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus)
    shares = cpu_shares(n_processes)
    assert len(shares) == n_processes
    assert set().union(*shares) <= cpus
    assert {len(share) for share in shares} == {max(1, n_cpus // n_processes)}
    load = [sum(cpu in share for share in shares) for cpu in cpus]
    if n_processes <= n_cpus:
        assert max(load) == 1
    else:
        assert max(load) - min(load) <= 1


def test_tasks_have_their_cores_and_leave_ours(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0), dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    messages, errors = run([Work(f"task {i}", describe, ()) for i in range(3)], n_processes=2)
    assert errors == [None] * 3
    shares = cpu_shares(2)
    for ((cpus, threads, blocked),) in messages:
        assert cpus in shares
        assert threads == [str(len(cpus))] * 2
        assert {signal.SIGINT, signal.SIGTERM} <= set(blocked)
    assert sorted(cpus for ((cpus, *_),) in messages[:2]) == sorted(shares)
    after = os.sched_getaffinity(0), dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert after == before


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_task_has_its_share_of_the_cores_however_few_they_are(n_processes):
    messages, errors = run([Work("task", describe, ())], n_processes=n_processes)
    assert errors == [None]
    assert messages[0][0][0] == cpu_shares(n_processes)[0]
    assert cpu_shares(1) == [available_cpus()]


def test_messages_arrive_in_order():
    messages, errors = run([Work("task", count, (start,)) for start in (0, 1000)])
    assert errors == [None, None]
    assert messages == [list(range(500)), list(range(1000, 1500))]


def test_no_tasks():
    assert run([]) == ([], [])


KINDS = {
    "user": fail,
    "disk": fail,
    "named": fail,
    "bug": fail,
    "awkward": fail,
    "killed": end_badly,
    "exit": end_badly,
    "late": end_badly,
    "unsendable": end_badly,
}


@pytest.fixture(scope="module")
def outcomes():
    """name -> (messages, error) of tasks that all end badly, and of one after them."""
    tasks = [Work(f"task {name}", function, (name,)) for name, function in KINDS.items()]
    tasks.append(Work("good", say_hello, ("you",)))
    return dict(zip([*KINDS, "good"], zip(*run(tasks), strict=True), strict=True))


def test_other_tasks_go_on(outcomes):
    assert outcomes["good"] == (["hello you"], None)
    assert all(messages == ["before"] for messages, _ in list(outcomes.values())[:-1])


def test_errors_of_the_user_come_as_they_were(outcomes):
    _, error = outcomes["user"]
    assert type(error) is UserError
    assert str(error) == "data.root: no such folder"


@pytest.mark.parametrize("name", ["disk", "named"])
def test_errors_of_the_system_keep_what_they_are_about(outcomes, name):
    _, error = outcomes[name]
    kind, *about = {
        "disk": (OSError, 28, "No space left on device", "/full"),
        "named": (FileNotFoundError, 2, "No such file or directory", "/missing"),
    }[name]
    assert type(error) is kind
    assert [error.errno, error.strerror, error.filename] == about


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bug", "ValueError: a bug"),
        ("awkward", "Awkward: ab"),
        ("unsendable", "TypeError: cannot pickle '_thread.lock' object"),
    ],
)
def test_other_errors_bring_their_traceback(outcomes, name, message):
    _, error = outcomes[name]
    assert type(error) is RuntimeError
    assert f"in {KINDS[name].__name__}\n" in str(error)
    assert message in str(error)


@pytest.mark.parametrize(
    ("name", "how"), [("killed", "was killed by signal 9"), ("exit", "ended with exit code 0")]
)
def test_a_task_without_an_end_is_named(outcomes, name, how):
    _, error = outcomes[name]
    assert isinstance(error, UserError)
    assert str(error).startswith(f"task {name}: its process {how};")
    assert "\n" not in str(error)


def test_a_crash_after_the_end_is_none(outcomes):
    assert outcomes["late"][1] is None


def test_death_in_the_middle_of_a_message():
    def kill(_, pid):
        time.sleep(0.5)  # Until the next message fills what lies between us.
        os.kill(pid, signal.SIGKILL)

    ((_, error),) = side_by_side([Work("sender", die_while_sending, ())], 1, kill)
    assert str(error).startswith("sender: its process was killed by signal 9;")


def test_death_before_the_task_is_read(monkeypatch):
    monkeypatch.setattr(processes, "_run", never_read)
    # More than fits between two processes.
    _, (error,) = run([Work("early", say_hello, (bytes(5_000_000),))])
    assert str(error).startswith("early: its process ended with exit code 7;")


def test_a_task_that_cannot_be_sent_ends_the_others(tmp_path):
    tasks = [Work("sleeper", sleep, (tmp_path,)), Work("bad", lambda send: None, ())]
    with pytest.raises(Exception, match="pickle"):
        run(tasks)
    assert multiprocessing.active_children() == []


def test_leaving_the_loop_ends_what_runs(tmp_path):
    tasks = [
        Work("sleeper", sleep, (tmp_path,)),
        Work("follower", follow, (tmp_path,)),
        Work("third", say_hello, ("nobody",)),
    ]
    messages = []
    for index, error in side_by_side(tasks, 2, lambda i, value: messages.append((i, value))):
        assert (index, error) == (1, None)
        break
    ((index, pid),) = messages
    assert index == 0
    assert not is_alive(pid)
    assert multiprocessing.active_children() == []


def test_an_error_at_a_message_ends_what_runs(tmp_path):
    pids = []

    def look(_, pid):
        pids.append(pid)
        raise KeyError("look")

    with pytest.raises(KeyError, match="look"):
        list(side_by_side([Work("sleeper", sleep, (tmp_path,))], 1, look))
    assert not is_alive(pids[0])


def parent(folder):
    """The main function of another process: two sleepers; prints their process ids."""
    tasks = [Work(f"sleeper {i}", sleep, (Path(folder),)) for i in range(2)]

    def terminate(*_) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        list(side_by_side(tasks, 2, lambda i, pid: print(pid, flush=True)))
    except Terminated:
        sys.exit(143)
    except KeyboardInterrupt:
        sys.exit(130)


@pytest.fixture
def other(tmp_path):
    """A process in its own group, as a terminal would start it, that runs ``parent``."""
    code = f"from tests.core.test_processes import parent; parent({str(tmp_path)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def children(pid):
    """All processes of its group."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        number = int(folder.name)
        try:
            if os.getpgid(number) == pid and number != pid and is_alive(number):
                members.append(number)
        except ProcessLookupError:
            pass
    return members


def test_orphans_end(other):
    pids = [int(other.stdout.readline()) for _ in range(2)]
    assert all(is_alive(pid) for pid in pids)
    other.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    wait_for(lambda: not children(other.pid))


def test_ctrl_c_ends_everything_without_a_word(other):
    pids = [int(other.stdout.readline()) for _ in range(2)]
    os.killpg(other.pid, signal.SIGINT)
    out, errors = other.communicate(timeout=PATIENCE)
    assert (other.returncode, out, errors) == (130, "", "")
    assert not any(is_alive(pid) for pid in pids)
    wait_for(lambda: not children(other.pid))


def test_sigterm_for_the_group_ends_everything_without_a_word(other):
    pids = [int(other.stdout.readline()) for _ in range(2)]
    os.killpg(other.pid, signal.SIGTERM)
    out, errors = other.communicate(timeout=PATIENCE)
    assert (other.returncode, out, errors) == (143, "", "")
    assert not any(is_alive(pid) for pid in pids)
    wait_for(lambda: not children(other.pid))


@pytest.mark.parametrize("number", [2, 3, 4])
def test_ctrl_c_while_processes_start(other, number):
    # Python's resource tracker, the nursery, and two tasks.
    wait_for(lambda: len(children(other.pid)) >= number)
    os.killpg(other.pid, signal.SIGINT)
    _, errors = other.communicate(timeout=PATIENCE)
    assert (other.returncode, errors) == (130, "")
    wait_for(lambda: not children(other.pid))


def test_several_tasks_have_what_they_need_imported(tmp_path):
    """Their own module, too: only the first of them imports anything."""
    tasks = [Work(f"task {i}", look_at_modules, (), ("colorsys", "no.such.module")) for i in range(3)]
    messages, errors = run(tasks)
    assert errors == [None] * 3
    assert messages == [[(True, CAN_FORK)]] * 3
    # What has imported it is kept for the next who needs no more.
    ((alone,),), _ = run(tasks[:1])
    assert alone == (True, CAN_FORK)
    ((alone,),), _ = run([Work("another", look_at_modules, (), ("wave",))])
    assert alone == (True, False)


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_what_tasks_need_is_imported_before_they_come():
    close_kept()
    prepare([__name__, "colorsys"], 2)
    prepare([__name__], 2)  # It has that already.
    prepared = nursery._kept._process.pid
    tasks = [Work(f"task {i}", look_at_surroundings, (), ("colorsys",)) for i in range(2)]
    messages, errors = run(tasks)
    assert errors == [None] * 2
    assert [message[0][0] for message in messages] == [prepared] * 2
    assert run([Work("task", look_at_modules, (), ("colorsys",))], n_processes=2)[0] == [[(True, True)]]


def look_at_surroundings(send):
    send((os.getppid(), os.environ.get("A_NEW_VARIABLE"), Path.cwd()))


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_what_forks_is_kept_as_long_as_it_has_the_same_surroundings(tmp_path, monkeypatch):
    def forked_by(n_processes=2):
        tasks = [Work(f"task {i}", look_at_surroundings, ()) for i in range(2)]
        messages, errors = run(tasks, n_processes)
        assert errors == [None] * 2
        (first,), (second,) = messages
        assert first == second
        return first

    before = forked_by()
    assert forked_by() == before
    monkeypatch.setenv("A_NEW_VARIABLE", "new")
    monkeypatch.chdir(tmp_path)
    after = forked_by()
    assert after[0] != before[0]
    assert after[1:] == ("new", tmp_path)
    if len(processes.available_cpus()) > 1:  # Else it has as many for itself as for two.
        assert forked_by(n_processes=1)[0] != after[0]


def use_much(send):
    held = bytearray(300 * 2**20)
    while time.process_time() < 0.3:
        pass
    send(len(held))


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_memory_and_time_of_forked_processes_are_known_while_what_forks_them_is_kept():
    close_kept()
    assert kept_usage() == (0, 0.0)
    before = os.times()
    assert run([Work(f"task {i}", use_much, ()) for i in range(2)])[1] == [None] * 2
    peak_mb, seconds = kept_usage()
    assert 300 <= peak_mb < 600
    assert 0.6 <= seconds < 10
    assert peak_memory_mb(children=True) >= peak_mb
    close_kept()
    assert kept_usage() == (0, 0.0)
    after = os.times()  # Now the system counts them.
    gone = after.children_user + after.children_system - before.children_user - before.children_system
    assert gone >= seconds - 0.1


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_what_forks_is_not_kept_after_an_exception():
    tasks = [Work(f"task {i}", look_at_surroundings, ()) for i in range(2)]
    with pytest.raises(KeyboardInterrupt):
        interrupted(tasks)
    assert multiprocessing.active_children() == []


def use_others():
    assert run([Work(f"task {i}", say_hello, ("you",)) for i in range(2)])[1] == [None] * 2


def test_a_process_that_has_used_others_ends():
    """Although what forks them is kept: Python waits for it."""
    process = processes.CONTEXT.Process(target=use_others)
    process.start()
    process.join(PATIENCE)
    code = process.exitcode
    process.kill()
    assert code == 0


def interrupted(tasks):
    def interrupt(index, value):
        raise KeyboardInterrupt

    list(side_by_side(tasks, 2, interrupt))


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_what_forks_tasks_is_started_again_when_it_was_killed():
    kill = [Work(f"task {i}", kill_the_nursery, ()) for i in range(3)]
    assert run(kill, n_processes=1) == ([[], [], []], [None] * 3)


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_tasks_outlive_what_has_forked_them(tmp_path):
    tasks = [
        Work("outlives", follow, (tmp_path,)),
        Work("kills", kill_the_nursery, ()),
        Work("comes later", start_and_wait, (tmp_path,)),
    ]
    assert run(tasks) == ([[], [], []], [None] * 3)


@pytest.mark.skipif(not CAN_FORK, reason="processes are not forked on this system")
def test_a_task_is_named_when_what_forks_it_is_killed_each_time(monkeypatch):
    def die(*_):
        raise nursery.NurseryDied

    monkeypatch.setattr(nursery.Nursery, "_ask", die)
    tasks = [Work(f"task {i}", say_hello, ("you",)) for i in range(2)]
    with pytest.raises(UserError, match="^task 0: the process that starts it was killed; if memory"):
        run(tasks)
    assert multiprocessing.active_children() == []


def test_threads_keep_the_order_and_queue_little(monkeypatch):
    monkeypatch.setattr(processes, "QUEUED", 10)
    begun = []

    def items():
        for i in range(1000):
            begun.append(i)
            yield i

    results = in_threads(lambda i: i * i, items())
    assert [next(results) for _ in range(10)] == [i * i for i in range(10)]
    # An executor's own map would have taken all 1000.
    assert len(begun) == 10
    assert list(results) == [i * i for i in range(10, 1000)]


def test_threads_work_at_the_same_time(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=PATIENCE)
    assert sorted(in_threads(lambda _: both.wait(), range(2))) == [0, 1]


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda i: 1 / i, range(3)))
