"""predict: see ``mindspore_dpus/cli/predict.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.predict import main

if __name__ == "__main__":
    sys.exit(main())
