"""The files that DCASE 2022 Task 2 asks for: one of scores and one of decisions for each section."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_text

# File name -> the column that it holds.
KINDS = {"anomaly_score": "score", "decision_result": "decision"}


def challenge_name(kind: str, machine: str, section: str) -> str:
    """The name of a file.

    Args:
        kind: key of ``KINDS``.
        machine: letters, digits and hyphens; the evaluator parts names at underscores.
        section: two digits.

    Raises:
        UserError: machine or section cannot be told from such a name.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+", machine):
        raise UserError(
            f"machine {machine!r}: a challenge file's name takes letters, digits and hyphens only"
        )
    if not re.fullmatch(r"[0-9]{2}", section):
        raise UserError(f"section {section!r} of {machine}: a challenge file's name takes two digits")
    return f"{kind}_{machine}_section_{section}_test.csv"


def write_challenge_files(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every section's scores and decisions.

    The evaluator knows clips by the order of their names alone, so all test clips of a section must be
    there, under the names that the challenge gave them. Scores are written so that they read back the
    same bit for bit.

    Args:
        table: a row a test clip: ``machine``, ``section`` (two digits), ``name`` (of the file,
            without folder), ``score``, ``decision`` (0 or 1).
        folder: is made when missing.

    Returns:
        The files.

    Raises:
        UserError: a name comes twice, a score is not finite, a decision is neither 0 nor 1, or a name
            does not fit into such files.
    """
    _check(table)
    files = []
    # All names first: nothing is written when one does not do.
    sections = [
        (str(machine), str(section), rows)
        for (machine, section), rows in table.groupby(["machine", "section"], sort=True)
    ]
    for machine, section, _ in sections:
        challenge_name("anomaly_score", machine, section)
    for machine, section, rows in sections:
        rows = rows.sort_values("name")
        for kind, column in KINDS.items():
            text = io.StringIO()
            number = float if column == "score" else int
            values = [repr(number(value)) for value in rows[column]]
            csv.writer(text, lineterminator="\n").writerows(zip(rows["name"], values, strict=True))
            files.append(folder / challenge_name(kind, machine, section))
            write_text(files[-1], text.getvalue())
    return files


def _check(table: pd.DataFrame) -> None:
    for column in ("machine", "section", "name", "score", "decision"):
        if column not in table.columns:
            raise UserError(f"challenge files: the column {column!r} is missing")
    twice = table.duplicated(["machine", "section", "name"])
    tests = {
        "comes twice": twice,
        "has a score that is not finite": ~np.isfinite(table["score"].astype(np.float64)),
        "has a decision that is neither 0 nor 1": ~table["decision"].isin([0, 1]),
        "has a name with a folder in it": table["name"].str.contains(r"[/\\]"),
        "has no name": table["name"] == "",
    }
    for what, wrong in tests.items():
        if wrong.any():
            row = table[wrong].iloc[0]
            raise UserError(
                f"challenge files: {row['name'] or 'a clip'} of {row['machine']}, section "
                f"{row['section']}, {what}"
            )


def read_challenge_file(path: Path) -> pd.DataFrame:
    """Read one of either kind.

    Returns:
        ``name`` and ``value`` (float64), in the file's order.

    Raises:
        UserError: the file is missing, or a line is not a name and a number.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not a CSV file") from None
    names, values = [], []
    for i, row in enumerate(rows, 1):
        try:
            name, value = row
            values.append(float(value))
        except ValueError:
            raise UserError(f"{path}, line {i}: it must be a name and a number") from None
        names.append(name)
    return pd.DataFrame({"name": names, "value": np.array(values, np.float64)})
