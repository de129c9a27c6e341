"""Find traffic signs in frames, folders and videos with a trained run.

python tools/predict.py --run runs/gtsdb FOLDER drive.mp4 --output signs.csv
python tools/predict.py --run runs/gtsdb FOLDER --output signs.json --pictures pictures

Exit code 0: every frame was looked at; 1: some could not be; 2: a wrong call.
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.options import OneLineParser
from mindspore_dpus.core.errors import one_line_errors


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/predict.py``, ``mindspore-dpus predict``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    parser.add_run_options()
    parser.add_argument("paths", nargs="+", metavar="PATH", help="frames, folders, patterns, videos")
    parser.add_argument("--output", type=Path, default=Path("signs.csv"), help=".csv, or .json: COCO")
    parser.add_argument("--every", type=int, default=1, help="of a video, every so many frames")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="frames with their boxes")
    args = parser.parse_args(args)
    # Imported late: a wrong call needs nothing of it.
    from mindspore_dpus.systems.traffic_signs.evaluation import load_run, predict

    _, config, detector = load_run(args.run, args.target)
    done = predict(
        detector,
        args.paths,
        args.output,
        every=args.every,
        max_pixels=config.data.max_pixels,
        pictures=args.pictures,
    )
    print(f"{args.output}: {done['signs']} signs in {done['frames']} frames, {done['errors']} errors")
    return 1 if done["errors"] else 0
