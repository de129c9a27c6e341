"""CSV files as people's programs write them: which encoding, and what stands between the cells.

What can be recognised without doubt is read: a byte order mark, UTF-8, and a comma, semicolon, tab or bar
between the names of the columns. For the rest, the error says how to save the file.
"""

import codecs
import csv
import io
from collections.abc import Iterator
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


def read_text(file: Path) -> str:
    """A file's text.

    Raises:
        UserError: it is missing, cannot be read, or is in an encoding that nobody can tell.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} does not exist") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
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


def find_delimiter(text: str, file: Path, needed: tuple[str, ...]) -> str:
    """What stands between the cells: of the first line, whatever gives all columns that are needed.

    Raises:
        UserError: the file is empty, or no delimiter gives them: names the columns that are there.
    """
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


def rows_of(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number, from 1, and cells of each row, but for blank lines; the first are the columns' names.

    Raises:
        csv.Error: it is no CSV table.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    begun = False
    for row in reader:
        begun = begun or any(cell.strip() for cell in row)
        if begun and row:
            yield reader.line_num, row


def _names(text: str, mark: str) -> list[str]:
    try:
        return [name.strip() for name in next(rows_of(text, mark))[1]]
    except (csv.Error, StopIteration):
        return []
