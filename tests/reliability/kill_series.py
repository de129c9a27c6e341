"""Kill a training at random moments, many times; what comes out is that of one that was left alone:

python -m tests.reliability.kill_series --kills 30 --seed 0
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.reliability.starts import (
    Start,
    check_equal,
    check_no_epoch_twice,
    make_castings,
    saved_epochs,
)

OPTIONS = ("--training.epochs=3",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="at least so many (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="and no longer (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    args = parser.parse_args()
    # How MindSpore rounds depends on the number of cores: with one, members in turn and side by side
    # must give the same.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        run_series(Path(folder), args.kills, 60 * args.minutes, np.random.default_rng(args.seed))


def run_series(folder: Path, kills: int, seconds: float, rng: np.random.Generator) -> None:
    """Train to the end again and again, until so many starts were killed.

    Args:
        folder: empty.
        kills: how many.
        seconds: after which nothing is killed any more.
        rng: draws the moments, and whether members train side by side.
    """
    begin = time.monotonic()
    data, run, reference = make_castings(folder / "data"), folder / "run", folder / "reference"
    whole = Start(data, reference, *OPTIONS, "--device.processes=1")
    assert whole.wait() == 0, whole.errors
    length = time.monotonic() - begin
    print(f"left alone, the training takes {length:.1f} s", flush=True)
    places, finished = Counter(), 0
    enough = False
    while not enough or run.exists():
        before = saved_epochs(run)
        # A fifth of the starts side by side: they take longer to begin.
        processes, share = (2, 1.5) if rng.random() < 0.2 else (1, 1.0)
        enough = places.total() >= kills or time.monotonic() - begin > seconds
        start = Start(data, run, *OPTIONS, f"--device.processes={processes}")
        # Rather early than late: what is finished is not done again, so later starts have less to do.
        code = start.wait(1200 if enough else share * length * rng.beta(1, 2))
        if code is None:
            start.kill()
            place = start.lines[-1].strip().split(":")[0] if start.lines else "loading"
            places[place] += 1
            print(f"kill {places.total()}, {processes} processes: {place}", flush=True)
        check_no_epoch_twice(before, start.epochs)
        after = saved_epochs(run)
        assert all(after[name] >= before[name] for name in before), (before, after)
        if code is not None:
            assert code == 0, start.errors
            check_equal(run, reference)
            shutil.rmtree(run)
            finished += 1
            print(f"finished: equal to the one that was left alone ({finished})", flush=True)
    print(
        f"{places.total()} kills in {time.monotonic() - begin:.0f} s, {finished} trainings finished and "
        "equal to the last bit; no finished epoch was trained twice. Last words before the kills:"
    )
    for place, count in sorted(places.items()):
        print(f"  {place}: {count}")


if __name__ == "__main__":
    main()
