"""Measure how time and memory of every stage grow with images, clusters, subsets and image size.

python tools/growth.py --output runs/growth
python tools/growth.py --output runs/growth --axes images=1000,2000 pixels=64,128

Whole runs on simulated radiographs, one after another; growth.csv has every stage of each, growth.md how
each stage's time grows, growth.svg both as a figure. Some seventeen minutes on two quiet cores.
"""

import argparse
import sys
from pathlib import Path

from benchmarking.growth import (
    AXES,
    Sizes,
    exponents,
    measure_growth,
    plot,
)

from mindspore_dpus.cli.parser import TARGETS, OneLineParser
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.core.files import write_text
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.markup import markdown

DEFAULT = ["images=500,1000,2000,4000", "clusters=2,5,10,20", "subsets=1,3,6,12", "pixels=32,64,128,224"]


@one_line_errors
def main() -> None:
    parser = OneLineParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--axes", type=_values, nargs="+", help=f"of {', '.join(AXES)}: values ({' '.join(DEFAULT)})"
    )
    parser.add_argument("--device.target", dest="target", choices=TARGETS, default="auto")
    args = parser.parse_args()
    if args.output.is_file():
        raise UserError(f"--output {args.output} is a file; name a folder")
    args.output.mkdir(parents=True, exist_ok=True)
    axes = dict(args.axes or map(_values, DEFAULT))
    table = measure_growth(
        axes, Sizes(), args.target, lambda line: print(line, file=sys.stderr, flush=True)
    )
    write_table(table, args.output / "growth.csv")
    shown = markdown(exponents(table).astype(str))
    write_text(args.output / "growth.md", shown)
    write_text(args.output / "growth.svg", plot(table))
    print(shown, end="")
    print(f"table and figure: {args.output}")


def _values(text: str) -> tuple[str, list[int]]:
    """``images=1000,2000`` -> its axis and values."""
    axis, _, values = text.partition("=")
    if axis not in AXES:
        raise argparse.ArgumentTypeError(f"{axis!r} is no axis: use {', '.join(AXES)}")
    numbers = values.split(",")
    if not all(n.isascii() and n.isdigit() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: use whole numbers by comma, such as {axis}=10,20")
    return axis, sorted({int(n) for n in numbers})


if __name__ == "__main__":
    sys.exit(main())
