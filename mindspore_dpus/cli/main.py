"""``mindspore-dpus VERB ...``: the same commands as the scripts in ``tools/``, for an installed package."""

import importlib
import sys
from collections.abc import Sequence

from mindspore_dpus.core.choices import unknown
from mindspore_dpus.core.errors import UserError, one_line_errors

# Verb -> what it is for. Each is a module of this room with a function ``main``.
VERBS = {
    "train": "train and evaluate",
    "evaluate": "evaluate a trained run, on its own or on other labelled images",
    "predict": "score images with a trained run, or with an exported graph and without MindSpore",
    "export": "write a trained run as one graph",
    "experiment": "run a grid of runs and write its tables and figures",
    "audit": "look for duplicates, leaks and odd files in a data set",
    "simulate": "write simulated data with known truth",
    "cluster_range": "see what the number of clusters preserves, before training",
    "lr_range": "find a learning rate by the range test",
    "convert_weights": "convert weights to the names of our networks",
}


@one_line_errors
def main(args: Sequence[str] | None = None) -> int:
    """The entry point of the package.

    Args:
        args: verb and options; None: of the command line.

    Returns:
        The exit code of the verb.
    """
    args = list(sys.argv[1:] if args is None else args)
    if not args or args[0] in ("-h", "--help"):
        print("mindspore-dpus VERB [--help] ...\n")
        print("\n".join(f"  {verb:16} {text}" for verb, text in VERBS.items()))
        return 0
    verb = args.pop(0).replace("-", "_")
    if verb not in VERBS:
        raise UserError(str(unknown("the verb", verb, VERBS)))
    return importlib.import_module(f"mindspore_dpus.cli.{verb}").main(args)


if __name__ == "__main__":
    sys.exit(main())
