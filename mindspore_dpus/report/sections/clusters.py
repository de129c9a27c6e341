"""The report's section on the clusters of the majority: sizes, examples, and shares in every subset."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.metrics.fusion import BASELINE
from mindspore_dpus.report import plots
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section

EXAMPLES = 8
DIAGNOSTICS = {
    "share_deviation": "largest difference of a cluster's share",
    "true_share_deviation": "the same for the true sub-populations",
    "chi_squared": "chi-squared of the cluster counts",
    "energy": "energy distance in feature space",
    "mmd": "squared MMD in feature space",
    "silhouette": "mean silhouette of the clusters",
    "agreement": "agreement of the clusters with the true sub-populations",
}


def section(run: ClassifierRun) -> Section | None:
    """Of each class that is drawn: its clusters, examples, shares, diagnostics; None where nothing was
    clustered."""
    if not (run.path / "clusters.csv").exists():
        return None
    clusters = read_table(run.path / "clusters.csv").astype({"cluster": int})
    drawn = run.subsets[run.subsets["member"] != BASELINE].merge(clusters, on="path")
    measured = read_table(run.path / "diagnostics.csv")
    places = read_table(run.path / "embedding.csv").merge(clusters[["path", "cluster"]], on="path")
    parts = []
    for label, table in clusters.groupby("label"):
        whole = table["cluster"].value_counts(normalize=True).sort_index()
        counts = drawn[drawn["label"] == label].groupby("member")["cluster"].value_counts().unstack()
        shares = counts.reindex(columns=whole.index).fillna(0.0)
        shares = shares.div(shares.sum(axis=1), axis=0)
        shown = places[places["label"] == label]
        first = drawn["path"][drawn["member"] == drawn["member"].min()]
        parts.append(
            SimpleNamespace(
                label=label,
                diagnostics=_diagnostics(measured[measured["label"] == label]),
                truth_is_known="agreement" in measured,
                embedding=plots.embedding(shown, shown["path"].isin(first).to_numpy()),
                total=len(table),
                deviation=float((shares - whole).abs().to_numpy().max()),
                figure=plots.cluster_shares(whole, shares),
                clusters=[
                    SimpleNamespace(
                        name=cluster,
                        size=len(part),
                        share=len(part) / len(table),
                        images=[run.thumbnail(path) for path in _spread(part["path"])],
                    )
                    for cluster, part in table.groupby("cluster")
                ],
            )
        )
    return Section("clusters.html.j2", {"parts": parts})


def _diagnostics(table: pd.DataFrame) -> list[SimpleNamespace]:
    """Mean and standard deviation of each measure, for the subsets and for random draws."""
    rows = []
    for name, title in DIAGNOSTICS.items():
        if name in table and (table[name] != "").all():
            values = table[name].astype(float).groupby(table["kind"])
            rows.append(SimpleNamespace(title=title, mean=values.mean(), sd=values.std(ddof=0)))
    return rows


def _spread(paths: pd.Series) -> list[str]:
    """A few paths, evenly spread over the list: neighbours often show the same part."""
    places = np.linspace(0, len(paths) - 1, min(EXAMPLES, len(paths))).round().astype(int)
    return paths.iloc[places].tolist()
