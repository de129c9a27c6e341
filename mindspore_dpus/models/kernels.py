"""How our own loops (``models.loops``) are compiled by numba, and put into a network."""

import functools
from collections.abc import Callable

from mindspore import nn
from numba import njit

# Sums may be taken in another order, so that they can run in vector registers. NaN and infinity keep
# their meaning: a diverging network must be seen.
FAST = {"reassoc", "contract", "nsz"}


def compiled(**options) -> Callable[[Callable], Callable]:
    """``njit`` that keeps the machine code on disk, if there is a folder that can be written."""

    def decorate(function: Callable) -> Callable:
        try:
            return njit(fastmath=FAST, cache=True, **options)(function)
        except RuntimeError:  # "no locator available": a read-only installation without a home
            return njit(fastmath=FAST, **options)(function)

    return decorate


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


def use_fast_kernels(net: nn.Cell) -> int:
    """Replace the primitives of depthwise 3x3 convolutions and of batch norms in a network, and what
    MobileNetV2's blocks train with.

    Cells, parameters and exported graphs stay as they are.

    Args:
        net: a network that runs in PyNative mode on CPU, in float32.

    Returns:
        How many were replaced.
    """
    from mindspore_dpus.models.batch_norm import use_fast_batch_norm
    from mindspore_dpus.models.depthwise import use_fast_depthwise
    from mindspore_dpus.models.hidden_layers import use_hidden_layers

    return use_fast_depthwise(net) + use_fast_batch_norm(net) + use_hidden_layers(net)
