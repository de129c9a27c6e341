"""Write a trained run so that it can be used without MindSpore: a folder of graphs, detectors and a JSON.

python tools/export.py --run runs/machine_sound --output FOLDER

Nothing is written unless the export gives the run's scores on its test clips, to 0.0001.
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.machine_sound.evaluation import export


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/export.py``, ``mindspore-dpus export``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", required=True, type=Path, help="the run folder")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="of the extractors")
    parser.add_argument("--output", type=Path, help="a new folder; default: export in the run folder")
    args = parser.parse_args(args)
    folder, difference = export(args.run, args.output)
    print(f"{folder}: its scores are the run's to {difference:.1e}")
