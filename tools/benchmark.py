"""Measure speed and peak memory of the product, beside torch where it is installed.

python tools/benchmark.py
python tools/benchmark.py --only step,extract --repeats 9 --output benchmark.json

Every line is measured in processes of its own, in two rounds, ours and torch in turn. A ratio above 1
means that the first is the faster one; `torch/ours` compares processor time, of all threads. A machine
that does other work meanwhile gives other numbers.
"""

import argparse
import dataclasses
import os
import platform
import sys
from pathlib import Path
from typing import get_args, get_type_hints

from benchmarking.measuring import installed, measure
from benchmarking.parts import PARTS, Settings, all_work, only_lines, plan
from benchmarking.results import Line, Summary, busy, number, ratio, summarise, table

from mindspore_dpus.cli.parser import TARGETS, OneLineParser
from mindspore_dpus.core.device_settings import DeviceSettings
from mindspore_dpus.core.errors import UserError, one_line_errors
from mindspore_dpus.core.files import versions, write_json
from mindspore_dpus.core.processes import available_cpus

PACKAGES = ("mindspore", "torch", "onnxruntime", "numpy", "numba", "scikit-learn", "opencv-python")


@one_line_errors
def main() -> None:
    args = _parser().parse_args()
    if args.output is not None:
        # Now, not after minutes of measurements.
        if args.output.is_dir():
            raise UserError(f"--output {args.output} is a folder; name a file")
        args.output.parent.mkdir(parents=True, exist_ok=True)
    with_torch = installed("torch") and not args.without_torch
    with_onnx = installed("onnx", "onnxruntime")
    settings = Settings(
        args.image_size,
        args.batch_size,
        tuple(dict.fromkeys(args.samples)),
        args.target,
        args.kernels,
        with_torch,
        with_onnx,
        installed("imagecodecs"),
        args.epochs,
    )
    rows, comparisons = plan(args.only, settings)
    if args.lines is not None:
        rows, comparisons = only_lines(rows, comparisons, args.lines)
    environment = _environment()
    samples = measure(
        all_work(rows, comparisons), args.repeats, lambda line: print(line, file=sys.stderr, flush=True)
    )
    found = {work: summarise(rounds) for work, rounds in samples.items()}
    lines = [
        Line(row.name, row.unit, found[row.ours], found[row.torch] if row.torch else None)
        for row in rows
    ]
    print(table(lines))
    ratios = {one.name: ratio(found[one.ours], found[one.than]) for one in comparisons}
    for name, value in ratios.items():
        print(f"{name}: {number(value)}")
    if note := busy(environment["load_before"], environment["cores"]):
        print(note)
    if args.output is not None:
        chosen = dataclasses.asdict(settings) | {"repeats": args.repeats}
        chosen |= {"only": args.only, "lines": args.lines}
        measured = [
            {"part": row.part, "name": line.name, "unit": line.unit}
            | {"ours": _plain(line.ours, row.unit), "torch": _plain(line.torch, row.unit)}
            | {"ratio": line.ratio, "cpu_ratio": line.cpu_ratio}
            for row, line in zip(rows, lines, strict=True)
        ]
        content = {"environment": environment, "settings": chosen, "lines": measured, "ratios": ratios}
        write_json(args.output, content)


def _parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__)
    parser.add_argument(
        "--only", type=_parts, default=list(PARTS), help=f"parts, by comma: {','.join(PARTS)}"
    )
    parser.add_argument("--lines", nargs="+", help="only these lines of the parts, by their names")
    parser.add_argument("--repeats", type=_within(1, 1000), default=5, help="calls a median is of (5)")
    parser.add_argument("--image-size", type=_within(32, 2048), default=224, help="pixels a side (224)")
    parser.add_argument("--batch-size", type=_within(2, 1024), default=16, help="of a step (16)")
    parser.add_argument("--epochs", type=_within(1, 1000), default=2, help="of a whole training (2)")
    parser.add_argument(
        "--samples",
        # Below, the sampler's 128 components would be fewer: another work.
        type=_within(1280, 1_000_000),
        nargs="+",
        default=[2400, 20000],
        help="majority samples of the sampler, 1280 to 1000000 (2400 20000)",
    )
    parser.add_argument("--device.target", dest="target", choices=TARGETS, default="auto")
    parser.add_argument(
        "--device.fast_kernels",
        dest="kernels",
        choices=get_args(get_type_hints(DeviceSettings)["fast_kernels"]),
        default=DeviceSettings.fast_kernels,
        help=f"what replaces MindSpore's operations on a CPU ({DeviceSettings.fast_kernels})",
    )
    parser.add_argument("--without-torch", action="store_true", help="do not compare")
    parser.add_argument("--output", type=Path, help="JSON file to write, with every setting and version")
    return parser


def _parts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is no part: use {', '.join(PARTS)}")
    return names


def _within(low: int, high: int):
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def _plain(summary: Summary | None, unit: str) -> dict | None:
    """A summary for JSON: its table's number first."""
    if summary is None:
        return None
    return {"value": summary.value(unit)} | dataclasses.asdict(summary)


def _environment() -> dict:
    load = os.getloadavg()[0]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(available_cpus()),
        "load_before": round(load, 2),
        "versions": versions(PACKAGES),
    }


if __name__ == "__main__":
    sys.exit(main())
