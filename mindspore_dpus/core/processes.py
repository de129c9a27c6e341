"""Work done side by side: a process for each task, each on its own share of the cores; or threads."""

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.nursery import CAN_FORK, Forked, Nursery, NurseryDied, is_kept, lent, start_kept

CONTEXT = multiprocessing.get_context("spawn")
# Calls that wait for threads at a time.
QUEUED = 4096


@dataclass(frozen=True)
class Work:
    """A call for another process.

    Args:
        name: what an error message calls it.
        function: importable by its name; called with the arguments and, last, a function that sends a
            value back while it runs.
        arguments: what pickle can carry.
        imports: further modules that it will need, besides that of the function.
    """

    name: str
    function: Callable[..., None]
    arguments: tuple
    imports: tuple[str, ...] = ()

    def call(self) -> bytes:
        """Function and arguments for another process: whoever passes them on need not import them."""
        return pickle.dumps((self.function, self.arguments))


class ProcessDied(UserError):
    """A task's process was killed or ended by itself: nothing says that it would do so again."""


def available_cpus() -> list[int]:
    """The cores that this process may use."""
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return list(range(os.cpu_count() or 1))
    return sorted(os.sched_getaffinity(0))


def cpu_shares(n_processes: int) -> list[list[int]]:
    """Deal the available cores to processes; more processes than cores have one each, in turn.

    All get equally many, even if some cores are left over: MindSpore's rounding depends on how many it
    has, and a result must not depend on which share was free.
    """
    cpus = available_cpus()
    each = len(cpus) // n_processes
    if each == 0:
        return [[cpus[i % len(cpus)]] for i in range(n_processes)]
    return [cpus[i * each : (i + 1) * each] for i in range(n_processes)]


def in_threads(function: Callable, items: Iterable) -> Iterator:
    """``map`` in as many threads as there are cores, for work that lets others run meanwhile.

    An executor's own ``map`` makes a future of every item before the first result: 1.5 GB for a million.
    """
    items = iter(items)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while queued := list(islice(items, QUEUED)):
            yield from pool.map(function, queued)


def prepare(imports: Iterable[str], n_processes: int) -> None:
    """Let another process begin to import what those of ``side_by_side`` will need, where they will be forked.

    Args:
        imports: module of their function, and what else they will need.
        n_processes: how many will run at a time.
    """
    if CAN_FORK:
        with _inherited(cpu_shares(n_processes)[0]):
            start_kept(CONTEXT, sorted(set(imports)), _run)


def side_by_side(
    tasks: list[Work],
    n_processes: int,
    on_message: Callable[[int, object], None],
    may_grow: Callable[[object], bool] = lambda value: False,
) -> Iterator[tuple[int, Exception | None]]:
    """Run every task in a process of its own, ``n_processes`` at a time.

    A process is bound to its cores before it computes anything, so that the libraries in it count only
    those. Several are forked from one that has imported what they need, where that is safe
    (``core.nursery``). Ctrl-C and SIGTERM do not reach them. Leaving the loop, also by an error or by
    these, kills the tasks that still run; and they die with this process. As always with new Python
    processes, each imports the main script, which must start nothing unless
    ``__name__ == "__main__"``.

    Args:
        tasks: in the order in which they start.
        n_processes: how many run at a time, at least 1. Each has its share of the cores, also where the
            tasks are fewer: their number must not change what one of them computes.
        on_message: called with a task's index and each value that it sends.
        may_grow: whether a task that has sent this value may use further cores from then on: what it
            computes must no longer depend on how many it has. When no task is waiting any more, such
            tasks get the cores of those that have ended.

    Yields:
        For each task when it ends, its index and its error, or None. ``UserError`` and ``OSError`` come
        as they were raised; a task whose process was killed ends in a ``UserError``, every other
        exception in a ``RuntimeError`` that holds its traceback.
    """
    waiting = deque(enumerate(tasks))
    shares = cpu_shares(n_processes)
    running: dict[Connection, _Running] = {}
    imports = sorted({name for task in tasks for name in (task.function.__module__, *task.imports)})
    nursery = None
    with ExitStack() as stack:
        if CAN_FORK and (len(tasks) > 1 or is_kept(imports, _run)):
            nursery = stack.enter_context(lent(CONTEXT, imports, _run))
        stack.callback(lambda: _stop(list(running.values())))
        while waiting or running:
            while waiting and shares:
                index, task = waiting.popleft()
                one = _Running(index, task.name, task.call(), shares.pop(0), nursery)
                # From here on it will be ended, even if Ctrl-C comes while it starts.
                running[one.connection] = one
                one.start()
            for connection in wait(list(running)):
                one = running[connection]
                ended, value = one.receive()
                if not ended:
                    one.may_grow = one.may_grow or may_grow(value)
                    on_message(one.index, value)
                else:
                    del running[connection]
                    shares.append(one.cpus)
                if shares and not waiting:
                    _deal([one for one in running.values() if one.may_grow], shares)
                if ended:
                    yield one.index, value


