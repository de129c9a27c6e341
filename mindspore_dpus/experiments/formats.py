"""A table of text -> Markdown, LaTeX."""

import math
from pathlib import Path

import pandas as pd

from mindspore_dpus.run import write_text


def markdown(table: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    lines = [" | ".join(table.columns), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(row) for row in table.to_numpy().tolist()]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def write_readable(table: pd.DataFrame, path: Path) -> None:
    """Write a table of text as Markdown and as LaTeX: ``path`` with ``.md`` and with ``.tex``."""
    write_text(path.with_name(f"{path.name}.md"), markdown(table))
    write_text(path.with_name(f"{path.name}.tex"), latex(table))


def latex(table: pd.DataFrame) -> str:
    """A table of text as a LaTeX ``tabular`` (package booktabs)."""

    def escape(text: str) -> str:
        for character in "&%_#":
            text = text.replace(character, "\\" + character)
        return text.replace("±", "$\\pm$")

    rows = [table.columns.tolist(), *table.to_numpy().tolist()]
    body = [" & ".join(escape(cell) for cell in row) + r" \\" for row in rows]
    head = [rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}", r"\toprule", body[0], r"\midrule"]
    return "\n".join([*head, *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


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


def over_seeds(table: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Mean and standard deviation of some columns, as text; a row for each combination of the keys."""
    rows = []
    for key, part in table.groupby(keys, sort=False):
        row = dict(zip(keys, map(str, key), strict=True))
        for name in columns:
            row[name] = (
                number(part[name].mean(), part[name].std(ddof=1)) if part[name].notna().any() else ""
            )
        rows.append(row)
    return pd.DataFrame(rows)
