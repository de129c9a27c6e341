"""Read spoilt files for a while, and say what came of it:

python -m tests.fuzz --seconds 20
python -m tests.fuzz --seconds 60 --target tiff --engine atheris
"""

import argparse
import faulthandler
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 60
MEMORY = 2 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", help="one of tests.fuzz.targets; default: all, one after another")
    parser.add_argument("--seconds", type=float, default=20, help="for each (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of hypothesis (%(default)s)")
    parser.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    args = parser.parse_args()
    if args.target is None:
        from tests.fuzz.targets import TARGETS

        # Each in a process of its own: what one leaves in memory is not the next one's.
        options = [f"--seconds={args.seconds}", f"--seed={args.seed}", f"--engine={args.engine}"]
        command = [sys.executable, "-m", "tests.fuzz", *options]
        codes = [subprocess.run([*command, f"--target={name}"]).returncode for name in TARGETS]
        return max(codes)
    with tempfile.TemporaryDirectory() as folder:
        engine = _with_atheris if args.engine == "atheris" else _with_hypothesis
        return engine(args.target, args.seconds, args.seed, Path(folder))


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


def _with_atheris(name: str, seconds: float, seed: int, folder: Path) -> int:
    """Guided by which lines of ours, tifffile's and pydicom's are reached; ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=["mindspore_dpus", "pydicom", "tifffile"]):
        from tests.fuzz.targets import TARGETS, run

    target, corpus = TARGETS[name], folder / "corpus"
    corpus.mkdir()
    for i, data in enumerate(target.seeds(folder)):
        (corpus / str(i)).write_bytes(data)
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}", f"-timeout={PATIENCE}"]
    options += [f"-rss_limit_mb={_peak() + (MEMORY >> 20)}", f"-artifact_prefix={name}-"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: run(target, folder, data))
    atheris.Fuzz()
    return 0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _data() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmData")))


if __name__ == "__main__":
    sys.exit(main())
