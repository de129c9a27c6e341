"""Read spoilt files for a while, and say what came of it:

python -m tests.fuzz --seconds 20
python -m tests.fuzz --seconds 60 --engine atheris --target tiff,dicom --keep fuzzed

atheris is guided by coverage: what reaches new code is spoilt further. Exit code 1: something was found.
"""

import argparse
import faulthandler
import itertools
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60
# What takes longer is told.
SLOW = 5.0
MEMORY = 2 << 30
# What atheris watches. To prepare a module for it takes long, so: only what reads, and of libraries what
# the target is about.
OURS = [
    f"mindspore_dpus.{room}" for room in ("core", "data", "decision", "deploy", "training.checkpoint")
]
LIBRARIES = {"tiff": "tifffile", "dicom": "pydicom"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", help="of tests.fuzz.targets, with commas between; default: all")
    parser.add_argument("--seconds", type=float, default=20, help="for each (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of the engine (%(default)s)")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    parser.add_argument("--keep", type=Path, help="atheris: where its corpus and what was found stay")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine == "hypothesis" and args.keep is not None:
        parser.error("--keep is for atheris; hypothesis shows the smallest input itself")
    if args.inside:
        return _with_atheris(args.target, args.seconds, args.seed, args.keep)
    if args.target is None or "," in args.target:
        from tests.fuzz.targets import TARGETS

        names = list(TARGETS) if args.target is None else args.target.split(",")
    else:
        names = [args.target]
    with tempfile.TemporaryDirectory() as folder:
        if args.engine == "hypothesis" and len(names) == 1:
            return _with_hypothesis(names[0], args.seconds, args.seed, Path(folder))
        # Each in a process of its own: what one leaves in memory is not the next one's.
        options = [f"--seconds={args.seconds}", f"--seed={args.seed}", f"--engine={args.engine}"]
        if args.engine == "hypothesis":
            command = [sys.executable, "-m", "tests.fuzz", *options]
            return max(subprocess.run([*command, f"--target={name}"]).returncode for name in names)
        keep = args.keep or Path(folder)
        found = [_run_atheris(name, options, keep) for name in names]
    number = sum(inputs for inputs, _ in found)
    print(f"{len(names)} readers, {number} inputs, {sum(n for _, n in found)} things found", flush=True)
    return int(any(n for _, n in found))


def _with_hypothesis(name: str, seconds: float, seed: int, folder: Path) -> int:
    import hypothesis

    from tests.fuzz.mutations import spoilt
    from tests.fuzz.targets import TARGETS, run

    target, seeds = TARGETS[name], TARGETS[name].seeds(folder)
    for data in seeds:
        run(target, folder, data)
    before, begin, longest, number = _peak(), time.monotonic(), 0.0, 0
    # What asks for gigabytes fails, and what does not end is shown.
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY, resource.RLIM_INFINITY))

    def check(data: bytes) -> None:
        nonlocal longest, number
        start = time.monotonic()
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        run(target, folder, data)
        faulthandler.cancel_dump_traceback_later()
        longest, number = max(longest, time.monotonic() - start), number + 1

    settings = hypothesis.settings(
        max_examples=20,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    test = settings(hypothesis.given(spoilt(seeds, target.words))(check))
    for number_of_round in itertools.count():
        if time.monotonic() - begin > seconds:
            break
        hypothesis.seed(1000 * seed + number_of_round)(test)()
    print(
        f"{name}: {number} inputs in {time.monotonic() - begin:.0f} s, the longest {longest:.2f} s, "
        f"memory grew by {_peak() - before} MB",
        flush=True,
    )
    return 0


def _run_atheris(name: str, options: list[str], keep: Path) -> tuple[int, int]:
    """Let a process of its own read: how many inputs it had, and how many things it found."""
    place = keep / name
    for folder in ("corpus", "found"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    for file in (place / "found").iterdir():
        file.unlink()
    (place / "count").write_bytes(bytes(16))
    command = [sys.executable, "-m", "tests.fuzz", "--inside", *options]
    with (place / "log.txt").open("w+b") as log:
        # Its own lines: what a reader prints while it reads is found by the growth of this file.
        begin = time.monotonic()
        done = subprocess.run([*command, f"--target={name}", f"--keep={place}"], stdout=log, stderr=log)
        seconds = time.monotonic() - begin
    number, longest = struct.unpack("qd", (place / "count").read_bytes())
    found = sorted((place / "found").glob("*.txt"))
    ended = done.returncode != 0 or number == 0
    print(f"{name}: {number} inputs in {seconds:.0f} s, the longest {longest:.2f} s", flush=True)
    for file in found:
        print(f"  {file}: {file.read_text().strip().splitlines()[-1]}", flush=True)
    if ended:
        print(f"  its process ended with {done.returncode}: see {place / 'log.txt'}", flush=True)
    return number, len(found) + ended


def _with_atheris(name: str, seconds: float, seed: int, place: Path) -> int:
    """Guided by which lines of ours, tifffile's and pydicom's are reached; ends the process itself."""
    import atheris

    watched = [*OURS, *(library for part, library in LIBRARIES.items() if part in name)]
    with atheris.instrument_imports(include=watched):
        from tests.fuzz.targets import TARGETS, run

    target, folder = TARGETS[name], Path(tempfile.mkdtemp())
    for i, data in enumerate(target.seeds(folder)):
        (place / "corpus" / f"seed{i}").write_bytes(data)
    (place / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}", f"-timeout={PATIENCE}"]
    options += [f"-rss_limit_mb={_peak() + (MEMORY >> 20)}", f"-artifact_prefix={place}/found/"]
    options += [f"-dict={place / 'words'}", "-verbosity=1"]
    check = _checker(lambda data: run(target, folder, data), place)
    atheris.Setup([sys.argv[0], *options, str(place / "corpus")], check)
    atheris.Fuzz()
    return 0


def _checker(read: Callable[[bytes], None], place: Path) -> Callable[[bytes], None]:
    """Counts; keeps the first input of each thing that is found, and goes on."""
    count = (place / "count").open("r+b", buffering=0)
    known: set[str] = set()
    number, longest = 0, 0.0

    def keep(where: str, data: bytes, text: str) -> None:
        if where not in known:
            known.add(where)
            (place / "found" / f"{len(known):02d}.bin").write_bytes(data)
            (place / "found" / f"{len(known):02d}.txt").write_text(text)

    def check(data: bytes) -> None:
        nonlocal number, longest
        start = time.monotonic()
        try:
            read(data)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            keep(f"{type(error)} {last.filename} {last.lineno}", data, traceback.format_exc())
        took = time.monotonic() - start
        if took > SLOW:
            keep("slow", data, f"took {took:.1f} s")
        number, longest = number + 1, max(longest, took)
        os.pwrite(count.fileno(), struct.pack("qd", number, longest), 0)

    return check


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _data() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmData")))


if __name__ == "__main__":
    sys.exit(main())
