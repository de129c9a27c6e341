"""Tables of a run folder: CSV in which text stays text."""

from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import atomic

# Columns that are text whatever they look like.
TEXT_COLUMNS = ("path", "label", "split", "group", "member", "predicted", "machine", "section", "domain")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, atomically."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV of a run folder; text stays text (an empty cell is an empty string).

    Raises:
        UserError: it is no CSV table.
    """
    text = dict.fromkeys(TEXT_COLUMNS, str)
    try:
        return pd.read_csv(path, keep_default_na=False, dtype=text)
    except (ValueError, OverflowError) as error:  # of pandas' own, and of text that is not UTF-8
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged or no CSV table ({reason}); delete it and start the same command again"
        ) from None
