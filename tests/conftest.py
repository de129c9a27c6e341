"""Shared by all tests: tiny castings, and a disk that is full at once."""

import contextlib
import ctypes
import functools
import gc
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings
from mindspore_dpus.data.simulate.radiographs import simulate
from tests.suite_checks import (
    current_memory_mb,
    pytest_addoption,  # noqa: F401
    pytest_configure,  # noqa: F401
)


@pytest.fixture(scope="session")
def castings(tmp_path_factory):
    """A folder of 56 simulated radiographs, 32 x 32 pixels, 8 bits, with its manifest.csv."""
    folder = tmp_path_factory.mktemp("castings")
    config = RadiographSettings(enabled=True, train=(24, 8), val=(6, 6), test=(6, 6), size=32)
    simulate(config, folder, random_state=0)
    return folder


@pytest.fixture(scope="session", autouse=True)
def nobody_waits_for_the_disk():
    """Only a power cut would show the difference, and thousands of small files would take a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True)
def forget_the_terminal():
    """What a command has attached to the package's logger goes with its test."""
    logger = logging.getLogger("mindspore_dpus")
    before = logger.handlers[:], logger.propagate
    yield
    logger.handlers[:], logger.propagate = before


@pytest.fixture(autouse=True)
def nobody_was_told():
    """What is said once in a process is said once in a test."""
    whitening = sys.modules.get("mindspore_dpus.features.whitening")
    if whitening is not None:
        whitening._told.clear()


@contextlib.contextmanager
def _unnamed():
    """Without the variable in which pytest writes the name of the running test: the process that forks
    others (``core.nursery``) starts again, and imports MindSpore again, whenever a variable changes."""
    name = os.environ.pop("PYTEST_CURRENT_TEST", None)
    try:
        yield
    finally:
        if name is not None:  # Else a fixture within another.
            os.environ["PYTEST_CURRENT_TEST"] = name


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup():
    with _unnamed():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    with _unnamed():
        return (yield)


# Freed memory is given back when a test process has grown by so many megabytes since the last time.
GROWTH_MB = 300
_kept_mb = {"test": 0, "file": 0}


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """What a test has freed goes back to the system: the product tells the C library to keep it
    (``core.device``), and MindSpore keeps what it computed with, for more of the same. That suits one
    training, and lets a test process, which has hundreds of networks, grow by gigabytes."""
    last_of_file = nextitem is None or nextitem.path != item.path
    level = "file" if last_of_file else "test"
    if current_memory_mb() < _kept_mb[level] + GROWTH_MB:
        return
    gc.collect()
    # Not within a file, whose tests may share a network.
    if last_of_file and "mindspore" in sys.modules:
        sys.modules["mindspore"].ms_memory_recycle()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    _kept_mb[level] = _kept_mb["test"] = current_memory_mb()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 64 KB."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount command here: cannot make a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot make a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


# In a new clone, these come first: while one of two workers compiles our loops, for a minute, the other has
# what needs none of them, instead of compiling the same ones. (Each in turn gets the next file or folder.)
FIRST = (
    "tests/systems/machine_sound/test_planning.py",  # and with it the other tests of its finished run
    "tests/test_layers.py",
    "tests/data/test_splits.py",
    "tests/data/images/test_every_tiff.py",
    "tests/models/kernels/test_in_one.py",
    "tests/report/test_plots.py",
    "tests/data/images/test_every_dicom.py",
    "tests/sampling/test_dpus.py",
)
# Folders whose files take longest: next, so that no worker is left alone with one of them at the end.
LONGEST = ("experiments", "systems", "reliability", "training", "tools", "models", "core", "deploy")


def pytest_collection_finish():
    """What is imported stays: looking through it for garbage again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    def place(item) -> int:
        for number, start in enumerate(FIRST):
            if item.nodeid.startswith(start):
                return number - len(FIRST)
        parts = item.nodeid.split("/")
        folder = parts[1] if len(parts) > 2 else ""
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=place)


@functools.cache
def _scope(file: str) -> str:
    """What a test process gets as a whole: a test file, or all files of a folder that look at the one
    finished run or grid of its ``conftest.py``."""
    path = Path(__file__).parents[1] / file
    shared = path.with_name("conftest.py")
    looks = "finished" in path.read_text() and shared.exists() and "def finished(" in shared.read_text()
    return str(Path(file).parent) if looks else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``-n``: tests that share what one of them trains stay together."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid.partition("::")[0])

    # In the order above, instead of the files with most tests first.
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="module")
def start_cluster():
    """A function that starts a Ray cluster on this machine as if it were two: a head with so many cores,
    and one machine with one.

    It returns an object with ``address``, ``kill_second()`` and ``add()``.
    """
    # Else what runs there is starved by whatever else this machine does.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    # Ray looks every 3 seconds whether a machine lives, and gives it up after five times: half a minute.
    os.environ["RAY_health_check_period_ms"] = "1000"  # noqa: SIM112
    os.environ["RAY_health_check_failure_threshold"] = "3"  # noqa: SIM112
    reason = "ray is not installed (pip install -e '.[ray]')"
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason=reason)

    started = []

    class TwoMachines:
        def __init__(self, head_cpus: int = 1) -> None:
            head = {"num_cpus": head_cpus, "include_dashboard": False}
            self.cluster = cluster_utils.Cluster(True, head_node_args=head)
            started.append(self.cluster)
            self.second = self.add()
            self.address = self.cluster.address

        def add(self):
            return self.cluster.add_node(num_cpus=1)

        def kill_second(self) -> None:
            self.cluster.remove_node(self.second, allow_graceful=False)

    yield TwoMachines
    for cluster in started:
        cluster.shutdown()
