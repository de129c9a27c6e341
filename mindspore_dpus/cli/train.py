"""Train and evaluate: python tools/train.py --config configs/quickstart.yaml

The configuration names its system. Any of its keys can follow as an option: --training.epochs 5.
The keys of another system: --system traffic_signs --help, --system machine_sound --help.
"""

import sys
from collections.abc import Sequence

from mindspore_dpus.cli.logs import show_progress
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems import load_system, parse_config, train


@one_line_errors
def main(args: Sequence[str] | None = None) -> None:
    """``tools/train.py``, ``mindspore-dpus train``."""
    config = parse_config(sys.argv[1:] if args is None else args, __doc__)
    show_progress()
    system = load_system(config.system)
    with system.leading(config) as leads:
        if leads:
            print(system.summary(train(config)))
