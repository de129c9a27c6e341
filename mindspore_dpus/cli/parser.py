"""The command line of tools with few options; needs nothing but Python."""

import argparse
from pathlib import Path

from mindspore_dpus.core.errors import UserError

TARGETS = ("auto", "CPU", "GPU", "Ascend")


class OneLineParser(argparse.ArgumentParser):
    """For tools with few options: a wrong call is one line, like every other error."""

    def __init__(self, **kwargs) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> None:
        raise UserError(f"{message} (--help lists the options)")

    def add_run_options(self) -> None:
        """What every tool that uses a trained run takes: the run, and a device other than its own."""
        self.add_argument("--run", required=True, type=Path, help="the run folder")
        self.add_target()

    def add_target(self) -> None:
        """A device other than the run's own."""
        self.add_argument("--device.target", dest="target", choices=TARGETS, help="default: the run's")
