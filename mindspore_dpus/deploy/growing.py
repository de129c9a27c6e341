"""A table that grows row by row under another name; whoever is interrupted goes on with it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.frames import split_frame
from mindspore_dpus.deploy.result_file import KEPT, ResultFile
from mindspore_dpus.deploy.scoring import row_name


@contextmanager
def going_on(
    output: Path,
    columns: Sequence[str],
    files: Sequence[Path],
    made_by: object,
    *,
    kind: str,
    keep: Sequence[str] = KEPT,
    started: bool = False,
) -> Iterator[tuple[ResultFile, int]]:
    """Open ``<output>.<mark>.part``, with the rows that an interrupted start has written there.

    Args:
        output: what the table will be called. Whoever has written the last row renames it.
        columns: of every row.
        files: what is scored, each once, in this order; a file has a row, or one for each frame.
        made_by: changes with everything that changes a row: rows of another model are not gone on with.
        kind: ``csv`` or ``jsonl``.
        keep: the columns of ``ResultFile.found``.
        started: whether rows of a file are kept of which some may be missing.

    Yields:
        The table, and how many of the files have all their rows there. Where one of them has changed
        since, none have.

    Raises:
        UserError: the output is a folder, or another process writes it.
    """
    mark = hashlib.sha256(repr((made_by, kind, list(columns))).encode()).hexdigest()
    part = output.with_name(f"{output.name}.{mark[:8]}.part")
    if output.is_dir():
        raise UserError(f"output {output} is a folder; name a file")
    written = part.stat().st_mtime if part.exists() else 0.0
    with ResultFile(part, columns, kind, keep) as results:
        expected = [row_name(file) for file in files]
        done, rows, more = _already_done([row["path"] for row in results.found], expected)
        kept = rows + more if started else rows
        if any(_changed(file, written) for file in files[: done + (kept > rows)]):
            done = kept = 0
        results.cut(kept)
        yield results, done


def _already_done(found: list[str], expected: list[str]) -> tuple[int, int, int]:
    """How many of the expected files an earlier start has scored, how many rows they have, and how many
    rows the next file has."""
    done = rows = 0
    for file in expected:
        end = rows
        frame = re.compile(re.escape(file) + r"(#[1-9]\d*)?")
        while end < len(found) and frame.fullmatch(found[end]):
            end += 1
        # Of a file with several images, perhaps not all rows were written.
        if end == rows or (end == len(found) and found[rows] != file):
            return done, rows, end - rows
        rows, done = end, done + 1
    return done, rows, 0


def _changed(file: Path, since: float) -> bool:
    try:
        return split_frame(file)[0].stat().st_mtime > since
    except OSError:
        return False
