"""Find traffic signs in frames, folders and videos with a trained run, or with an export and without MindSpore.

python tools/predict.py --run runs/gtsdb FOLDER drive.mp4 --output signs.csv
python tools/predict.py --model EXPORT_FOLDER FOLDER --output signs.json --pictures pictures

Exit code 0: every frame was looked at; 1: some could not be; 2: a wrong call.
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.run_or_export import load_source
from mindspore_dpus.core.errors import UserError, one_line_errors


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/predict.py``, ``mindspore-dpus predict``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a run folder; needs MindSpore")
    source.add_argument("--model", type=Path, help="a folder that tools/export.py has written")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="frames, folders, patterns, videos")
    parser.add_argument("--output", type=Path, default=Path("signs.csv"), help=".csv, or .json: COCO")
    parser.add_argument("--every", type=int, default=1, help="of a video, every so many frames")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="frames with their boxes")
    parser.add_argument("--threads", type=int, help="with --model; default: one a core")
    parser.add_target()
    args = parser.parse_args(args)
    for name in ("every", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; it must be 1 or more")
    # Imported late: a wrong call needs nothing of it.
    from mindspore_dpus.deploy.onnx_detector import OnnxDetector
    from mindspore_dpus.deploy.signs import predict

    detector = load_source(args, "traffic_signs", OnnxDetector)
    done = predict(detector, args.paths, args.output, every=args.every, pictures=args.pictures)
    kept = f" ({done['kept']} of them by an earlier start)" if done["kept"] else ""
    print(
        f"{args.output}: {done['signs']} signs in {done['frames']} frames{kept}, {done['errors']} errors"
    )
    return 1 if done["errors"] else 0
