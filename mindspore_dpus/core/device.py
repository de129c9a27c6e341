"""The only place that touches device, threads, execution mode and MindSpore's version."""

import atexit
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass

import mindspore as ms
from mindspore import communication
from mindspore.communication import GlobalComm
from packaging.version import Version

from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import available_cpus

# From 2.9 on, MindSpore's own convolutions on CPU are oneDNN's reference loops: a hundred times slower.
# Those of ``models.kernels`` are not, and other devices have kernels of their own.
FIRST_SLOW_ON_CPU = Version("2.9")
# Of malloc.h: how many blocks may be mapped one by one, and how much freed memory is kept.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
# What devices talk to each other through.
BACKENDS = {"Ascend": "hccl", "GPU": "nccl", "CPU": "mccl"}


@dataclass(frozen=True)
class Device:
    """What was chosen.

    Args:
        target: ``CPU``, ``GPU`` or ``Ascend``.
        jit: whether the training step is compiled to a graph.
        idle_main_thread: whether ``yield_to_workers`` does anything.
        amp_level: mixed precision, ``O0`` to ``O3``.
        fast_kernels: what replaces MindSpore's operations (``models.kernels.install``).
        processes: how many members are trained side by side.
        frozen_cache: bytes of frozen layers' outputs that a member may keep in memory.
        rank: this device's place among those that train one member together.
        n_devices: how many they are.
    """

    target: str
    jit: bool
    idle_main_thread: bool
    amp_level: str = "O0"
    fast_kernels: str = "none"
    processes: int = 1
    frozen_cache: int = 0
    rank: int = 0
    n_devices: int = 1

    def yield_to_workers(self) -> None:
        """Call after the first step: let this thread run only when no core is wanted by others.

        MindSpore's main thread spins while its workers compute, and on few cores it takes one of them
        away. Worker threads inherit their priority at birth, so they must exist by now. Does nothing
        where the system does not allow it.
        """
        if self.idle_main_thread:
            try:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            except (AttributeError, PermissionError):
                pass


def configure(config: DeviceSettings) -> Device:
    """Choose and set up the device; call once, before the first tensor.

    Args:
        config: target, card, execution mode.

    Returns:
        What was chosen.

    Raises:
        UserError: the device is not there, or MindSpore's version is unusable on it.
    """
    target = config.target
    if target == "auto":
        target = next((t for t in ("Ascend", "GPU") if ms.hal.is_available(t)), "CPU")
    on_cpu = target == "CPU"
    jit = not on_cpu if config.jit is None else config.jit
    # Compiled graphs cannot call them.
    fast_kernels = config.fast_kernels if on_cpu and not jit else "none"
    _warn_of_slow_convolutions(target, fast_kernels)
    if target != "CPU" and not ms.hal.is_available(target):
        raise UserError(
            f"device.target: MindSpore {ms.__version__} finds no {target} here; install its driver and "
            "the matching MindSpore, or set device.target to CPU"
        )
    # msrun gives each process a card.
    number = () if config.data_parallel else (0 if on_cpu else config.device_id,)
    try:
        ms.set_device(target, *number)
    except RuntimeError:
        pass  # Set before in this process: MindSpore allows that once.
    ms.set_context(mode=ms.PYNATIVE_MODE)
    if on_cpu:
        # Without it, threads that wait for each other spin: 1.2 times as slow, 2.5 times where two
        # processes share the machine.
        ms.runtime.launch_blocking()
        _keep_freed_memory()
    if on_cpu and config.amp_level != "O0":
        raise UserError("device.amp_level: mixed precision needs Ascend or GPU; on CPU use O0")
    rank, n_devices = _join(target) if config.data_parallel else (0, 1)
    return Device(
        target,
        jit,
        on_cpu and config.idle_main_thread,
        config.amp_level,
        fast_kernels,
        (config.processes or len(available_cpus())) if on_cpu and n_devices == 1 else 1,
        config.frozen_cache_mb * 2**20,
        rank,
        n_devices,
    )


def _keep_freed_memory() -> None:
    """Let the C library use large blocks again. As it is, it gives each back to the system, which clears
    every page of the next one: a third of the time of our own loops at 224 pixels."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # Another C library than glibc.
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Give memory that nobody needs any more back to the system, before others need it."""
    gc.collect()
    ms.ms_memory_recycle()
    give_back_freed()


def give_back_freed() -> None:
    """Give back what was freed: see ``_keep_freed_memory``."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass  # Another C library than glibc.


def _join(target: str) -> tuple[int, int]:
    """Meet the other devices that msrun has started; this one's place, and how many they are.

    Raises:
        UserError: msrun has not started this process.
    """
    if "MS_ROLE" not in os.environ:
        raise UserError(
            "device.data_parallel: start it with msrun, which starts a process for each device: msrun "
            "--worker_num=N --local_worker_num=N tools/train.py ... (docs/reference/scaling.md)"
        )
    if not GlobalComm.INITED:
        # msrun runs a scheduler from the same command; it stays in here until the others have ended.
        communication.init(BACKENDS[target])
    return communication.get_rank(), communication.get_group_size()


def _warn_of_slow_convolutions(target: str, fast_kernels: str) -> None:
    """Say what somebody who switches our kernels off is in for."""
    if target == "CPU" and fast_kernels != "onednn" and are_convolutions_slow():
        logging.getLogger(__name__).warning(
            "MindSpore %s computes convolutions on CPU 100 times slower than 2.8: set device.fast_kernels "
            "to onednn and device.jit to false, or pip install 'mindspore>=2.7,<2.9'",
            ms.__version__,
        )


def are_convolutions_slow(version: str = ms.__version__) -> bool:
    """Whether this MindSpore's own convolutions are unbearably slow on CPU."""
    return Version(version) >= FIRST_SLOW_ON_CPU


def restore_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again: MindSpore's data pipeline takes the signal over, and
    then ends the process without a word."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _collect_cells() -> None:
    """Collect the networks while MindSpore is whole.

    Cells that die with the interpreter print a page of ``Exception ignored in Cell.__del__``.
    """
    gc.collect()
    show = sys.unraisablehook

    def show_all_but_cells(unraisable) -> None:
        if "Cell.__del__" not in getattr(unraisable.object, "__qualname__", ""):
            show(unraisable)

    sys.unraisablehook = show_all_but_cells


atexit.register(_collect_cells)
