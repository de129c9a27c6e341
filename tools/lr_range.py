"""Find a learning rate by the range test: python tools/lr_range.py --config configs/quickstart.yaml

Fills the run folder up to lr_range.csv and lr_range.svg. Any key can follow, as for tools/train.py.
"""

import sys
from pathlib import Path

from mindspore_dpus.core.configuration import parse_config
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.classification.system import find_learning_rate


@one_line_errors
def main() -> None:
    config = parse_config(description=__doc__)
    run, rate = find_learning_rate(config)
    print(f"suggested: --training.learning_rate {rate:.3g} (the curve: {Path(run / 'lr_range.svg')})")


if __name__ == "__main__":
    sys.exit(main())
