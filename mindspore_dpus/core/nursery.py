"""Processes that begin with everything imported: forked from one that has imported it once.

Importing MindSpore takes a process two seconds and some 200 MB; forked ones take neither. Nothing is
computed before the fork: libraries start their threads, and count the cores, when they first compute.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import util
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

# Forking is safe where libraries expect it.
CAN_FORK = sys.platform == "linux"
_LARGEST_MESSAGE = 2**16
# A request: fork (with the file number of a connection), or wait for a process to end.
_FORK, _WAIT = "fork", "wait"
# The exit code of a process whose nursery was killed: most likely it was, too.
UNKNOWN = -9  # SIGKILL, which not every system names


class NurseryDied(Exception):
    """The process that forks others is gone."""


class Nursery:
    """A process that forks others; started with the first of them, and again when it was killed, or when
    this process has other variables, another folder or another path for modules than when it started.

    Args:
        context: how it is started itself.
        modules: what it imports first; one that cannot be imported fails in those that need it.
        run: what a forked process does: called with its end of a connection and its cores. Importable
            by its name.

    Attributes:
        peak_mb, cpu_seconds: the most memory that one of those that it has forked took, and what they
            and their children computed, until they ended. (The system counts them as children of
            this process only when the nursery ends.)
    """

    def __init__(
        self,
        context: BaseContext,
        modules: Sequence[str],
        run: Callable[[Connection, list[int]], None],
    ) -> None:
        self._context, self._modules, self._run = context, modules, run
        self._process = self._socket = None
        self._surroundings: tuple | None = None
        # What those that they forked see as alive: they end when it is dropped.
        self._former: list[BaseProcess] = []
        self.peak_mb, self.cpu_seconds = 0, 0.0

    def fork(self, connection: Connection, cpus: list[int]) -> int:
        """A new process.

        Args:
            connection: its end, which stays open here.
            cpus: its cores.

        Returns:
            Its number.

        Raises:
            NurseryDied: whoever should have forked it was killed twice.
        """
        for last in (False, True):
            self.start()
            try:
                return self._ask((_FORK, cpus), [connection.fileno()])
            except NurseryDied:
                self._former.append(self._process)
                self.close()
                if last:
                    raise

    def wait(self, pid: int) -> int:
        """The exit code of a process, as ``multiprocessing`` gives it, when it has ended."""
        try:
            code, peak_mb, seconds = self._ask((_WAIT, pid), [])
        except NurseryDied:
            return UNKNOWN
        self.peak_mb, self.cpu_seconds = max(self.peak_mb, peak_mb), self.cpu_seconds + seconds
        return code

    def has(self, modules: Sequence[str], run: Callable[[Connection, list[int]], None]) -> bool:
        """Whether it does this work, and has imported these modules."""
        return run is self._run and set(modules) <= set(self._modules)

    def close(self) -> None:
        """End it; those that it has forked have ended before, by whoever has started them."""
        if self._process is None:
            return
        self._socket.close()
        if self._process.pid is not None:
            self._process.kill()  # It may still be importing.
            self._process.join()
        self._process = None
        self.peak_mb, self.cpu_seconds = 0, 0.0

    def start(self) -> None:
        """Begin to import, where nothing does or has done so in these surroundings."""
        if self._process is not None and self._surroundings != _surroundings():
            self.close()
        if self._process is None:
            self._start()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = theirs, self._modules, self._run
        self._surroundings = _surroundings()
        self._process = self._context.Process(target=_serve, args=arguments, name="nursery")
        self._process.start()
        theirs.close()

    def _ask(self, request: tuple, files: list[int]) -> int | list:
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            answer = self._socket.recv(_LARGEST_MESSAGE)
        except OSError as error:
            raise NurseryDied from error
        if not answer:
            raise NurseryDied
        return json.loads(answer)


def _surroundings() -> tuple:
    """What a process has from the one that started it, and imports and computes by."""
    return dict(os.environ), Path.cwd(), list(sys.path)


# The one that nobody uses at the moment; its imports took seconds.
_kept: Nursery | None = None
_at_end: util.Finalize | None = None


def start_kept(
    context: BaseContext, modules: Sequence[str], run: Callable[[Connection, list[int]], None]
) -> None:
    """Start one that is kept for the next who needs these modules; it imports them meanwhile.

    Args:
        context, modules, run: as for ``Nursery``.
    """
    with lent(context, modules, run) as nursery:
        nursery.start()


def close_kept() -> None:
    """End the one that is kept, if there is one."""
    global _kept
    if _kept is not None:
        _kept.close()
        _kept = None


def kept_usage() -> tuple[int, float]:
    """``peak_mb`` and ``cpu_seconds`` of the one that is kept; 0 without one."""
    return (0, 0.0) if _kept is None else (_kept.peak_mb, _kept.cpu_seconds)


def _keep(nursery: Nursery) -> None:
    """Keep one until Python ends: that waits for all processes that this one has started."""
    global _kept, _at_end
    _kept = nursery
    # Not ``atexit``, which processes of ``multiprocessing`` do not know; nor while this is imported, as those
    # forget what is entered before they begin.
    if _at_end is None or not _at_end.still_active():
        _at_end = util.Finalize(None, close_kept, exitpriority=10)


@contextmanager
def lent(
    context: BaseContext, modules: Sequence[str], run: Callable[[Connection, list[int]], None]
) -> Iterator[Nursery]:
    """A nursery with these modules. It is kept for the next who needs no others, unless what is done with
    it ends by an exception, which may have come between a request and its answer.

    Args:
        context, modules, run: as for ``Nursery``.
    """
    global _kept
    mine, _kept = _kept, None
    if mine is not None and not mine.has(modules, run):
        mine.close()
        mine = None
    if mine is None:
        mine = Nursery(context, modules, run)
    try:
        yield mine
    except BaseException:
        mine.close()
        raise
    close_kept()  # That of somebody who has borrowed one meanwhile.
    _keep(mine)


def is_kept(modules: Sequence[str], run: Callable[[Connection, list[int]], None]) -> bool:
    """Whether a nursery with these modules is waiting."""
    return _kept is not None and _kept.has(modules, run)


class Forked:
    """A process that a nursery has forked, with what is used of ``multiprocessing.Process``.

    Args:
        nursery: which one.
        connection: its end.
        cpus: its cores.
        name: what an error message calls it.
    """

    def __init__(self, nursery: Nursery, connection: Connection, cpus: list[int], name: str) -> None:
        self._nursery, self._connection, self._cpus = nursery, connection, cpus
        self.name = name
        self.pid: int | None = None
        self.exitcode: int | None = None

    def start(self) -> None:
        """Begin.

        Raises:
            NurseryDied: there is nobody to fork it.
        """
        self.pid = self._nursery.fork(self._connection, self._cpus)

    def kill(self) -> None:
        if self.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def join(self) -> None:
        """Wait until it has ended."""
        if self.exitcode is None:
            self.exitcode = self._nursery.wait(self.pid)


def _serve(
    requests: socket.socket, modules: Sequence[str], run: Callable[[Connection, list[int]], None]
) -> None:
    """In the nursery: answer requests until there is nobody to ask any more."""
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # Else the first collection in each child would write to, and so copy, every page.
    while True:
        message, files, _, _ = socket.recv_fds(requests, _LARGEST_MESSAGE, 1)
        if not message:
            return
        kind, argument = json.loads(message)
        if kind == _WAIT:
            answer = _wait(argument)
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                _begin(run, files[0], argument)
            os.close(files[0])
        requests.send(json.dumps(answer).encode())


def _wait(pid: int) -> tuple[int, int, float]:
    """Exit code, most memory in MB, and seconds of processors."""
    try:
        _, status, used = os.wait4(pid, 0)
    except ChildProcessError:  # Of a nursery before this one.
        return UNKNOWN, 0, 0.0
    code = os.waitstatus_to_exitcode(status)
    return code, used.ru_maxrss // 1024, used.ru_utime + used.ru_stime


def _begin(run: Callable[[Connection, list[int]], None], file: int, cpus: list[int]) -> None:
    """In a forked process: do its work, and end without what an interpreter does at its end, which is
    the nursery's."""
    code = 1
    try:
        run(Connection(file), cpus)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
