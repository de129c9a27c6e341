"""What the suite requires of itself: memory of test processes, and which tests may skip.

``conftest.py`` imports these hooks.
"""

import re
import sys

import pytest

# Two of them, and what they start, in 8 GB. 2771 was seen in the whole suite with the extra dev.
MAX_MEMORY_MB = 3072

# Reasons for a skip, as regular expressions, and why the test cannot run in ``.ci/run``. With
# ``--known-skips``, a skip for any other reason fails the run: what an extra needs is installed there.
KNOWN_SKIPS = {
    r"torch is not installed \(extra: reference\)": "550 MB, and more for its CUDA packages",
    r"torchvision is not installed": "needs torch",
    r"the real \w+ of \.\./shared are not here": "data and weights that are not in the repository",
    r"pdflatex is not installed": "TeX is not a Python package, and takes some 500 MB",
    r"no right to mount a small file system here|cannot make a small disk: .*": "needs root",
    r"no mount command here: .*": "needs root",
    r"there is one core only": "what idle cores are given to needs two",
    r"the kernel does not let the peak of memory be reset here": "needs /proc/self/clear_refs",
}


def skip_reason(report: pytest.CollectReport | pytest.TestReport) -> str | None:
    """Why a test or a file was skipped; None: it was not (an expected failure counts as run)."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def is_known(reason: str) -> bool:
    """Whether a skip for this reason is on the list."""
    return any(re.fullmatch(known, reason) for known in KNOWN_SKIPS)


def largest_memory_mb() -> int | None:
    """The largest memory that this process has had; None where the system does not say it.

    On Linux not that of ``getrusage``, which is at least that of the process that started this one.
    """
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) // 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def current_memory_mb() -> int:
    """The memory that this process has now; 0 where the system does not say it."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) // 1024
    except (OSError, StopIteration):
        return 0


class Memory:
    """The largest memory of a process that runs tests, and the test that first took too much.

    Looked at after each test: one of them resets the system's own record.
    """

    def __init__(self, config) -> None:
        self.config = config
        self.largest, self.test = 0, ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        result = yield
        self._look(item.nodeid)
        return result

    def _look(self, nodeid: str) -> None:
        now = largest_memory_mb() or 0
        if self.largest <= MAX_MEMORY_MB < now:
            self.test = nodeid
        self.largest = max(self.largest, now)

    def pytest_sessionfinish(self):
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["memory"] = (self.largest, self.test)


class SuiteChecks:
    """Collects memory and skips of all test processes; the run fails where they are not as required."""

    def __init__(self, own: Memory, known_skips: bool) -> None:
        self.known_skips = known_skips
        self.own = own
        self.workers: dict[str, tuple[int, str]] = {}
        self.unknown: set[str] = set()

    def pytest_runtest_logreport(self, report):
        self._look_at(report)

    def pytest_collectreport(self, report):
        self._look_at(report)

    def _look_at(self, report) -> None:
        reason = skip_reason(report)
        if reason is not None and not is_known(reason):
            self.unknown.add(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        """A worker of pytest-xdist has ended."""
        if memory := getattr(node, "workeroutput", {}).get("memory"):
            self.workers[node.gateway.id] = tuple(memory)

    def processes(self) -> dict[str, tuple[int, str]]:
        """Largest memory of each process that ran tests, and the test that first took too much."""
        return self.workers or {"main": (self.own.largest, self.own.test)}

    def problems(self) -> list[str]:
        """One line for each thing that is not as required."""
        lines = [
            f"test process {name} took {used} MB of memory, and first more than {MAX_MEMORY_MB} in {test}"
            for name, (used, test) in self.processes().items()
            if used > MAX_MEMORY_MB
        ]
        if self.known_skips:
            lines += [f"skip that KNOWN_SKIPS does not list: {line}" for line in sorted(self.unknown)]
        return lines

    def pytest_sessionfinish(self, session):
        if self.problems() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        largest = max(used for used, _ in self.processes().values())
        terminalreporter.write_line(f"largest memory of a test process: {largest} MB")
        for line in self.problems():
            terminalreporter.write_line(f"error: {line}", red=True)


def pytest_addoption(parser):
    parser.addoption(
        "--known-skips",
        action="store_true",
        help="fail where a test skips for a reason that tests/suite_checks.py does not list",
    )


def pytest_configure(config):
    own = Memory(config)
    config.pluginmanager.register(own)
    if not hasattr(config, "workeroutput"):
        config.pluginmanager.register(SuiteChecks(own, config.getoption("--known-skips")))
