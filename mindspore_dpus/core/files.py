"""Files: written whole or not at all, locked, hashed; JSON."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from mindspore_dpus.core.errors import UserError


@contextmanager
def exclusive(path: Path, wait: bool) -> Iterator[None]:
    """Keep other processes out: a lock that ends with the process.

    Args:
        path: the lock's file; it stays.
        wait: for the one who holds it.

    Raises:
        BlockingIOError: it is held, and ``wait`` is false.
    """
    with open(path, "w") as file:
        lock(file.fileno(), wait)
        yield


def lock(number: int, wait: bool) -> None:
    """Lock an open file, until it is closed, for this process alone.

    Args:
        number: its file descriptor.
        wait: for the one who holds it.

    Raises:
        BlockingIOError: it is held, and ``wait`` is false.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(number, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from None
        return
    fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from filling a folder.

    Raises:
        UserError: one does already.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(folder / ".lock", wait=False))
        except BlockingIOError:
            raise UserError(
                f"{folder} is being filled by another process: wait for it, or choose another folder "
                "for the output"
            ) from None
        yield


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, flush it to disk, then rename it and flush the folder.

    After a power cut there is the old file or the new one, whole; and a file that was written later is
    never there without those written before it.

    Args:
        path: the final name. Its folder is made when missing.

    Yields:
        The temporary name to write to (it keeps the ending). An exception leaves ``path`` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        # A full disk is noticed by write(), which does not know the name.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a new name last: until its folder is on disk, a power cut may take it back."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: is this a finished run folder?") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not readable JSON: delete it and start the run again") from None


def digest(*parts: object) -> str:
    """A short stable hash of values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_regular(path: Path) -> BinaryIO:
    """Open a file that was found in a folder, to read its bytes.

    Raises:
        OSError: it is missing, or a pipe or device, which may neither open nor end.
    """
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return open(path, "rb")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal; ``open_regular`` raises what it cannot read."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Package -> its installed version, or None."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
