"""Machine code for our loops: compiled by numba, and always run as it lies on disk."""

import functools
import importlib
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable

from numba import njit
from numba.core.caching import FunctionCache

# Sums may be taken in another order, so that they can run in vector registers. NaN and infinity keep
# their meaning: a diverging network must be seen.
FAST = {"reassoc", "contract", "nsz"}

COMPILE = "from mindspore_dpus.models.kernels.machine_code import compile_here; compile_here()"

_kernels: dict[str, Callable] = {}


def compiled(**options) -> Callable[[Callable], Callable]:
    """``njit`` that keeps the machine code on disk, if there is a folder that can be written."""

    def decorate(function: Callable) -> Callable:
        try:
            return njit(fastmath=FAST, cache=True, **options)(function)
        except RuntimeError:  # "no locator available": a read-only installation without a home
            return njit(fastmath=FAST, **options)(function)

    return decorate


class _CompiledElsewhere(FunctionCache):
    """Machine code on disk that another process makes where there is none."""

    def load_overload(self, sig, target_context):
        found = super().load_overload(sig, target_context)
        if found is None:
            _compile_elsewhere(self._py_func, sig)
            found = super().load_overload(sig, target_context)
        return found


def from_disk(kernel: Callable) -> Callable:
    """Let a compiled function run as it is read from disk, never as it was compiled in this process.

    Where numba compiles, the linker takes the first of several equal functions: one that was optimised
    alone. Where numba reads from disk, there is only the one that was optimised with its caller. Both
    may order a sum as they like (``FAST``), so a run that compiles would not equal the later ones.

    Args:
        kernel: what ``compiled`` returned, at the top of its module. Not for what only compiled
            functions call: that is part of their machine code.

    Returns:
        The same.
    """
    # Numba has no public way to look on disk without compiling. There is no cache without a folder for
    # it, nor where NUMBA_DISABLE_JIT leaves plain Python.
    if isinstance(getattr(kernel, "_cache", None), FunctionCache):
        kernel._cache = _CompiledElsewhere(kernel.py_func)
        _kernels[kernel.__name__] = kernel
    return kernel


def _compile_elsewhere(function: Callable, types: tuple) -> None:
    try:
        subprocess.run(
            [sys.executable, "-c", COMPILE],
            input=pickle.dumps((function.__module__, function.__name__, types)),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        warnings.warn(
            f"{function.__name__} could not be compiled in a process of its own, and is in this one: "
            f"the run may differ from later ones in its last digits ({reason.splitlines()[-1]})",
            stacklevel=2,
        )


def compile_here() -> None:
    """Compile the function that the standard input names, and leave its machine code on disk; so, too,
    the others of its module that have ``EXPECTED`` types: a process for each takes seconds."""
    module, name, types = pickle.load(sys.stdin.buffer)
    expected = getattr(importlib.import_module(module), "EXPECTED", {})
    for known, signature in {**expected, name: types}.items():
        kernel = _kernels[known]
        kernel.enable_caching()
        kernel.compile(signature)


def interruptible(kernel: Callable) -> Callable:
    """A compiled function for callers in Python, out of which Ctrl-C and SIGTERM come as they are.

    A signal that arrives while machine code runs is handled in the next line of Python, and that line is
    in numba's own wrapping of the results, which makes a ``SystemError`` of every exception.

    Args:
        kernel: what ``compiled`` returned. Compiled functions call it, not what this returns.

    Returns:
        A function with the same arguments and results.

    Raises:
        KeyboardInterrupt: or what is derived from it, where that is the cause of a ``SystemError``.
    """

    @functools.wraps(kernel)
    def call(*arguments):
        try:
            return kernel(*arguments)
        except SystemError as error:
            cause = error.__cause__
            while isinstance(cause, SystemError):
                cause = cause.__cause__
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
            raise

    return call
