"""export: see ``mindspore_dpus/cli/export.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
