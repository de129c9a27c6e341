"""Train and evaluate a fused ensemble: python tools/train.py --config configs/quickstart.yaml"""

import sys

from mindspore_dpus.cli.terminal import summary
from mindspore_dpus.core.configuration import parse_config
from mindspore_dpus.core.errors import one_line_errors
from mindspore_dpus.systems.classification.system import leading, train


@one_line_errors
def main() -> None:
    config = parse_config(description=__doc__)
    with leading(config) as leads:
        if leads:
            print(summary(train(config)))


if __name__ == "__main__":
    sys.exit(main())
