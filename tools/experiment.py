"""Run a grid of runs and write its tables and figure.

python tools/experiment.py --config configs/experiments/table2.yaml --data.root FOLDER

Any key of a run can follow (--training.epochs 5): it holds for every run. The same command again
goes on where an interrupted grid stopped.
"""

import sys
from pathlib import Path

from mindspore_dpus.cli import OneLineParser
from mindspore_dpus.errors import one_line_errors
from mindspore_dpus.experiments.grid import expand, load_experiment
from mindspore_dpus.experiments.runner import estimate_seconds, is_done, run_grid
from mindspore_dpus.experiments.tables import write_results


@one_line_errors
def main() -> int:
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", required=True, type=Path, help="the experiment's YAML file")
    parser.add_argument("--output", help="folder of the experiment; default: the file's")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of the file's")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and their time")
    args, options = parser.parse_known_args()
    experiment = load_experiment(args.config)
    experiment.output = args.output or experiment.output
    experiment.seeds = args.seeds or experiment.seeds
    cases = expand(experiment, options)
    if args.dry_run:
        for case in cases:
            print(f"{'done' if is_done(case) else 'to do'}  {case.name}")
        seconds = estimate_seconds(cases, cases)
        time = "unknown until one is done" if seconds is None else f"about {seconds / 3600:.1f} h"
        print(f"{len(cases)} runs, {sum(map(is_done, cases))} done; the rest takes {time}")
        return 0
    output = Path(experiment.output)
    status = run_grid(cases, output)
    write_results(experiment, cases, output)
    print((output / "table.md").read_text(encoding="utf-8"))
    failed = status[status["status"] == "failed"]
    for _, row in failed.iterrows():
        print(f"failed: {row['run']}: {row['message']}", file=sys.stderr)
    print(f"tables and figure: {output}")
    return 1 if len(failed) else 0


if __name__ == "__main__":
    sys.exit(main())
