"""A table of text -> Markdown, LaTeX."""

import math
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.files import write_text

# What stands for a character that LaTeX would take for a command.
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%_#${}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "±": r"$\pm$"}
)


def markdown(table: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in _rows(table)]
    lines = [" | ".join(row) for row in [rows[0], ["---"] * len(table.columns), *rows[1:]]]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def write_readable(table: pd.DataFrame, path: Path) -> None:
    """Write a table of text as Markdown and as LaTeX: ``path`` with ``.md`` and with ``.tex``."""
    write_text(path.with_name(f"{path.name}.md"), markdown(table))
    write_text(path.with_name(f"{path.name}.tex"), latex(table))


def forget(path: Path) -> None:
    """Remove a table, ``.csv``, ``.md`` and ``.tex``, that an earlier part of the grid had."""
    for ending in ("csv", "md", "tex"):
        path.with_name(f"{path.name}.{ending}").unlink(missing_ok=True)


def latex(table: pd.DataFrame) -> str:
    """A table of text as a LaTeX ``tabular`` (package booktabs)."""

    body = [" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in _rows(table)]
    head = [rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}", r"\toprule", body[0], r"\midrule"]
    return "\n".join([*head, *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [table.columns.tolist(), *table.to_numpy().tolist()]


def folded(table: pd.DataFrame, parts: int) -> pd.DataFrame:
    """A long, narrow table with its parts side by side, as a printed page has it.

    Args:
        table: of text.
        parts: how many; the last one is filled up with empty rows.
    """
    rows = math.ceil(len(table) / parts)
    pieces = [table.iloc[i * rows : (i + 1) * rows].reset_index(drop=True) for i in range(parts)]
    return pd.concat([piece.reindex(range(rows), fill_value="") for piece in pieces], axis=1)


def number(mean: float, sd: float, percent: bool = False) -> str:
    """``0.9123 ± 0.0042`` or, in per cent, ``91.23 ± 0.42``; without ± where there is one run."""
    scale, digits = (100, 2) if percent else (1, 4)
    # A learning rate of 1e-5 would be lost in four digits, and seconds have too many with them.
    small = not percent and 0 < abs(mean) < 0.01
    digits = 1 if not percent and abs(mean) >= 10 else digits
    shown = [f"{v:.3g}" if small else f"{scale * v:.{digits}f}" for v in (mean, sd)]
    return " ± ".join(shown if math.isfinite(sd) else shown[:1])


def difference(mean: float, low: float, high: float, seeds: int) -> str:
    """``+0.0360 [+0.0120, +0.0600]``; empty where there is none. The interval of one seed says nothing
    of others, and the text says so."""
    if not math.isfinite(mean):
        return ""
    return f"{mean:+.4f} {interval(low, high)}{', images only' if seeds == 1 else ''}"


def interval(low: float, high: float) -> str:
    """``[+0.0120, +0.0600]``."""
    return f"[{low:+.4f}, {high:+.4f}]"


def means(table: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Mean and standard deviation of some columns over the seeds.

    Args:
        table: a row a run.
        keys: columns that make a cell.
        columns: of numbers.

    Returns:
        A row a cell, in the order of their first rows: ``keys``, ``runs``, and for each column
        ``<column>_mean`` and ``_sd`` (nan of one run).
    """
    rows = []
    for key, part in table.groupby(keys, sort=False):
        row = {**dict(zip(keys, key, strict=True)), "runs": len(part)}
        for name in columns:
            row |= {f"{name}_mean": part[name].mean(), f"{name}_sd": part[name].std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def as_text(table: pd.DataFrame, column: str, percent: bool = False) -> list[str]:
    """``number`` of a column of ``means``; empty where there is none."""
    pairs = zip(table[f"{column}_mean"], table[f"{column}_sd"], strict=True)
    return ["" if math.isnan(mean) else number(mean, sd, percent) for mean, sd in pairs]


def noted(texts: list[str], table: pd.DataFrame, keys: list[str], column: str, notes: dict) -> list[str]:
    """Texts of a column's cells, and behind each in brackets what must be said of it.

    Args:
        texts: of ``as_text``.
        table: with ``keys``, a row a text.
        keys: columns that make a cell.
        column: of numbers.
        notes: of ``finished.notes``.
    """
    rows = table[keys].itertuples(index=False, name=None)
    said = [notes.get((key, column), "") for key in rows]
    return [
        f"{text} ({note})" if text and note else text for text, note in zip(texts, said, strict=True)
    ]


def with_notes(table: pd.DataFrame, keys: list[str], columns: list[str], notes: dict) -> pd.DataFrame:
    """A table for other programs with a last column ``notes``: what must be said of which of its numbers.
    Without that column where there is nothing to say."""
    rows = table[keys].itertuples(index=False, name=None)
    said = [
        "; ".join(f"{name}: {notes[key, name]}" for name in columns if notes.get((key, name)))
        for key in rows
    ]
    return table.assign(notes=said) if any(said) else table


def over_seeds(
    table: pd.DataFrame, keys: list[str], columns: list[str], runs: bool = False
) -> pd.DataFrame:
    """``means`` as text; ``runs``: with their number."""
    values = means(table, keys, columns)
    return (
        values[[*keys, "runs"] if runs else keys]
        .astype(str)
        .assign(**{name: as_text(values, name) for name in columns})
    )


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """A table for other programs: six significant digits, which a learning rate of 1e-5 has, too."""
    numbers = table.select_dtypes("floating")
    return table.assign(**{name: [float(f"{v:.6g}") for v in numbers[name]] for name in numbers})
