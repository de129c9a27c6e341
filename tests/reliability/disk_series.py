"""Train on a disk that is full again and again, read-only in between, and grows; as root:

python -m tests.reliability.disk_series
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from tests.reliability.starts import Start, check_equal, make_castings

# Megabytes. A member's two checkpoints take 45 and 135.
SIZES = (0.1, 1, 20, 70, 150, 250, 330)
OPTIONS = ("--training.epochs=2", "--device.processes=1")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, disk = Path(name), Path(name) / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], check=True)
        try:
            run_series(folder, disk)
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


def run_series(folder: Path, disk: Path) -> None:
    """Start on a larger and larger disk, each time after a start on a read-only one.

    Args:
        folder: empty but for the disk.
        disk: where the small file system is mounted.
    """
    data, run, reference = make_castings(folder / "data"), disk / "run", folder / "reference"
    alone = Start(data, reference, *OPTIONS)
    assert alone.wait() == 0, alone.errors
    faults = 0
    for size in SIZES:
        for option, words in ((f"rw,size={int(size * 1024)}k", "No space"), ("ro", "Read-only")):
            _mount(disk, option)
            before = _finished(run)
            start = Start(data, run, *OPTIONS)
            assert start.wait() == 2, (start.errors, start.lines)
            assert start.errors.count("\n") == 1, start.errors
            assert start.errors.startswith(f"error: {disk}"), start.errors
            assert words in start.errors, start.errors
            assert _finished(run)[: len(before)] == before
            assert not list(run.rglob(".*.tmp*"))
            faults += 1
            print(f"{size} MB, {option}: {start.errors.strip()}", flush=True)
    _mount(disk, "rw,size=1g")
    last = Start(data, run, *OPTIONS)
    assert last.wait() == 0, last.errors
    check_equal(run, reference)
    print(f"{faults} faults, each one line and exit code 2; the end is that of a run left alone")


def _mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def _finished(run: Path) -> list[str]:
    from mindspore_dpus.core.files import read_json
    from mindspore_dpus.core.run_folder import STAGES_FILE

    path = run / STAGES_FILE
    return list(read_json(path)) if path.exists() else []


if __name__ == "__main__":
    main()
