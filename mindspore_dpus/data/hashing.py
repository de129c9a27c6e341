"""What files hold, as hashes; remembered, so that a large data set is read for it only once."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.bars import bar
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic, file_hash
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.data.images.folders import leads_nowhere
from mindspore_dpus.data.images.frames import split_frame

COLUMNS = ["path", "size", "mtime_ns", "sha256"]


def content_hashes(paths: Sequence[str], root: Path, memory: Path) -> list[str]:
    """SHA-256 of each file.

    Args:
        paths: file names, relative to ``root``; a frame's name stands for its file.
        root: the data root.
        memory: a CSV of hashes already known, extended here. A line counts while the file has the
            size and the time of change that it had then.

    Returns:
        The hashes, in the order of ``paths``; empty for a file that cannot be read (whoever decodes it
        says why).

    Raises:
        UserError: a file does not exist.
    """
    known = _recall(memory)
    root = root.resolve()
    keys = [_state(split_frame(root / path)[0]) for path in paths]
    new = [key for key in dict.fromkeys(keys) if key not in known]
    if new:
        hashes = in_threads(_hash, (key[0] for key in new))
        known |= zip(new, bar(hashes, "hashes", len(new)), strict=True)
        _remember(known, memory)
    return [known[key] for key in keys]


def fingerprint(paths: Sequence[str], root: Path, memory: Path) -> str:
    """One hash of all files' names and contents; arguments as for :func:`content_hashes`.

    Moving, copying or touching the files changes nothing.
    """
    return combined_hash(paths, content_hashes(paths, root, memory))


def combined_hash(paths: Sequence[str], contents: Sequence[str]) -> str:
    """One hash of names and the hashes of what they hold (``content_hashes``)."""
    state = hashlib.sha256()
    for path, content in zip(paths, contents, strict=True):
        state.update(f"{path}\0{content}\n".encode())
    return state.hexdigest()[:16]


def _state(path: Path) -> tuple[str, int, int]:
    try:
        # A link that leads nowhere is there, and cannot be read.
        stat = path.lstat() if leads_nowhere(path) else path.stat()
    except OSError:
        raise UserError(f"{path} does not exist, but the sample table names it") from None
    return str(path), stat.st_size, stat.st_mtime_ns


def _hash(path: str) -> str:
    try:
        return file_hash(Path(path))
    except OSError:
        return ""


def _recall(memory: Path) -> dict[tuple[str, int, int], str]:
    try:
        table = pd.read_csv(memory, keep_default_na=False, dtype={"path": str, "sha256": str})
        rows = table[COLUMNS].itertuples(index=False, name=None)
        return {(path, size, mtime): content for path, size, mtime, content in rows}
    except (FileNotFoundError, ValueError, KeyError):
        # Nothing is lost with it: what a damaged or foreign file does not say is read again.
        return {}


def _remember(known: dict[tuple[str, int, int], str], memory: Path) -> None:
    newest = {
        path: (path, size, mtime, content) for (path, size, mtime), content in known.items() if content
    }
    with atomic(memory) as temporary:
        pd.DataFrame(newest.values(), columns=COLUMNS).to_csv(temporary, index=False)
