"""audit: see ``mindspore_dpus/cli/audit.py``, or ``--help``."""

import sys

from mindspore_dpus.cli.audit import main

if __name__ == "__main__":
    sys.exit(main())
