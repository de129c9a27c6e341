"""Evaluate a trained run, on its own test split or on other labelled images.

python tools/evaluate.py --run runs/castings_mobilenet_v2 --data.root FOLDER
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.rule_options import add_rule_options, read_rule
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.classification.evaluation import Evaluation, evaluate


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/evaluate.py``, ``mindspore-dpus evaluate``."""
    parser = OneLineParser(description=__doc__)
    parser.add_run_options()
    parser.add_argument("--data.root", dest="root", help="labelled images; default: the run's own")
    parser.add_argument("--data.manifest", dest="manifest", help="CSV with the columns path,label")
    parser.add_argument(
        "--data.allow_outside_root",
        dest="allow_outside_root",
        action="store_true",
        help="let the CSV name files outside the folder",
    )
    parser.add_argument(
        "--split",
        default="auto",
        choices=("auto", "train", "val", "test", "all"),
        help="which images; auto: test where the data names it, else all",
    )
    parser.add_argument("--output", type=Path, help="default: evaluations/<data> in the run folder")
    parser.add_argument(
        "--localisation",
        action="store_true",
        help="also: do heatmaps peak in the annotated boxes (columns box_x, box_y, box_w, box_h)?",
    )
    add_rule_options(parser)
    parser.add_argument(
        "--decide",
        action="store_true",
        help="choose a threshold on these images, by the run's rule; use it elsewhere with --decision",
    )
    args = parser.parse_args(args)
    decision, tiles = read_rule(args)
    asked = Evaluation(
        root=args.root,
        manifest=args.manifest,
        allow_outside_root=args.allow_outside_root,
        split=args.split,
        output=args.output,
        target=args.target,
        localisation=args.localisation,
        decision=decision,
        tiles=tiles,
        choose=args.decide,
    )
    folder, _, lines = evaluate(args.run, asked)
    print("\n".join([*lines, f"predictions and metrics: {folder}"]))
