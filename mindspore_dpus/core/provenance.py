"""What made a result: the program, the libraries and the machine."""

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

from mindspore_dpus import __version__
from mindspore_dpus.core.files import file_hash, versions
from mindspore_dpus.core.processes import available_cpus

PACKAGE = Path(__file__).parents[1]
PACKAGES = (
    "mindspore",
    "mindcv",
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "opencv-python",
    "pandas",
    "pydicom",
    "safetensors",
)


def environment() -> dict:
    """What a run's ``environment.json`` holds besides its seed.

    Returns:
        ``mindspore_dpus`` (its version), ``source`` (``source_digest``), ``commit``, ``python``,
        ``packages`` (name -> version, or None), ``platform``, ``cpu`` (its model) and ``cpus`` (cores
        that this process may use), on both of which last digits depend, and ``command``.
    """
    return {
        "mindspore_dpus": __version__,
        "source": source_digest(),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpus": len(available_cpus()),
        "command": sys.argv,
    }


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; only its architecture where the system does not say it (Linux on ARM)."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def source_digest(package: Path = PACKAGE) -> str:
    """One hash of all Python files of this package: equal programs have equal ones, committed or not."""
    state = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        state.update(f"{path.relative_to(package).as_posix()} {file_hash(path)}\n".encode())
    return state.hexdigest()[:12]


def commit(package: Path = PACKAGE) -> str | None:
    """The commit of the checkout that this package is in; ``-dirty`` where tracked files have changed.

    None where it is installed without its repository (also inside another one), or without git.
    """
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or Path(top) != package.resolve().parent:
        return None
    return _git(package, "describe", "--always", "--dirty")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        call = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return call.stdout.strip() if call.returncode == 0 else None
