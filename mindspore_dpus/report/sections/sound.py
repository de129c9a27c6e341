"""The report's sections on machine sound: data, results, the most anomalous clips, the map of vectors."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mindspore_dpus.metrics.anomaly import ANOMALY, NORMAL
from mindspore_dpus.report.page import Section
from mindspore_dpus.report.plots import plain_axes, plain_text, to_svg

OTHER_MACHINE, OUTLIER = "other machine", "outlier"
# What the map shows besides a machine's own clips -> marker.
PSEUDO_ANOMALOUS = {OTHER_MACHINE: "s", OUTLIER: "^"}


def data_section(samples: pd.DataFrame, findings: pd.DataFrame | None) -> Section:
    """How many clips of each kind a machine has, and what the audit found.

    Args:
        samples: of clips.
        findings: of the audit, summarised; None: there was none.
    """
    kinds = samples["split"] + " " + samples["domain"] + " " + samples["label"]
    counts = pd.crosstab(samples["machine"], kinds)
    return Section(
        "sound_data.html.j2",
        {
            "columns": list(counts.columns),
            "rows": [(machine, list(row)) for machine, row in counts.iterrows()],
            "findings": None if findings is None else list(findings.itertuples()),
        },
    )


def results_section(
    models: Mapping[str, Mapping], results: pd.DataFrame, product: str, mark: str = ""
) -> Section:
    """Every row's numbers, and the product's cells section by section.

    Args:
        models: row -> name -> value, low, high.
        results: of ``results.csv``.
        product: row of the product.
        mark: what must be said of the product's numbers.
    """
    own = results[(results["row"] == product) & (results["section"] != "")]
    own = own[own["definition"] == "official"] if (own["definition"] == "official").any() else own
    # Where a section has no anomalies (or no normals), its cells are empty text.
    values = pd.to_numeric(own["value"].replace("", np.nan))
    cells = own.assign(cell=own["domain"] + " " + own["metric"], value=values).pivot_table(
        index=["machine", "section"], columns="cell", values="value"
    )
    return Section(
        "sound_results.html.j2",
        {
            "names": list(next(iter(models.values()), {})),
            "models": models,
            "mark": mark,
            "columns": list(cells.columns),
            "sections": [(" ".join(key), list(row)) for key, row in cells.iterrows()],
        },
    )


def roc_section(scores: pd.DataFrame, mark: str = "") -> Section:
    """The ROC of every section, a panel a machine.

    Args:
        scores: ``machine, section, label, score`` of labelled clips.
        mark: what must be said of them.
    """
    from sklearn.metrics import roc_curve

    machines = sorted(scores["machine"].unique())
    figure, axes = plain_axes(
        width=3.0, height=2.8, columns=min(4, len(machines)), rows=-(-len(machines) // 4)
    )
    for axis, machine in zip(axes, machines, strict=False):
        own = scores[scores["machine"] == machine]
        for section, part in own.groupby("section"):
            if part["label"].nunique() == 2:
                x, y, _ = roc_curve(part["label"] == ANOMALY, part["score"].astype(float))
                axis.plot(x, y, linewidth=1.2, label=plain_text(str(section)))
        axis.plot([0, 1], [0, 1], color="#999", linestyle=":", linewidth=1)
        axis.set(title=plain_text(machine), xlabel="false-call rate", ylabel="recall")
        axis.legend(frameon=False, fontsize=7)
    return Section(
        "sound_figure.html.j2", {"title": f"ROC by section{mark}", "text": "", "svg": to_svg(figure)}
    )


def clips_section(
    clips: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], seconds: float
) -> Section:
    """Spectrograms of the most anomalous clips, and where in time their scores come from.

    Args:
        clips: title, (bands, frames) log-mels, (S,) starts of the segments in seconds, (S,) scores.
        seconds: length of a segment.
    """
    figure, axes = plain_axes(width=3.4, height=2.2, columns=len(clips), rows=2)
    for i, (title, picture, starts, scores) in enumerate(clips):
        end = float(starts[-1] + seconds)
        top, bottom = axes[i], axes[len(clips) + i]
        top.grid(False)
        top.imshow(
            picture, origin="lower", aspect="auto", cmap="magma", extent=(0, end, 0, len(picture))
        )
        top.set(title=plain_text(title), ylabel="mel band")
        top.title.set_fontsize(7)
        bottom.plot(starts + seconds / 2, scores, "o-", markersize=3, color="#0b5cad")
        bottom.set(xlabel="seconds (middle of the segment)", ylabel="score", xlim=(0, end))
    text = "Each segment is scored as if it were the clip: where the line is high, the score comes from."
    return Section(
        "sound_figure.html.j2",
        {"title": "The most anomalous clips", "text": text, "svg": to_svg(figure)},
    )


def map_section(name: str, machine: str, points: pd.DataFrame, has_origin: bool) -> Section:
    """Vectors of clips in the plane (the paper's Figure 2).

    Args:
        name: of the vectors.
        machine: whose test clips they are.
        points: ``x, y, section, kind``: normal and anomalous clips of the machine's sections, and clips of
            other machines and outliers, whose section is empty.
        has_origin: whether (0, 0) is that of the vectors, and is marked.
    """
    figure, (axis,) = plain_axes(width=6.4, height=4.8)
    axis.set_aspect("equal", adjustable="datalim")
    for kind, marker in PSEUDO_ANOMALOUS.items():
        own = points[points["kind"] == kind]
        if len(own):
            axis.scatter(own["x"], own["y"], s=12, marker=marker, color="#9aa3ad", label=kind)
    of_machine = points[~points["kind"].isin(PSEUDO_ANOMALOUS)]
    for i, (section, part) in enumerate(of_machine.groupby("section")):
        for label, marker in ((NORMAL, "o"), (ANOMALY, "x")):
            own = part[part["kind"] == label]
            axis.scatter(
                *(own["x"], own["y"]),
                s=14,
                marker=marker,
                color=f"C{i % 10}",
                label=plain_text(f"{section} {label}"),
            )
    text = (
        f"{machine}: two principal components of the clips' mean {name} vectors (test clips, outliers)."
    )
    if has_origin:
        axis.scatter(0, 0, s=90, marker="+", color="black", label="origin")
        text += (
            " Not centred: as in the paper's Figure 2, clips of other machines should lie near the origin, and "
            "normal ones of each section away from it."
        )
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return Section(
        "sound_figure.html.j2", {"title": "Map of vectors", "text": text, "svg": to_svg(figure)}
    )
