"""The verb ``predict``; the options of each system are in ``cli/systems/<system>_predict.py``."""

from collections.abc import Sequence

from mindspore_dpus.cli.dispatch import run_verb


def main(args: Sequence[str] | None = None) -> int:
    """Call the verb of the system that the command line is about."""
    return run_verb("predict", args)
