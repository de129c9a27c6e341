"""Find a learning rate by the range test: python tools/lr_range.py --config configs/quickstart.yaml

Fills the run folder up to lr_range.csv and lr_range.svg. Any key can follow, as for tools/train.py.
"""

import sys
from collections.abc import Sequence

import pandas as pd

from mindspore_dpus.cli.logs import show_progress
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems import parse_config, train
from mindspore_dpus.training.lr_range import suggest_rate


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/lr_range.py``, ``mindspore-dpus lr_range``."""
    config = parse_config(sys.argv[1:] if args is None else args, __doc__)
    show_progress()
    run = train(config, ["lr_range"])
    rate = suggest_rate(pd.read_csv(run / "lr_range.csv"))
    print(f"suggested: --training.learning_rate {rate:.3g} (the curve: {run / 'lr_range.svg'})")
