"""Errors that a user can mend, and how a command ends on them."""

import errno
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says what to do."""


def explain(error: Exception, path: Path | None = None) -> str:
    """What was raised while a file was read, whatever it was, as the end of a sentence that begins with
    the file.

    Args:
        error: of any type.
        path: the file, where it may be missing.
    """
    if isinstance(error, FileNotFoundError) and path is not None:
        if path.is_symlink():
            return f"is a link to {path.readlink()}, which does not exist"
        return "does not exist"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    reason = " ".join(str(error).split())
    return f"cannot be read: {type(error).__name__}" + (f" ({reason})" if reason else "")


def one_line(text: object) -> str:
    """Text, such as a file's name, of one line that any encoding of Unicode can hold: control characters
    and bytes that are no UTF-8 are written as escapes."""
    text = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(
        c.encode("unicode_escape").decode() if c < " " or c in "\x7f\x85\u2028\u2029" else c
        for c in text
    )


class Terminated(KeyboardInterrupt):
    """SIGTERM, which whoever shuts a machine or a job down sends: it ends a command as Ctrl-C does."""


def one_line_errors(command: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command-line entry point: errors that a user can mend end it with one line, exit code 2.

    Ctrl-C ends it with one line and 130, SIGTERM with one line and 143.

    Args:
        command: the entry point; returns an exit code, or None for success.

    Returns:
        The wrapped entry point, which returns the exit code.
    """

    @functools.wraps(command)
    def wrapped(*args) -> int:
        try:
            with terminated_by_signal():
                return command(*args) or 0
        except UserError as error:
            message = " ".join(str(error).split())
        except OSError as error:
            if error.errno == errno.EPIPE:
                # Whoever read our output has closed it (| head): nothing is wrong, nothing can be said.
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115
                return 0
            if error.errno in _FULL:
                advice = "free some space or choose another output folder"
            elif error.errno in _FORBIDDEN:
                advice = "ask for the right to use it or choose another output folder"
            elif error.filename:
                advice = "choose another place"
            else:
                raise
            message = (
                f"{error.filename or 'a file'}: {error.strerror}; {advice}, then start the same "
                "command again: finished stages are kept"
            )
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            word = "terminated" if terminated else "interrupted"
            print(f"{word}: start the same command again to go on", file=sys.stderr)
            return EXIT_TERMINATED if terminated else EXIT_INTERRUPTED
        print(f"error: {message}", file=sys.stderr)
        return EXIT_USER_ERROR

    return wrapped


@contextmanager
def terminated_by_signal() -> Iterator[None]:
    """Let SIGTERM raise ``Terminated``; where it is ignored, or another thread runs this, leave it."""

    def terminate(*_) -> None:
        raise Terminated

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
