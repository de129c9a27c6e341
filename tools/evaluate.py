"""evaluate: see ``mindspore_dpus/cli/evaluate.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
