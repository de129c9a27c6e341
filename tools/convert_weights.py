"""convert_weights: see ``mindspore_dpus/cli/convert_weights.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.convert_weights import main

if __name__ == "__main__":
    sys.exit(main())
