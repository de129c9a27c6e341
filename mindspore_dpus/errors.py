"""Errors that a user can mend, and how a command ends on them."""

import errno
import functools
import os
import sys
from collections.abc import Callable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Bad input: the message is one line that names the file or key and says what to do."""


def one_line_errors(command: Callable[[], int | None]) -> Callable[[], int]:
    """Wrap a command-line entry point: errors that a user can mend end it with one line, exit code 2.

    Args:
        command: the entry point; returns an exit code, or None for success.

    Returns:
        The wrapped entry point, which returns the exit code.
    """

    @functools.wraps(command)
    def wrapped() -> int:
        try:
            return command() or 0
        except UserError as error:
            message = " ".join(str(error).split())
        except OSError as error:
            if error.errno == errno.EPIPE:
                # Whoever read our output has closed it (| head): nothing is wrong, nothing can be said.
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115
                return 0
            if error.errno in _FULL:
                advice = "free some space or choose another folder with --output"
            elif error.errno in _FORBIDDEN:
                advice = "ask for the right to use it or choose another folder with --output"
            elif error.filename:
                advice = "choose another place"
            else:
                raise
            message = (
                f"{error.filename or 'a file'}: {error.strerror}; {advice}, then start the same "
                "command again: finished stages are kept"
            )
        except KeyboardInterrupt:
            print("interrupted: start the same command again to go on", file=sys.stderr)
            return EXIT_INTERRUPTED
        print(f"error: {message}", file=sys.stderr)
        return EXIT_USER_ERROR

    return wrapped
