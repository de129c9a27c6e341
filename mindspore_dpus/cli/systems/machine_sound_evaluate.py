"""Evaluate a trained run, on its own test clips or on other labelled ones; writes the challenge's files.

python tools/evaluate.py --run runs/machine_sound --data.root FOLDER
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.systems.machine_sound.evaluation import evaluate
from mindspore_dpus.systems.machine_sound.leaks import MARK
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/evaluate.py``, ``mindspore-dpus evaluate``."""
    parser = OneLineParser(description=__doc__)
    parser.add_argument("--run", required=True, type=Path, help="the run folder")
    parser.add_argument("--data.root", dest="root", help="recordings; default: the run's own")
    parser.add_argument("--data.manifest", dest="manifest", help="CSV that names the recordings")
    parser.add_argument("--output", type=Path, help="default: evaluations/<data> in the run folder")
    args = parser.parse_args(args)
    if args.manifest and not args.root:
        raise UserError("--data.manifest needs --data.root")
    folder, metrics = evaluate(args.run, args.root, args.manifest, args.output)
    leak = MARK if metrics["leaks"] else ""
    for name, metric in metrics["models"].get(FUSED, {}).items():
        value, interval = value_and_interval(metric)
        print(f"{name:>9}: {value}{interval and f' [{interval}]'}{leak}")
    if metrics["without_score"]:
        print(f"{metrics['without_score']} of {metrics['clips']} clips have no score")
    print(f"scores, metrics and challenge files: {folder}")
