"""Write a trained run as three ONNX graphs and a JSON, for detection without MindSpore.

python tools/export.py --run runs/gtsdb --output detector

Nothing can be used unless the graphs give the run's boxes to 0.01 pixels and its scores to 0.0001.
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.traffic_signs.export import export


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/export.py``, ``mindspore-dpus export``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", required=True, type=Path, help="the run folder")
    parser.add_argument("--output", type=Path, help="a folder; default: export in the run folder")
    args = parser.parse_args(args)
    path, found = export(args.run, args.output)
    print(
        f"{path}: on {found['frames']} frames with {found['signs']} detections, boxes are the run's to "
        f"{found['pixels']:.1e} pixels, scores to {found['scores']:.1e}"
    )
