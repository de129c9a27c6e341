"""simulate: see ``mindspore_dpus/cli/simulate.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.simulate import main

if __name__ == "__main__":
    sys.exit(main())