def apart(name: str, call: bytes, cpus: list[int]) -> Iterator[tuple[bool, object]]:
    """Run one task as ``side_by_side`` does, on these cores.

    Args:
        name: of the task.
        call: ``Work.call()``.
        cpus: cores of this machine.

    Yields:
        (False, value) for each value that it sends; last (True, its error or None).
    """
    one = _Running(0, name, call, cpus)
    try:
        one.start()
        ended = False
        while not ended:
            ended, value = one.receive()
            yield ended, value
    finally:
        _stop([one])


def _deal(running: "list[_Running]", shares: list[list[int]]) -> None:
    """Give idle cores, which are taken out of ``shares``, to tasks, those with the fewest first."""
    while running and shares:
        one = min(running, key=lambda one: len(one.cpus))
        one.grow(shares.pop())


class _Running:
    """A task that is under way.

    Args:
        index: its place.
        name: what an error message calls it.
        call: what to do.
        cpus: where.
        nursery: forks it; None: it is a new Python.

    Attributes:
        may_grow: whether further cores would change nothing but the time.
        connection: ready to be read when the task has sent something or has ended, however it ended.
    """

    def __init__(
        self, index: int, name: str, call: bytes, cpus: list[int], nursery: Nursery | None = None
    ) -> None:
        self.index = index
        self.call = call
        self.cpus = cpus
        self.may_grow = False
        self.connection, self._theirs = CONTEXT.Pipe()
        if nursery is None:
            self.process = CONTEXT.Process(target=_run, args=(self._theirs, cpus), name=name)
        else:
            self.process = Forked(nursery, self._theirs, cpus, name)

    def start(self) -> None:
        try:
            with _inherited(self.cpus):
                self.process.start()
        except NurseryDied:
            raise self._died("the process that starts it was killed") from None
        self._theirs.close()  # Else the end of the process would not end the connection.
        # The task follows instead of being an argument: start() would wait for ever for a process that
        # died before it had read large arguments.
        with suppress(ConnectionError):
            self.connection.send_bytes(self.call)

    def grow(self, cpus: list[int]) -> None:
        """Let it use these cores, too, where the system can do that."""
        self.cpus = self.cpus + cpus
        # Each thread has cores of its own; those that are started later have their starter's.
        for thread in Path(f"/proc/{self.process.pid}/task").glob("*"):
            with suppress(OSError):  # It has ended meanwhile.
                os.sched_setaffinity(int(thread.name), self.cpus)

    def receive(self) -> tuple[bool, object]:
        """Whether the task has ended; if so, with which error or None, if not, a value that it sent."""
        try:
            ended, value = self.connection.recv()
        except (EOFError, OSError):  # It died, perhaps in the middle of a message.
            self.process.join()
            return True, self._death()
        if ended:
            self.process.join()
        return ended, value

    def _death(self) -> "ProcessDied":
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self._died(f"its process {how}")

    def _died(self, how: str) -> "ProcessDied":
        return ProcessDied(
            f"{self.process.name}: {how}; if memory ran out, run fewer side by side "
            "(device.processes; of a grid, its jobs). Start the same command again to go on"
        )


def _stop(running: list[_Running]) -> None:
    """End these processes, and wait until they have ended.

    They are killed: an exception, such as a signal could raise in them, MindSpore would meet with pages
    of output.
    """
    processes = [one.process for one in running if one.process.pid is not None]
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _bind(cpus: list[int]) -> None:
    """Let this thread, and what it starts, use these cores only, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


@contextmanager
def _inherited(cpus: list[int]) -> Iterator[None]:
    """What this thread starts meanwhile has these cores and as many threads from its first instruction
    on: libraries count them while they are loaded. And Ctrl-C and SIGTERM, which may be sent to a whole
    group of processes, do not reach it."""
    before = available_cpus()
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    variables = {name: os.environ.get(name) for name in names}
    # Python's own helper process: when it is started, it lets both through again.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        _bind(cpus)
        os.environ.update(dict.fromkeys(names, str(len(cpus))))
        yield
    finally:
        _bind(before)
        for name, value in variables.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _run(connection: Connection, cpus: list[int]) -> None:
    """In the other process."""
    _bind(cpus)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    error = None
    try:
        function, arguments = connection.recv()
        function(*arguments, lambda value: connection.send((False, value)))
    except Exception as raised:
        error = _for_sending(raised)
    with suppress(ConnectionError):  # Nobody listens any more.
        connection.send((True, error))


def _for_sending(error: Exception) -> Exception:
    """The error itself where it concerns the user and survives the journey, else its traceback."""
    if isinstance(error, UserError | OSError):
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    text = "".join(traceback.format_exception(error))
    return RuntimeError(f"in another process:\n{text}")


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
