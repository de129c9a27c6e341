"""Machine code for our loops: where it comes from, and how one gets out of it."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from numba import config as numba_config

from mindspore_dpus.core.errors import Terminated
from mindspore_dpus.models.kernels import loops, machine_code, row_loops
from mindspore_dpus.models.kernels.loops import (
    depthwise_forward,
    depthwise_gradients,
    filter_channels,
    filter_channels_gradients,
    normalise,
    normalise_gradients,
)
from mindspore_dpus.models.kernels.machine_code import interruptible

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
        # Set in here: on a busy machine, two milliseconds may pass before ``with`` is reached.
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while True:
            kernel(*CALLS[kernel])

    kernel(*CALLS[kernel])  # compiled before the clock runs
    before = signal.signal(signal.SIGALRM, interrupt)
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


def test_all_loops_are_compiled_as_expected():
    """So that none of them costs a first start a process of its own."""
    for kernel, arguments in CALLS.items():
        kernel(*arguments)
        name = kernel.__name__
        assert machine_code._kernels[name].signatures == [loops.EXPECTED[name]], name
    assert len(loops.EXPECTED) == len(CALLS)


# The loops that are compiled soonest; their sums, too, had other bits where this process compiled them.
DIGESTS = """
import hashlib
import sys
import numpy as np
from mindspore_dpus.models.kernels import row_loops

random = np.random.default_rng(0)
x, gradient = random.standard_normal((2, 5, 130)).astype(np.float32)
gamma, beta = random.random((2, 130)).astype(np.float32)
outputs = [*row_loops.normalise_rows(x, gamma, beta, 1e-5)]
outputs += row_loops.normalise_rows_gradients(x, gamma, outputs[1], outputs[2], gradient)
outputs += [row_loops.softmax_rows(x), row_loops.softmax_rows_gradient(x, gradient)]
print([hashlib.sha256(output.tobytes()).hexdigest()[:8] for output in outputs])
print("mindspore" in sys.modules)
"""


def in_a_process_of_its_own(program, cache):
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    )


def test_the_first_start_after_an_installation_computes_the_bits_of_the_later_ones(tmp_path):
    first, later = (in_a_process_of_its_own(DIGESTS, tmp_path) for _ in range(2))
    assert len(list(tmp_path.rglob("row_loops.[!_]*.nbc"))) == len(row_loops.EXPECTED) == 4
    assert first.stdout == later.stdout
    assert later.stdout.endswith("False\n")
    assert not first.stderr


TINY = """
import sys
import numpy as np
from mindspore_dpus.models.kernels import loops
from mindspore_dpus.models.kernels.machine_code import compiled, from_disk

@from_disk
@compiled()
def twice(x):
    return 2 * x

sys.executable = "/bin/false"
print({call}.tolist())
"""
# A loop of ours in plain Python; a function that is compiled in no time where it has to be.
IN_PYTHON = "loops.depthwise_forward(*[np.ones((1, 1, 3, 3), np.float32)] * 2, 1)"
COMPILED = "twice(np.ones(3))"


@pytest.mark.parametrize(
    ("executable", "reason"),
    [("/bin/false", "exit status 1"), ("/no/such/program", "No such file or directory")],
)
def test_where_no_other_process_can_compile_this_one_does_and_says_so(
    tmp_path, monkeypatch, executable, reason
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(machine_code, "_kernels", {})
    monkeypatch.setattr(sys, "executable", executable)
    twice = machine_code.from_disk(machine_code.compiled()(lambda x: 2 * x))
    said = rf"could not be compiled in a process of its own.*{reason}"
    with pytest.warns(UserWarning, match=said):
        assert twice(np.ones(3)).tolist() == [2, 2, 2]


NO_FOLDER = "from numba.core import caching; caching.CacheImpl._locator_classes = []"


@pytest.mark.parametrize(
    ("variable", "before", "call", "printed"),
    [
        ("NUMBA_DISABLE_JIT", "", IN_PYTHON, [[[[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]]]),
        ("NO_FOLDER_TO_WRITE", NO_FOLDER, COMPILED, [2.0, 2.0, 2.0]),
    ],
    ids=["no compiler", "no folder"],
)
def test_needs_neither_compiler_nor_folder(tmp_path, monkeypatch, variable, before, call, printed):
    """As plain Python, for a debugger; and where nothing can be written."""
    monkeypatch.setenv(variable, "1")
    ended = in_a_process_of_its_own(before + TINY.format(call=call), tmp_path)
    assert ended.stdout == f"{printed}\n"
    assert not ended.stderr
    assert not list(tmp_path.rglob("*"))
