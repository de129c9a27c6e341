"""experiment: see ``mindspore_dpus/cli/experiment.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.experiment import main

if __name__ == "__main__":
    sys.exit(main())
