"""Run a grid of runs and write its tables and figure.

python tools/experiment.py --config configs/experiments/table2.yaml --data.root FOLDER

Any key of a run can follow (--training.epochs 5): it holds for every run. The same command again
goes on where an interrupted grid stopped. Meanwhile status.csv in the experiment's folder shows where
each run stands, and logs/ what it says.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mindspore_dpus.cli.logs import show_progress
from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.core.files import claimed
from mindspore_dpus.experiments.estimate import duration, estimate_seconds
from mindspore_dpus.experiments.finished import is_done, val_score
from mindspore_dpus.experiments.grid import SPLITS, choose, expand
from mindspore_dpus.experiments.loading import load_experiment
from mindspore_dpus.experiments.made_with import mixed
from mindspore_dpus.experiments.result_tables import check_measures, write_results
from mindspore_dpus.experiments.reuse import reuse
from mindspore_dpus.experiments.runner import check_jobs, run_grid
from mindspore_dpus.experiments.searching import parts


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/experiment.py``, ``mindspore-dpus experiment``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, type=Path, help="the experiment's YAML file")
    parser.add_argument("--output", help="folder of the experiment; default: the file's")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="instead of the file's; the tables are of these"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="whose predictions the tables are about; no run changes. Those of another split than the "
        "file's are written into a folder of that name",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="AXIS=VALUE",
        help="run a part of the grid: only these values of these axes. The tables show all that is done",
    )
    parser.add_argument(
        "--reuse",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders of other experiments: their finished runs with the same settings are not repeated. "
        "Settings and paths are compared, not content, so do not use it after data or weights have "
        "changed. The output says if different versions made the runs of a table",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs side by side, each on its own N-th of the CPUs (default: 1). Keep it through a grid: "
        "a run's rounding depends on how many CPUs it has",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the runs and their time")
    show_progress()
    args, options = parser.parse_known_args(args)
    check_jobs(
        args.jobs
    )  # An error is reported now, not after the seconds that a large grid takes to expand.
    experiment = load_experiment(args.config)
    experiment.output = args.output or experiment.output
    experiment.seeds = args.seeds or experiment.seeds
    output = tables = Path(experiment.output)
    own_split = experiment.split
    if args.split not in (None, own_split):
        experiment.split = args.split
        tables = output / args.split
    cases = reuse(expand(experiment, options), args.reuse)
    chosen = choose(experiment, cases, args.only)
    if args.dry_run:
        done = [case for case in cases if is_done(case)]
        todo = [case for case in chosen if case not in done]
        for case in chosen:
            print(f"{'to do' if case in todo else 'done'}  {case.name}")
        seconds = estimate_seconds(todo, done, args.jobs)
        time = "unknown until one is done" if seconds is None else f"about {duration(seconds)}"
        print(f"{len(chosen)} runs, {len(chosen) - len(todo)} done; time left: {time}")
        return 0
    output.mkdir(parents=True, exist_ok=True)
    with claimed(output):
        check = partial(check_measures, experiment)
        score = partial(val_score, experiment.search.by) if experiment.search else None
        for part in parts(experiment.search, chosen, score):
            status = run_grid(cases, output, own_split, args.jobs, part, check, experiment.main_metric)
        write_results(experiment, cases, tables)
    print((tables / "table.md").read_text(encoding="utf-8"))
    if difference := mixed(tables):
        print(difference, file=sys.stderr)
    failed = status[status["status"] == "failed"]
    for _, row in failed.iterrows():
        print(f"failed: {row['run']}: {row['message']}", file=sys.stderr)
    print(f"tables and figure: {tables}")
    return 1 if len(failed) else 0
