"""The report's part about the data: what the audit found, and the pairs that a person should look at."""

from types import SimpleNamespace

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.findings import ERROR, WARNING, summarise
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section

PAIRS = 4


def section(run: ClassifierRun) -> Section | None:
    """``rows`` (a line for each kind of finding) and ``kinds`` (of grave pairs: a ``name`` and some
    ``pairs`` of thumbnails); None where the run has no audit."""
    if not (run.path / "audit.csv").exists():
        return None
    findings = read_table(run.path / "audit.csv")
    pairs = findings[(findings["other"] != "") & findings["severity"].isin((ERROR, WARNING))]
    kinds = [
        SimpleNamespace(
            name=kind,
            pairs=[
                (run.thumbnail(row.path, row.detail), run.thumbnail(row.other, ""))
                for row in part.head(PAIRS).itertuples()
            ],
        )
        for kind, part in pairs.groupby("kind", sort=False)
    ]
    rows = list(summarise(findings).itertuples())
    return Section("audit.html.j2", {"rows": rows, "kinds": kinds})
