"""Progress on the terminal: what the package logs, a line each."""

import logging
import sys


class _Stdout(logging.StreamHandler):
    """Writes to whatever ``sys.stdout`` is when a line comes."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


def show_progress() -> None:
    """Print the lines of the logger ``mindspore_dpus``; once, however often it is called."""
    logger = logging.getLogger("mindspore_dpus")
    if not any(isinstance(handler, _Stdout) for handler in logger.handlers):
        logger.addHandler(_Stdout())
        logger.setLevel(logging.INFO)
        logger.propagate = False
