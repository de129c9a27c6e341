"""lr_range: see ``mindspore_dpus/cli/lr_range.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.lr_range import main

if __name__ == "__main__":
    sys.exit(main())
