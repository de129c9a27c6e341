"""Lines that C libraries print to standard error while they decode, without the name of the file.

libjpeg, libpng and FFmpeg have no other voice inside OpenCV, nor has mpg123, with which libsndfile looks
whether a file is MP3. While a file is decoded, C's ``stderr`` is a file
in memory; what they printed there is told to the caller, and what others printed meanwhile is passed on.
Python's own ``sys.stderr`` is another matter and stays as it is.
"""

import ctypes
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# libpng's lines, the warnings of libjpeg's jerror.h (its errors come back as an error), mpg123's, and
# FFmpeg's, "[mpeg4 @ 0x5581] header damaged", in colours where standard error is a terminal.
_DECODERS = re.compile(
    rb"libpng (?:warning|error)|Corrupt JPEG data|Premature end of JPEG|Unknown Adobe color transform"
    rb"|Inconsistent progression|Warning: unknown JFIF|Invalid SOS parameters|Application transferred"
    rb"|Note: |\[(?:src/)?libmpg123|\[[^]]+ @ 0x[0-9a-f]+\] "
    # libpng prints the end of a line by itself: of two threads, both may come behind both lines.
    rb"|\s*\Z"
)
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_UNBUFFERED = 2


class _Ear:
    """The file in memory that C prints to while anybody listens.

    Raises:
        OSError, AttributeError, ValueError: this C library has no ``stderr`` that can be exchanged
            (on Windows, with musl): the lines go where they always went.
    """

    def __init__(self) -> None:
        self.library = ctypes.CDLL(None)
        self.stderr = ctypes.c_void_p.in_dll(self.library, "stderr")
        self.old = self.stderr.value
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """A child process has none of its parent's threads that listen, nor their locks, and a place of
        its own in the file."""
        self.stderr.value = self.old
        self.listeners, self.alone, self.changed = 0, False, threading.Condition()
        self.memory = os.memfd_create("printed")
        opened, buffered = self.library.fdopen, self.library.setvbuf
        opened.restype, opened.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_char_p]
        self.new = opened(self.memory, b"w")
        buffered.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        buffered(self.new, None, _UNBUFFERED, 0)

    def open(self, alone: bool) -> int:
        """Listen, or wait until that can be alone; how many bytes were printed before."""
        with self.changed:
            while self.alone or (alone and self.listeners):
                self.changed.wait()
            self.alone = alone
            self.stderr.value = self.new
            self.listeners += 1
            return os.lseek(self.memory, 0, os.SEEK_END)

    def close(self, start: int) -> list[bytes]:
        """Listen no more; the lines that came since ``start``, whoever printed them."""
        with self.changed:
            self.listeners -= 1
            self.alone = False
            end = os.lseek(self.memory, 0, os.SEEK_END)
            lines = []
            if end > start:
                lines = os.pread(self.memory, end - start, start).splitlines(keepends=True)
            if self.listeners == 0:
                self.stderr.value = self.old
                if end:
                    self._pass_on(end)
                self.changed.notify_all()
            return lines

    def _pass_on(self, end: int) -> None:
        """Print what is not the decoders', and forget everything."""
        everything = os.pread(self.memory, end, 0).splitlines(keepends=True)
        os.ftruncate(self.memory, 0)
        os.lseek(self.memory, 0, os.SEEK_SET)
        others = b"".join(line for line in everything if not _DECODERS.match(_plain(line)))
        if others:
            os.write(2, others)


def _plain(line: bytes) -> bytes:
    return _COLOURS.sub(b"", line)


def _make() -> _Ear | None:
    try:
        return _Ear()
    except (OSError, AttributeError, ValueError):
        return None


_ear = _make()


def can_listen() -> bool:
    """Whether lines can be heard on this system."""
    return _ear is not None


@contextmanager
def listening(alone: bool = False) -> Iterator[list[str]]:
    """Keep to ourselves what libjpeg, libpng, FFmpeg and mpg123 print meanwhile.

    Args:
        alone: let no other thread listen, and so decode, at the same time: what is heard is then due to
            this one. Else threads have each other's lines, too.

    Yields:
        A list that is filled at the end with their lines.
    """
    heard: list[str] = []
    if _ear is None:
        yield heard
        return
    start = _ear.open(alone)
    try:
        yield heard
    finally:
        lines = _ear.close(start)
        plain = filter(bytes.strip, map(_plain, lines))
        heard += [line.decode(errors="replace").strip() for line in plain if _DECODERS.match(line)]
