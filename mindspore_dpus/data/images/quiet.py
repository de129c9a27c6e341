"""Libraries that log while they read: the lines have no file's name, the error that follows has."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_here, "reading", 0)


_QUIET = _Quiet()


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Keep a library's log lines from everybody while this thread reads a file with it; others who use
    it in this process hear it as before.

    Args:
        library: name of its logger.
    """
    logging.getLogger(library).addFilter(_QUIET)  # once: a filter is not added again
    _here.reading = getattr(_here, "reading", 0) + 1
    try:
        yield
    finally:
        _here.reading -= 1
