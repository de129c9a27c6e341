"""Evaluate a trained run on other annotated frames.

python tools/evaluate.py --run runs/gtsdb --data.root FOLDER
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.data.boxes.registry import AUTO, FORMATS
from mindspore_dpus.systems.traffic_signs.evaluation import Evaluation, evaluate


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/evaluate.py``, ``mindspore-dpus evaluate``."""
    parser = OneLineParser(description=__doc__)
    parser.add_run_options()
    parser.add_argument("--data.root", dest="root", required=True, type=Path, help="annotated frames")
    parser.add_argument(
        "--data.boxes", dest="boxes", type=Path, help="default: boxes.csv or gt.txt in the folder"
    )
    parser.add_argument(
        "--data.format",
        dest="format",
        default=AUTO,
        choices=(AUTO, *FORMATS),
        help="of the boxes; auto: by their content",
    )
    parser.add_argument(
        "--data.list_frames",
        dest="list_frames",
        action="store_true",
        help="every image in the folder is a frame, also those that the boxes do not name",
    )
    parser.add_argument("--split", default="all", choices=("train", "val", "test", "all"))
    parser.add_argument("--output", type=Path, help="default: evaluations/<folder> in the run folder")
    args = parser.parse_args(args)
    asked = Evaluation(
        args.root,
        args.boxes,
        args.format,
        args.list_frames,
        args.split,
        args.output,
        args.target,
    )
    folder, lines = evaluate(args.run, asked)
    print("\n".join([*lines, f"detections and metrics: {folder}"]))
