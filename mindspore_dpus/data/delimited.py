"""CSV files as people's programs write them: which encoding, and what stands between the cells.

What can be recognised without doubt is read: a byte order mark, UTF-8, and a comma, semicolon, tab or bar
between the names of the columns. For the rest, the error says how to save the file.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mindspore_dpus.core.errors import UserError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HOW = "save it as CSV in UTF-8 (Excel: 'CSV UTF-8 (comma delimited)')"
_MOST_NAMES = 8
_SEP = re.compile(r'"?sep=[^\r\n]"?(?=[\r\n])', re.IGNORECASE)
# A header is looked for in so many bytes.
_HEAD = 1 << 16


@dataclass(frozen=True)
class Rows:
    """What a CSV file holds.

    Args:
        names: of the columns, without spaces around them; a column without a name is left out.
        rows: the number of its (last) line, and the cells by the columns' names, for each row.
    """

    names: list[str]
    rows: list[tuple[int, dict[str, str]]]

    def column(self, name: str) -> list[str]:
        """All cells of a column."""
        return [cells[name] for _, cells in self.rows]


def read_rows(file: Path, needed: tuple[str, ...], filled: tuple[str, ...] = ()) -> Rows:
    """Read a CSV file with a header; blank lines are left out.

    Args:
        file: the file.
        needed: columns that it must have.
        filled: those of them without an empty cell.

    Raises:
        UserError: it is missing, cannot be read, is in an encoding that nobody can tell, is no CSV table,
            lacks a column, has two of one name, or a row has more or fewer cells than the header or an
            empty cell that must be filled.
    """
    text = _read_text(file)
    delimiter = _find_delimiter(text, file, needed)
    lines = _cells(text, delimiter)
    rows = []
    try:
        header = [name.strip() for name in next(lines)[1]]
        names = list(filter(None, header))
        for name, number in Counter(names).items():
            if number > 1:
                raise UserError(f"{file} has more than one column {name!r}")
        for line, cells in lines:
            if len(cells) != len(header):
                _refuse_other_delimiter(cells, header, delimiter, f"{file} line {line}")
                cells_there = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
                raise UserError(f"{file} line {line} has {cells_there}; the header has {len(header)}")
            row = {name: cell for name, cell in zip(header, cells, strict=True) if name}
            for name in filled:
                if not row[name].strip():
                    raise UserError(f"{file} line {line} has an empty {name}")
            rows.append((line, row))
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV table: {error}") from None
    return Rows(names, rows)


def has_columns(file: Path, needed: tuple[str, ...]) -> bool:
    """Whether the first line of a file names these columns, as :func:`read_rows` would read it."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    text = head.decode(_encoding(head), "replace")
    return any(set(needed) <= set(_names(text, mark)) for mark in DELIMITERS)


def _read_text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} does not exist") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file} is not a CSV table in {encoding.removesuffix('-sig').upper()}: line {line} has "
            f"bytes of another encoding; {_HOW}"
        ) from None
    if "\0" in text:
        raise UserError(f"{file} is not a CSV table in UTF-8: it has bytes that are 0; {_HOW}")
    return text


def _encoding(data: bytes) -> str:
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")


def _find_delimiter(text: str, file: Path, needed: tuple[str, ...]) -> str:
    """What stands between the cells: of the first line, whatever gives all columns that are needed."""
    columns = {mark: _names(text, mark) for mark in DELIMITERS}
    if not any(columns.values()):
        raise UserError(f"{file} is empty; it needs the columns {', '.join(needed)}")
    fitting = [mark for mark, names in columns.items() if set(needed) <= set(names)]
    if fitting:
        return fitting[0]
    mark = max(columns, key=lambda mark: len(columns[mark]))
    names = columns[mark]
    missing = next(name for name in needed if name not in names)
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    between = f", with {DELIMITERS[mark]} between them" if len(names) > 1 else ""
    raise UserError(
        f"{file} has no column {missing!r}; it needs {', '.join(needed)}; it has the column"
        f"{'s' if len(names) > 1 else ''} {shown}{more}{between}"
    )


def _refuse_other_delimiter(cells: list[str], header: list[str], delimiter: str, place: str) -> None:
    """Say so where a row has other marks between its cells than the header."""
    for mark in DELIMITERS if len(header) > 1 else ():
        if mark != delimiter and len(_names(delimiter.join(cells), mark)) == len(header):
            raise UserError(
                f"{place} has {DELIMITERS[mark]} between its cells, the header {DELIMITERS[delimiter]}: "
                "write the same everywhere"
            )


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number, from 1, and cells of each row, but for blank lines; the first are the columns' names."""
    # Excel's own line, which says what stands between the cells: the names of the columns do, too.
    text_file = io.StringIO(_SEP.sub("", text, 1) if _SEP.match(text) else text, newline="")
    reader = csv.reader(text_file, delimiter=delimiter, skipinitialspace=True, strict=True)
    begun = False
    for row in reader:
        begun = begun or any(cell.strip() for cell in row)
        if begun and row and row != [""]:
            yield reader.line_num, row


def _names(text: str, mark: str) -> list[str]:
    try:
        return [name.strip() for name in next(_cells(text, mark))[1]]
    except (csv.Error, StopIteration):
        return []
