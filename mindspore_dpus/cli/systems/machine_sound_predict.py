"""Score recordings with a trained run, or with an export and without MindSpore.

python tools/predict.py --run runs/machine_sound FOLDER --output scores.csv
python tools/predict.py --model EXPORT_FOLDER CLIP.wav --machine fan --section 00
arecord -f S16_LE -r 16000 -c 1 -t raw | python tools/predict.py --model EXPORT_FOLDER --stream s16le \
    --machine fan --section 00 --window 5 --hop 1
python tools/predict.py --model EXPORT_FOLDER --stream microphone --machine fan --section 00
python tools/predict.py --model EXPORT_FOLDER --watch FOLDER --output scores.csv

Whose a file is, its folders and name say as DCASE names them, or --machine and --section.
Exit code 0: all passed; 1: something to look at, an anomaly or an unreadable file; 2: a wrong call.
"""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.run_or_export import load_source
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.data.audio.reading import is_clip
from mindspore_dpus.data.audio.stream import FORMATS, MICROPHONE, microphone_blocks, pcm_blocks
from mindspore_dpus.data.images.inputs import find_input
from mindspore_dpus.deploy.onnx_sound import OnnxSoundPredictor
from mindspore_dpus.deploy.sound import predict_sound, predict_stream
from mindspore_dpus.deploy.sound_watch import watch_sound


def _files(paths: Sequence[str]) -> list[Path]:
    # A file that is missing has a row of its own.
    files = [file for path in paths for file in find_input(path, is_clip)]
    if not files:
        raise UserError(f"there are no clips in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(files))


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """``tools/predict.py``, ``mindspore-dpus predict``."""
    parser = OneLineParser(description=__doc__, allow_abbrev=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a run folder; needs MindSpore")
    source.add_argument("--model", type=Path, help="a folder that tools/export.py has written")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="recordings, folders of them, patterns, or a CSV with a column path",
    )
    parser.add_argument("--machine", help="whose the recordings are; default: their folders say it")
    parser.add_argument("--section", help="likewise; default: their names say it")
    parser.add_argument("--output", type=Path, default=Path("scores.csv"), help="table to write")
    parser.add_argument(
        "--stream",
        choices=(*FORMATS, MICROPHONE),
        help="raw samples of one channel from standard input; or a microphone (extra microphone), until "
        "Ctrl-C",
    )
    parser.add_argument("--watch", type=Path, metavar="DIR", help="score what arrives in DIR")
    parser.add_argument(
        "--settle",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="with --watch: for so long a file must stand still before it is read (%(default)s)",
    )
    parser.add_argument(
        "--window", type=float, default=10.0, help="with --stream: seconds that are scored"
    )
    parser.add_argument(
        "--hop", type=float, default=1.0, help="with --stream: seconds between two scores"
    )
    parser.add_argument("--threads", type=int, help="with --model; default: one a core")
    parser.add_target()
    args = parser.parse_args(args)
    if sum(map(bool, (args.paths, args.stream, args.watch))) != 1:
        raise UserError(
            "name recordings or folders to score, or --stream, or --watch (--help lists the options)"
        )
    for name in ("window", "hop", "threads", "settle"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} is {value}; it must be above 0")
    if args.stream:
        return _stream(args)
    if args.watch:
        return _watch(args)
    files = _files(args.paths)
    scorer = load_source(args, "machine_sound", OnnxSoundPredictor)
    summary = predict_sound(scorer, files, args.output, args.machine, args.section)
    print("\n".join(summary.lines(args.output)))
    return int(summary.look > 0)


def _stream(args) -> int:
    if args.machine is None or args.section is None:
        raise UserError("--stream needs --machine and --section")
    scorer = load_source(args, "machine_sound", OnnxSoundPredictor)
    rate = scorer.front.audio.rate
    block = max(1, round(args.hop * rate))
    if args.stream == MICROPHONE:
        blocks = microphone_blocks(rate=rate, block=block)
    else:
        blocks = pcm_blocks(sys.stdin.buffer, sample_format=args.stream, block=block)
    summary = predict_stream(
        *(scorer, blocks, args.output, args.machine, args.section),
        window_seconds=args.window,
        hop_seconds=args.hop,
        report=functools.partial(print, flush=True),
    )
    print("\n".join(summary.lines(args.output, "windows")))
    return int(summary.look > 0)


def _watch(args) -> int:
    say = functools.partial(print, flush=True)
    scored, look = watch_sound(
        *(
            load_source(args, "machine_sound", OnnxSoundPredictor),
            args.watch,
            args.output,
            args.machine,
            args.section,
            args.settle,
            say,
        )
    )
    print(f"{args.output}: {scored} recordings scored, {look} to look at")
    return int(look > 0)
