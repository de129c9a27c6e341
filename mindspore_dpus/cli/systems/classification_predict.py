"""Score images with a trained run, or with an exported graph and without MindSpore.

python tools/predict.py --run runs/castings_mobilenet_v2 FOLDER --output predictions.csv
python tools/predict.py --run runs/castings_mobilenet_v2 FOLDER --heatmaps heatmaps
python tools/predict.py --model model.onnx FOLDER --output predictions.jsonl
python tools/predict.py --model model.onnx --watch FOLDER --output predictions.csv

Exit code 0: all passed; 1: something to look at, a positive or an unreadable image; 2: a wrong call.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.rule_options import add_rule_options, read_rule
from mindspore_dpus.cli.run_or_export import load_source
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.data.images.inputs import expand_paths
from mindspore_dpus.deploy import OnnxPredictor
from mindspore_dpus.deploy.batch import predict_files
from mindspore_dpus.deploy.result_file import FORMATS, format_of
from mindspore_dpus.deploy.rule import go_by, rule_lines
from mindspore_dpus.deploy.watch import watch


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/predict.py``, ``mindspore-dpus predict``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a run folder; needs MindSpore")
    source.add_argument(
        "--model", type=Path, help="an .onnx file of tools/export.py, its .json beside it"
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="images, folders, patterns, or a CSV with a column path"
    )
    parser.add_argument("--watch", type=Path, metavar="DIR", help="score what arrives in DIR")
    parser.add_argument("--output", type=Path, default=Path("predictions.csv"), help="table to write")
    parser.add_argument(
        "--heatmaps",
        type=Path,
        metavar="DIR",
        help="with --run: write where the networks see a defect, for every image that is predicted as a defect",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of --output")
    parser.add_argument(
        "--batch", type=int, help="images scored and written at a time; default: 16, with --run 256"
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="with --watch: for so long a file must stand still before it is read (%(default)s)",
    )
    parser.add_argument("--threads", type=int, help="with --model; default: one a core")
    parser.add_target()
    add_rule_options(parser)
    args = parser.parse_args(args)
    if bool(args.paths) == bool(args.watch):
        raise UserError("name images to score, or a folder with --watch (--help lists the options)")
    for name, value in (("batch", args.batch), ("settle", args.settle), ("threads", args.threads)):
        if value is not None and not value > 0:
            raise UserError(f"--{name} is {value}; it must be above 0")
    if args.heatmaps and (args.watch or args.model):
        raise UserError("--heatmaps is for --run and images named here, not for --watch or --model")
    if args.heatmaps and args.heatmaps.is_file():
        raise UserError(f"--heatmaps {args.heatmaps} is a file; name a folder")
    decision, tiles = read_rule(args)
    files = expand_paths(args.paths)
    scorer = load_source(args, "classification", OnnxPredictor)
    go_by(scorer, decision, tiles)
    if args.heatmaps and scorer.tiles is not None:
        raise UserError(
            "--heatmaps shows whole images, not tiles; the columns tile_x ... say where to look"
        )
    for line in rule_lines(scorer):
        print(line)
    if args.watch:
        say = functools.partial(print, flush=True)
        summary = watch(scorer, args.watch, args.output, args.format, args.settle, args.batch, say)
    else:
        summary = predict_files(scorer, files, args.output, args.format, args.batch)
        if args.heatmaps:
            from mindspore_dpus.systems.classification import evaluation

            kind = args.format or format_of(args.output)
            shown = evaluation.write_heatmaps(scorer, args.output, kind, args.heatmaps, files)
            print(f"{args.heatmaps}: {shown} heatmaps, and heatmaps.csv")
    print("\n".join(summary.lines(args.output)))
    return 1 if summary.look else 0
