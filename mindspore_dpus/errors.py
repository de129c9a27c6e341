"""Errors that a user can mend, and how a command ends on them."""

import errno
import functools
import sys
from collections.abc import Callable

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
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
            if error.errno not in _DISK_ERRORS:
                raise
            message = (
                f"cannot write {error.filename or 'a file'}: {error.strerror}; free some space or "
                "choose another folder with --output, then start the same command again: finished "
                "stages are kept"
            )
        except KeyboardInterrupt:
            print("interrupted: start the same command again to go on", file=sys.stderr)
            return EXIT_INTERRUPTED
        print(f"error: {message}", file=sys.stderr)
        return EXIT_USER_ERROR

    return wrapped
