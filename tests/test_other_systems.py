"""Nothing that only Unix has is needed to import the package, to read a configuration, or to predict."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layers import WITHOUT_MINDSPORE, below

ROOT = Path(__file__).parents[1]
SHUT = """
import importlib.abc, sys
class Shut(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Shut())
for name in ("fcntl", "resource"):
    sys.modules.pop(name, None)
import os, signal, socket
for module, names in (
    (os, ("sched_getaffinity", "sched_setaffinity", "sched_setscheduler", "fork")),
    (signal, ("SIGKILL", "pthread_sigmask")),
    (socket, ("AF_UNIX", "SOCK_SEQPACKET", "send_fds", "recv_fds")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a process without these says that reads a configuration, fills stages and imports the rest."""
    # MindSpore's own log wants fcntl wherever the platform is called Linux.
    names = [name for room in WITHOUT_MINDSPORE for name in below(room)]
    code = f"""
from mindspore_dpus.core.processes import available_cpus
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.stages import Stage, fill
from mindspore_dpus.systems import parse_config
parse_config(["--system=classification", "--data.root=x"])
run = RunFolder({str(tmp_path_factory.mktemp("shut") / "run")!r})
print("filled:", len(available_cpus()) > 0, fill(run, [Stage("a", print)]), flush=True)
import {", ".join(names)}
print("imported: all")
"""
    return subprocess.run([sys.executable, "-c", SHUT + code], cwd=ROOT, capture_output=True, text=True)


def test_a_configuration_is_read_and_stages_are_filled_without_them(told):
    assert "filled: True ['a']" in told.stdout.splitlines(), told.stderr


def test_every_module_that_needs_no_mindspore_is_imported_without_them(told):
    assert told.stdout.splitlines()[-1:] == ["imported: all"], told.stderr
    assert told.returncode == 0


def test_nothing_refuses_python_3_12():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert 'python_requires=">=3.11,<3.13"' in text
