"""The report's section on the groups of the majority: sizes, examples, and shares in every subset."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from mindspore_dpus.data.samples import read_table
from mindspore_dpus.report import plots

EXAMPLES = 8
DIAGNOSTICS = {
    "share_deviation": "largest difference of a group's share",
    "true_share_deviation": "the same for the true sub-populations",
    "chi_squared": "chi-squared of the group counts",
    "energy": "energy distance in feature space",
    "mmd": "squared MMD in feature space",
    "silhouette": "mean silhouette of the groups",
    "agreement": "agreement of the groups with the true sub-populations",
}


def groups_section(
    run: Path, subsets: pd.DataFrame, thumbnail: Callable[[str], object]
) -> list[SimpleNamespace]:
    """What the report shows of each class that is drawn: its groups, examples, shares, diagnostics.

    Args:
        run: the run folder.
        subsets: its ``subsets.csv``.
        thumbnail: makes an example image from a path.

    Returns:
        The template's values for each such class; none where nothing was grouped.
    """
    if not (run / "groups.csv").exists():
        return []
    groups = read_table(run / "groups.csv").astype({"group": int})
    drawn = subsets[subsets["member"] != plots.BASELINE].merge(groups, on="path")
    measured = read_table(run / "diagnostics.csv")
    places = read_table(run / "embedding.csv").merge(groups[["path", "group"]], on="path")
    parts = []
    for label, table in groups.groupby("label"):
        whole = table["group"].value_counts(normalize=True).sort_index()
        counts = drawn[drawn["label"] == label].groupby("member")["group"].value_counts().unstack()
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
                figure=plots.group_shares(whole, shares),
                groups=[
                    SimpleNamespace(
                        name=group,
                        size=len(part),
                        share=len(part) / len(table),
                        images=[thumbnail(path) for path in _spread(part["path"])],
                    )
                    for group, part in table.groupby("group")
                ],
            )
        )
    return parts


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
