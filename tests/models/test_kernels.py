import signal

import numpy as np
import pytest

from mindspore_dpus.errors import Terminated
from mindspore_dpus.models.kernels import interruptible
from mindspore_dpus.models.loops import (
    depthwise_forward,
    depthwise_gradients,
    filter_channels,
    filter_channels_gradients,
    normalise,
    normalise_gradients,
)

PLANES = np.ones((64, 16, 64, 64), np.float32)
CHANNELS = PLANES.swapaxes(0, 1).copy()
ONES, KERNELS = np.ones(16, np.float32), np.ones((16, 1, 3, 3), np.float32)
CALLS = {
    normalise: (PLANES, ONES, ONES, 1e-5),
    normalise_gradients: (PLANES, ONES, ONES, ONES, PLANES),
    depthwise_forward: (PLANES, KERNELS, 1),
    depthwise_gradients: (PLANES, KERNELS, PLANES, 1),
    filter_channels: (CHANNELS, ONES, ONES, 1e-5, KERNELS, 1, ONES, ONES, 1e-5),
    filter_channels_gradients: (
        *(CHANNELS, ONES, ONES, KERNELS, 1, ONES, ONES),
        *(CHANNELS, np.ones((6, 16), np.float32), CHANNELS),
    ),
}


@pytest.mark.parametrize("kernel", CALLS, ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Terminated])
def test_a_signal_that_comes_while_machine_code_runs_is_raised_as_it_is(kernel, interruption):
    def interrupt(*_) -> None:
        raise interruption

    def work() -> None:
        while True:
            kernel(*CALLS[kernel])

    kernel(*CALLS[kernel])  # compiled before the clock runs
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised.type is interruption


def test_another_fault_of_numba_stays_what_it_is():
    def broken() -> None:
        raise SystemError("numba") from ValueError("not ours")

    with pytest.raises(SystemError, match="numba"):
        interruptible(broken)()
