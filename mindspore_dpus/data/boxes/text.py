"""Reading the text of annotation files: whatever is in them, a value or one line that names the file."""

import json
import math
from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import open_regular


def read_text(path: Path) -> str:
    """The text of a file, without the mark that Windows programs put before UTF-8.

    Raises:
        UserError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file (UTF-8)") from None


def read_json_text(path: Path) -> object:
    """The value that a JSON file holds.

    Raises:
        UserError: the file cannot be read, or is damaged or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged or not JSON: {error}") from None


def number(value: object) -> float:
    """A finite number, from text or JSON.

    Raises:
        ValueError: it is none (``true`` and ``nan`` are none).
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a number")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a number") from None
    if not math.isfinite(result):
        raise ValueError(f"{value!r} is not a finite number")
    return result


def whole(value: object) -> int:
    """A whole number, from text or JSON.

    Raises:
        ValueError: it is none.
    """
    result = number(value)
    # Beyond, neither a table's column nor float64 holds every one.
    if result != int(result) or abs(result) > 2**53:
        raise ValueError(f"{value!r} is not a whole number")
    return int(result)


def side(value: object) -> int | None:
    """A width or height in pixels; None for nothing, and for 0, with which some programs say so.

    Raises:
        ValueError: it is no size.
    """
    if value is None or value == "":
        return None
    result = whole(value)
    if not 0 <= result < 2**31:
        raise ValueError(f"{value!r} is no width or height")
    return result or None


def plain(value: float) -> int | float:
    """The number as files show it: a whole one without ``.0``."""
    value = float(value)
    return int(value) if value.is_integer() else value
