"""Write a trained run as one graph for prediction, with a JSON beside it that says how to use it.

python tools/export.py --run runs/castings_mobilenet_v2 --format onnx --output model.onnx

Nothing is written unless the graph gives the run's scores on real images, to 0.0001.
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.rule_options import add_decision_option, read_decision
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.deploy.bundle import json_path
from mindspore_dpus.systems.classification.evaluation import export


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/export.py``, ``mindspore-dpus export``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", required=True, type=Path, help="the run folder")
    parser.add_argument("--format", required=True, choices=("onnx", "mindir"), help="of the graph")
    parser.add_argument("--output", type=Path, help="default: export/model.<format> in the run folder")
    parser.add_argument(
        "--images", nargs="+", help="real images to compare on; default: the run's test split"
    )
    add_decision_option(parser)
    args = parser.parse_args(args)
    path, bundle = export(args.run, args.format, args.output, args.images, read_decision(args))
    print(
        f"{path} ({path.stat().st_size / 2**20:.1f} MB) and {json_path(path).name}: "
        f"{len(bundle.members)} members; on {bundle.agreement['images']} images its scores are the "
        f"run's to {bundle.agreement['largest_difference']:.1e}"
    )
