"""The memory of a process and of what it starts."""

import subprocess
import sys

from benchmarking.memory import peak_memory_mb, tree_memory

from mindspore_dpus.core.nursery import close_kept

# Two processes below, one below the other; the lower one holds 200 MB for a second.
LOWER = "import time; held = bytearray(200 * 2**20); time.sleep(1)"
UPPER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOWER!r}])"


def test_what_is_started_below_counts_once_and_only_while_it_lives():
    close_kept()  # What a test before this one has left.
    with tree_memory() as alone:
        pass
    with tree_memory() as with_children:
        subprocess.run([sys.executable, "-c", UPPER], check=True)
    with tree_memory() as after:
        pass
    assert 200 <= with_children.peak_mb - alone.peak_mb < 260
    assert abs(after.peak_mb - alone.peak_mb) < 20
    assert alone.peak_mb <= peak_memory_mb()
