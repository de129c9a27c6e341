"""Lines in the log of which one is enough."""

import functools
import logging


@functools.cache
def say_once(level: int, line: str) -> None:
    """Log a line, if this process has not yet."""
    logging.getLogger(__name__).log(level, line)
