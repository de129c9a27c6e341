"""The report's part about the data: what the audit found, and the pairs that a person should look at."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from mindspore_dpus.data.findings import ERROR, WARNING, summarise
from mindspore_dpus.data.samples import read_table

PAIRS = 4


def audit_section(run: Path, thumbnail: Callable[[str, str], object]) -> SimpleNamespace | None:
    """What the template ``audit.html.j2`` shows.

    Args:
        run: the run folder.
        thumbnail: makes an example image from a path and a caption.

    Returns:
        ``rows`` (a line for each kind of finding) and ``kinds`` (of grave pairs: a ``name`` and some
        ``pairs`` of thumbnails); None where the run has no audit.
    """
    if not (run / "audit.csv").exists():
        return None
    findings = read_table(run / "audit.csv")
    pairs = findings[(findings["other"] != "") & findings["severity"].isin((ERROR, WARNING))]
    kinds = [
        SimpleNamespace(
            name=kind,
            pairs=[
                (thumbnail(row.path, row.detail), thumbnail(row.other, ""))
                for row in part.head(PAIRS).itertuples()
            ],
        )
        for kind, part in pairs.groupby("kind", sort=False)
    ]
    return SimpleNamespace(rows=list(summarise(findings).itertuples()), kinds=kinds)
