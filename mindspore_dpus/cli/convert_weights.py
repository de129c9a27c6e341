"""Convert weights to the names of our Cells, and say what fits.

python tools/convert_weights.py --backbone resnet18 SOURCE weights/resnet18_imagenet.safetensors
"""

from collections.abc import Sequence
from pathlib import Path

from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.core.errors import one_line_errors


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/convert_weights.py``, ``mindspore-dpus convert_weights``."""
    parser = OneLineParser(description=__doc__)
    parser.add_argument("--backbone", required=True, help="resnet18, mobilenet_v2 or a mindcv model")
    parser.add_argument("--num_classes", type=int, default=1000, help="classes of the checkpoint")
    parser.add_argument("source", type=Path, help=".safetensors or MindSpore .ckpt")
    parser.add_argument("target", type=Path, help=".safetensors to write")
    args = parser.parse_args(args)
    # Imported late: a wrong call needs no MindSpore.
    from mindspore_dpus.models.factory import create_model
    from mindspore_dpus.models.weights import get_state, load_weights
    from mindspore_dpus.training.checkpoint import save_checkpoint

    net = create_model(args.backbone, args.num_classes)
    report = load_weights(net, args.source, allow_fresh=["*"])
    state = get_state(net)
    save_checkpoint(
        args.target,
        {name: state[name] for name in report.loaded},
        {"backbone": args.backbone, "source": args.source.name},
    )
    print(f"{args.target}: {len(report.loaded)} parameters")
    if report.fresh:
        print(f"not in {args.source}: {', '.join(report.fresh)}")
