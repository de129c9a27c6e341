"""The memory of a process and of what it starts."""

import json
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"

# Three processes, each below the one before; the lowest holds 200 MB for a second. The uppermost is one
# of its own, since a test process is of a size that other tests change meanwhile.
LOWEST = "import time; held = bytearray(200 * 2**20); time.sleep(1)"
MIDDLE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOWEST!r}])"
UPPERMOST = f"""
import json, subprocess, sys
sys.path.insert(0, {str(TOOLS)!r})
from benchmarking.memory import peak_memory_mb, tree_memory

with tree_memory() as alone:
    pass
with tree_memory() as with_children:
    subprocess.run([sys.executable, "-c", {MIDDLE!r}], check=True)
with tree_memory() as after:
    pass
print(json.dumps([alone.peak_mb, with_children.peak_mb, after.peak_mb, peak_memory_mb()]))
"""


def test_what_is_started_below_counts_once_and_only_while_it_lives():
    ran = subprocess.run([sys.executable, "-c", UPPERMOST], check=True, capture_output=True, text=True)
    alone, with_children, after, peak = json.loads(ran.stdout)
    assert 200 <= with_children - alone < 260
    assert abs(after - alone) < 20
    assert alone <= peak
