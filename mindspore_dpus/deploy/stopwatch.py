"""Where the time of a frame goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds of named steps.

    Attributes:
        seconds: name -> sum.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Add the time of the block to a step's."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def ms(self, names: tuple[str, ...], count: int) -> dict[str, float]:
        """Milliseconds of each step, a mean over so many frames; 0 of one that was never taken."""
        return {name: 1000 * self.seconds.get(name, 0.0) / max(count, 1) for name in names}
