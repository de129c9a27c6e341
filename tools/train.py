"""Train and evaluate a fused ensemble: python tools/train.py --config configs/quickstart.yaml"""

import sys

from mindspore_dpus.cli import parse_config
from mindspore_dpus.errors import one_line_errors
from mindspore_dpus.pipeline import leading, train
from mindspore_dpus.terminal import summary


@one_line_errors
def main() -> None:
    config = parse_config(description=__doc__)
    with leading(config) as leads:
        if leads:
            print(summary(train(config)))


if __name__ == "__main__":
    sys.exit(main())
