"""train: see ``mindspore_dpus/cli/train.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
