"""The prediction table as a file that grows: CSV or JSON lines, whole rows only."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError

FORMATS = ("csv", "jsonl")
# Of the rows found, what somebody who goes on must know.
KEPT = ("path", "error", "predicted", "modified", "size", "frames", "rule")
# A cell may hold thousands of tiles; the module's own limit is 131,072 characters.
csv.field_size_limit(2**31 - 1)


def format_of(path: Path) -> str:
    """``jsonl`` for ``.jsonl``, ``.ndjson`` and ``.json``, else ``csv``."""
    return "jsonl" if path.suffix.lower() in (".jsonl", ".ndjson", ".json") else "csv"


class ResultFile:
    """Rows that are on disk when ``append`` returns; a row that a crash has damaged is cut off.

    Args:
        path: the file; made when missing. One process at a time may have it open.
        columns: of every row; the first is ``path``.
        kind: ``csv`` (with a header) or ``jsonl`` (one object a line).
        keep: which columns of ``found`` are kept in memory.

    Attributes:
        found: the rows that were there: of their columns, those of ``keep``; of CSV, all is text.

    Raises:
        UserError: another process has the file open, or it holds something else.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], kind: str, keep: Sequence[str] = KEPT
    ) -> None:
        self.path = path
        self.columns = list(columns)
        self.kind = kind
        self.keep = tuple(keep)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UserError(f"output {path} is a folder; name a file")
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        try:
            self._lock()
            self.found: list[dict] = []
            self._ends = [0]
            self._recover()
            if kind == "csv" and self._ends == [0]:
                self._write(_csv_line(self.columns))
                self._ends = [self._file.tell()]
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "ResultFile":
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def append(self, rows: Sequence[dict]) -> None:
        """Add rows: all of them, or after an error such as a full disk none."""
        if rows:
            self._write("".join(self._line([row[c] for c in self.columns]) for row in rows))

    def cut(self, keep: int) -> None:
        """Forget all but the first ``keep`` of the rows that were there."""
        if keep < len(self.found):
            self._file.truncate(self._ends[keep])
        del self.found[keep:], self._ends[keep + 1 :]

    def _lock(self) -> None:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.path} is being written by another process: end it, or name another output"
                ) from None

    def _write(self, text: str) -> None:
        size = self._file.seek(0, os.SEEK_END)
        data = memoryview(text.encode())
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            error.filename = str(self.path)
            raise

    def _recover(self) -> None:
        """Fill ``found`` and ``_ends``, the place where each row ends (the first: the header); cut what
        is damaged."""
        self._file.seek(0)
        with io.BufferedReader(io.FileIO(self._file.fileno(), closefd=False)) as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                if number == 1 and self.kind == "csv":
                    self._check(_csv_cells(line) == self.columns)
                    self._ends = [len(line)]
                    continue
                row = self._row(line)
                self._check(row is not None, number)
                self.found.append({name: row[name] for name in self.keep if name in row})
                self._ends.append(self._ends[-1] + len(line))
        if self._ends[-1] < self._file.seek(0, os.SEEK_END):
            self._file.truncate(self._ends[-1])

    def _check(self, fits: bool, line: int = 1) -> None:
        if not fits:
            raise UserError(
                f"{self.path} line {line} is no row of this table (its columns: "
                f"{', '.join(self.columns[:4])} ...); name another output, or move that file away"
            )

    def _line(self, cells: list) -> str:
        if self.kind == "csv":
            return _csv_line(cells)
        values = dict(zip(self.columns, (_json_value(cell) for cell in cells), strict=True))
        return json.dumps(values, ensure_ascii=False) + "\n"

    def _row(self, line: bytes) -> dict | None:
        if self.kind == "csv":
            cells = _csv_cells(line)
            return dict(zip(self.columns, cells, strict=True)) if _fit(cells, self.columns) else None
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return row if isinstance(row, dict) and list(row) == self.columns else None


def _fit(cells: list[str] | None, columns: list[str]) -> bool:
    return cells is not None and len(cells) == len(columns)


def _csv_line(cells: Sequence) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _csv_cells(line: bytes) -> list[str] | None:
    try:
        return next(csv.reader([line.decode()]), None)
    except (csv.Error, UnicodeDecodeError):
        return None


def _json_value(value: object) -> object:
    # As many digits as a float32 has, like str() for CSV.
    return float(str(value)) if isinstance(value, np.floating) else value
