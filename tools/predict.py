"""Score images with a trained run.

python tools/predict.py --run runs/castings_mobilenet_v2 FOLDER --output predictions.csv
"""

import sys
from pathlib import Path

from mindspore_dpus.cli import OneLineParser
from mindspore_dpus.errors import one_line_errors
from mindspore_dpus.pipeline import predict


@one_line_errors
def main() -> None:
    parser = OneLineParser(description=__doc__)
    parser.add_run_options()
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="images, folders, patterns, or a CSV with a column path"
    )
    parser.add_argument("--output", type=Path, default=Path("predictions.csv"), help="CSV to write")
    args = parser.parse_args()
    table = predict(args.run, args.paths, args.output, args.target)
    failed = int((table["error"] != "").sum())
    print(f"{args.output}: {len(table)} images, {failed} of them unreadable (see the column error)")
    for label, count in table["predicted"][table["error"] == ""].value_counts().items():
        print(f"{label}: {count}")


if __name__ == "__main__":
    sys.exit(main())
