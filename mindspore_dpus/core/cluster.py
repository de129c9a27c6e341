"""Work done side by side on the machines of a Ray cluster: what ``processes`` does on one."""

import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import lock
from mindspore_dpus.core.processes import ProcessDied, Work, apart, available_cpus

# MindSpore's generated protobuf files are too old for the C implementation that Ray loads.
VARIABLES = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
# Seconds for a machine to answer.
PATIENCE = 10.0
# What Ray calls a card.
CARDS = {"GPU": "GPU", "Ascend": "NPU"}


@dataclass(frozen=True)
class Needs:
    """What a task needs of a machine.

    Args:
        cpus: cores.
        target: ``CPU``, or one card of kind ``GPU`` or ``Ascend``.
        retries: how often a task whose process or machine died is started again, counted anew whenever
            it has sent something.
    """

    cpus: int = 1
    target: str = "CPU"
    retries: int = 3

    def resources(self) -> dict[str, float]:
        """As Ray names them."""
        cards = {CARDS[self.target]: 1.0} if self.target in CARDS else {}
        return {"CPU": float(self.cpus)} | cards


def connect(address: str, needs: Needs) -> None:
    """Join a cluster, unless this process is in one.

    Args:
        address: ``host:port``; or ``auto``: ``RAY_ADDRESS``, or the cluster that this machine is in.
        needs: of every task.

    Raises:
        UserError: Ray is not installed, the cluster does not answer or has another version, or none of
            its machines has what a task needs.
    """
    os.environ.update(VARIABLES)
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            "training.executor ray needs the package ray: pip install 'mindspore_dpus[ray]' "
            "(in the source folder: pip install -e '.[ray]')"
        ) from None
    if not ray.is_initialized():
        try:
            _knock(os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address)
            ray.init(
                address,
                runtime_env={"env_vars": VARIABLES},
                configure_logging=False,
                log_to_driver=False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(
                f"training.ray_address {address}: no Ray cluster answers there ({reason}); start one "
                "with ray start --head, or give its host:port"
            ) from None
    nodes = [node for node in ray.nodes() if node["Alive"]]
    wanted = needs.resources()
    if not any(all(node["Resources"].get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
        disconnect()
        what = ", ".join(f"{value:g} {key}" for key, value in wanted.items())
        raise UserError(
            f"training.ray_cpus, device.target: a member needs {what}, and none of the cluster's "
            f"{len(nodes)} machines has that"
        )


def _knock(address: str) -> None:
    """See whether anybody listens: Ray itself would try for five minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), PATIENCE).close()


def disconnect() -> None:
    """Leave the cluster: what still runs there for this process is stopped."""
    import ray

    ray.shutdown()


def on_cluster(
    tasks: list[Work], address: str, needs: Needs, on_message: Callable[[int, object], None]
) -> Iterator[tuple[int, Exception | None]]:
    """Run every task in a process of its own on some machine of a Ray cluster, as many as fit at a time.

    As ``processes.side_by_side``, but for one thing: a task whose process or machine died is started
    again, on another machine if need be. Leaving the loop stops the tasks that still run.

    Args:
        tasks: in the order in which they start; their functions are importable on every machine.
        address: of the cluster.
        needs: of every task.
        on_message: called with a task's index and each value that it sends.

    Yields:
        For each task when it ends, its index and its error, or None.
    """
    connect(address, needs)
    import ray

    attempt = ray.remote(_attempt).options(
        num_cpus=needs.cpus,
        num_gpus=needs.resources().get("GPU", 0),
        resources={"NPU": 1} if needs.target == "Ascend" else None,
        num_returns="streaming",
        # Ray would expect a second attempt to send the same again; ours goes on where the first ended.
        max_retries=0,
    )
    calls = [ray.put(task.call()) for task in tasks]
    waiting, lives = deque(range(len(tasks))), [needs.retries] * len(tasks)
    running: dict = {}
    try:
        while waiting or running:
            while waiting:
                i = waiting.popleft()
                running[attempt.remote(tasks[i].name, calls[i], needs.cpus)] = i
            (ready,), _ = ray.wait(list(running))
            i = running[ready]
            try:
                ended, value = ray.get(next(ready))
            except ray.exceptions.RayTaskError as error:
                ended, value = True, _failure(tasks[i].name, error)
            except ray.exceptions.RayError as error:
                reason = " ".join(str(error).split())[:200]
                ended, value = True, ProcessDied(f"{tasks[i].name}: {reason}")
            if not ended:
                lives[i] = needs.retries
                on_message(i, value)
                continue
            del running[ready]
            if isinstance(value, ProcessDied) and lives[i] > 0:
                lives[i] -= 1
                waiting.append(i)
                continue
            yield i, value
    finally:
        disconnect()


def _failure(name: str, error: Exception) -> Exception:
    """Of an attempt that never came to the task itself."""
    if isinstance(error.cause, ImportError):
        return UserError(
            f"{name}: a machine of the cluster lacks a package ({error.cause}); all need the same "
            "environment, mindspore_dpus included"
        )
    return RuntimeError(f"{name}, on another machine:\n{error}")


def _attempt(name: str, call: bytes, n_cpus: int) -> Iterator[tuple[bool, object]]:
    """On the other machine. The process that Ray gives holds no more than the line to the task's own:
    that one has its cores, and so many threads, from its first instruction on."""
    with claimed_cpus(n_cpus) as cpus:
        yield from apart(name, call, cpus)


@contextmanager
def claimed_cpus(n_cpus: int) -> Iterator[list[int]]:
    """Cores of this machine that no other task has claimed; Ray counts cores, but does not say which.

    Args:
        n_cpus: how many. Where too few are free, claimed ones are taken too: MindSpore's rounding
            depends on how many cores it has.
    """
    folder = Path(tempfile.gettempdir()) / f"mindspore_dpus-cores-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    free, claimed = [], []
    with ExitStack() as stack:
        for cpu in available_cpus():
            file = stack.enter_context(open(folder / str(cpu), "w"))
            try:
                if len(free) < n_cpus:
                    lock(file.fileno(), wait=False)
                    free.append(cpu)
            except BlockingIOError:
                claimed.append(cpu)
        yield sorted([*free, *claimed[: n_cpus - len(free)]])
