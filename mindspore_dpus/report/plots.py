"""Figures of the report, each as an SVG string. No MindSpore here."""

import io
import math

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from mindspore_dpus.metrics.fusion import BASELINE, FUSED

COLOURS = {FUSED: "#0b5cad", BASELINE: "#c4342d"}
MEMBER_COLOUR = "#9aa7b4"
# So many clusters have a colour of their own each, and a line in the legend.
MOST_NAMED = 10
# So many clusters have their number below their bar.
MOST_TICKS = 20


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element that scales with the page; equal figures give equal text."""
    buffer = io.StringIO()
    style = {"svg.hashsalt": "mindspore_dpus", "svg.fonttype": "none"}
    with matplotlib.rc_context(style):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def plain_axes(width: float = 4.6, height: float = 3.4, columns: int = 1, rows: int = 1):
    """A figure and its axes, row by row; width and height of each in inches."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def plain_text(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _style(name: str) -> dict:
    if name in COLOURS:
        return {"color": COLOURS[name], "linewidth": 2.2, "label": name, "zorder": 3}
    return {"color": MEMBER_COLOUR, "linewidth": 1.0, "label": f"member {name}", "zorder": 2}


def curves(labels: np.ndarray, scores: dict[str, np.ndarray], positive: str) -> str:
    """ROC and precision-recall curves, side by side.

    Args:
        labels: (N,) bool, true for the positive class.
        scores: model -> (N,) probability of the positive class.
        positive: its name.
    """
    figure, (left, right) = plain_axes(columns=2)
    for name, score in scores.items():
        false_positives, true_positives, _ = roc_curve(labels, score)
        left.plot(false_positives, true_positives, **_style(name))
        precision, recall, _ = precision_recall_curve(labels, score)
        # The step at recall 0 stands for no image at all.
        right.plot(recall[:-1], precision[:-1], **_style(name))
    left.plot([0, 1], [0, 1], color="#999", linestyle=":", linewidth=1)
    right.axhline(labels.mean(), color="#999", linestyle=":", linewidth=1)
    positive = plain_text(positive)
    left.set(xlabel="false-call rate", ylabel=f"recall of {positive}", title="ROC")
    right.set(xlabel=f"recall of {positive}", ylabel="precision", title="Precision and recall")
    right.set_ylim(0, 1.02)
    left.legend(frameon=False, fontsize=8, loc="lower right")
    return to_svg(figure)


def training_curves(histories: dict[str, pd.DataFrame]) -> str:
    """Loss, validation AUC, and accuracy of every member over the epochs."""
    figure, (left, right, last) = plain_axes(columns=3)
    for name, history in histories.items():
        style = _style(name)
        left.plot(history["epoch"], history["train_loss"], **style)
        left.plot(history["epoch"], history["val_loss"], **{**style, "label": None}, linestyle="--")
        right.plot(history["epoch"], history["val_auc"], marker="o", markersize=3, **style)
        # Members that an older version trained have none for some or all epochs.
        if "train_accuracy" in history:
            last.plot(history["epoch"], history["train_accuracy"], **style)
        last.plot(history["epoch"], history["val_accuracy"], **{**style, "label": None}, linestyle="--")
    left.set(xlabel="epoch", ylabel="loss", title="Loss (dashed: validation)")
    right.set(xlabel="epoch", ylabel="AUC", title="Validation AUC")
    last.set(xlabel="epoch", ylabel="accuracy", title="Accuracy (dashed: validation)")
    for axis in (left, right, last):
        axis.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def reliability(answers: dict[str, list[dict]], positive: str) -> str:
    """Stated probability against observed share of the positive class, with intervals.

    Args:
        answers: ``score`` or ``probability`` -> bins of ``calibration.reliability``.
        positive: name of the class.
    """
    figure, axes = plain_axes(width=4.2, height=4.0, columns=len(answers))
    for axis, (name, rows) in zip(axes, answers.items(), strict=True):
        stated, observed, low, high = (
            np.array([row[key] for row in rows]) for key in ("stated", "observed", "low", "high")
        )
        # An observed share at an end of its interval may lie outside by a rounding error.
        spread = np.maximum([observed - low, high - observed], 0)
        axis.errorbar(
            stated, observed, spread, marker="o", markersize=4, capsize=2, color=COLOURS[FUSED]
        )
        axis.axline((0, 0), slope=1, color="#999", linestyle=":", linewidth=1)
        # Where defects are rare, most of the square would be empty.
        end = min(1.02, 1.5 * max(stated.max(), observed.max(), 1e-6))
        axis.set(xlim=(-0.02 * end, end), ylim=(-0.02 * end, end), title=f"Reliability on test: {name}")
        axis.set(xlabel=f"stated ({name})", ylabel=f"observed share of {plain_text(positive)}")
    return to_svg(figure)


def pod(fit: dict) -> str:
    """Probability of detection over flaw size, its lower limit, a90 and the limit of a90.

    Args:
        fit: ``pod.Pod`` as a dict.
    """
    figure, (axis,) = plain_axes(width=5.6, height=3.4)
    sure = f"{100 * fit['confidence']:g}"
    axis.plot(fit["sizes"], fit["pod"], color=COLOURS[FUSED], linewidth=2.2, label="POD")
    axis.plot(
        fit["sizes"], fit["lower"], color=COLOURS[FUSED], linestyle="--", label=f"lower limit, {sure} %"
    )
    axis.axhline(0.9, color="#999", linestyle=":", linewidth=1)
    marks = {"a90": fit["a90"], f"a90/{sure}": fit["a90_limit"]}
    for (name, size), style in zip(marks.items(), ("-", "--"), strict=True):
        if size is not None and fit["smallest"] <= size <= fit["largest"]:
            label = f"{name} = {size:.3g}"
            axis.axvline(size, color=COLOURS[BASELINE], linestyle=style, linewidth=1, label=label)
    axis.set(xlabel="flaw size", ylabel="probability of detection", ylim=(0, 1.02), xscale="log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return to_svg(figure)


def learning_rate_range(curve: pd.DataFrame, suggested: float) -> str:
    """Loss over the learning rate, and the rate that the test suggests.

    Args:
        curve: columns ``rate``, ``loss``, ``smoothed``.
        suggested: marked by a line.
    """
    figure, (axis,) = plain_axes(width=5.6)
    axis.plot(curve["rate"], curve["loss"], color=MEMBER_COLOUR, linewidth=0.8, label="loss of a batch")
    axis.plot(curve["rate"], curve["smoothed"], color=COLOURS[FUSED], linewidth=2, label="smoothed")
    axis.axvline(suggested, color=COLOURS[BASELINE], linestyle="--", label=f"suggested: {suggested:.2g}")
    axis.set(xscale="log", xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
    axis.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def fusion(tables: dict[str, pd.DataFrame]) -> str:
    """AUC against the number of fused members.

    Args:
        tables: split -> as ``fusion_curve`` makes it.
    """
    figure, (axis,) = plain_axes()
    for (split, table), colour in zip(tables.items(), (COLOURS[FUSED], MEMBER_COLOUR), strict=False):
        means, sds = table["auc_mean"].astype(float), pd.to_numeric(table["auc_sd"]).fillna(0.0)
        axis.errorbar(
            table["members"],
            means,
            yerr=sds,
            fmt="o-",
            color=colour,
            capsize=3,
            markersize=4,
            label=split,
        )
    axis.set_xticks(table["members"])
    axis.set(xlabel="fused members", ylabel="AUC")
    axis.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def cluster_shares(whole: pd.Series, subsets: pd.DataFrame) -> str:
    """Share of each cluster in the whole class (bars) and in every subset (dots).

    Args:
        whole: cluster -> share of the class.
        subsets: a row a member, a column a cluster: share of the member's drawn images.
    """
    # Of two hundred clusters, a page would show nothing if each had its room.
    figure, (axis,) = plain_axes(width=max(4.6, 0.7 * min(len(whole), MOST_TICKS)), height=3.0)
    places = np.arange(len(whole))
    axis.bar(places, whole, color="#cfd8e3", width=0.7, label="all images of the class")
    for i, (_, row) in enumerate(subsets.iterrows()):
        offset = (i - (len(subsets) - 1) / 2) * 0.5 / max(len(subsets), 1)
        axis.plot(
            places + offset,
            row,
            "o",
            color=COLOURS[FUSED],
            markersize=4,
            label="each subset" if i == 0 else None,
        )
    every = math.ceil(len(whole) / MOST_TICKS)
    axis.set_xticks(places[::every], [str(g) for g in whole.index[::every]])
    axis.set(xlabel="cluster", ylabel="share", ylim=(0, None))
    axis.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def cluster_range(table: pd.DataFrame) -> str:
    """How far draws are from their class, relative to random draws, over the number of clusters.

    Args:
        table: as ``sampling.cluster_range`` makes it.
    """
    names = {"energy_ratio": "energy distance", "share_deviation_ratio": "shares of origins"}
    figure, (axis,) = plain_axes(width=5.6)
    axis.axhline(1, color=COLOURS[BASELINE], linestyle="--", label="random draw")
    for i, (label, part) in enumerate(table.groupby("label")):
        for name, style in zip(names, ("o-", "s:"), strict=True):
            if name in part:
                text = f"{plain_text(str(label))}: {names[name]}"
                axis.plot(part["n_clusters"], part[name], style, color=f"C{i % 10}", label=text)
    axis.set(
        xscale="log", xlabel="clusters K", ylabel="deviation / that of a random draw", ylim=(0, None)
    )
    axis.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def embedding(places: pd.DataFrame, drawn: np.ndarray) -> str:
    """A class in the plane, coloured by cluster, with one subset's samples ringed.

    Args:
        places: columns ``x``, ``y``, ``cluster`` (a number).
        drawn: (len(places),) bool, true for samples of the subset.
    """
    figure, (axis,) = plain_axes(width=5.6, height=4.6)
    axis.grid(False)
    axis.set_xticks([])
    axis.set_yticks([])
    named = places["cluster"].nunique() <= MOST_NAMED
    if named:
        for i, (cluster, part) in enumerate(places.groupby("cluster")):
            axis.scatter(part["x"], part["y"], s=7, color=f"C{i}", label=str(cluster), linewidths=0)
    else:
        points = axis.scatter(
            places["x"], places["y"], s=7, c=places["cluster"], cmap="turbo", linewidths=0
        )
        figure.colorbar(points, ax=axis, label="cluster")
    chosen = places[drawn]
    axis.scatter(
        chosen["x"],
        chosen["y"],
        s=22,
        facecolors="none",
        edgecolors="#1b2430",
        linewidths=0.6,
        label="drawn",
    )
    place = {"title": "cluster", "loc": "center left", "bbox_to_anchor": (1, 0.5)} if named else {}
    axis.legend(frameon=False, fontsize=8, **place)
    return to_svg(figure)


def confusion(matrix: np.ndarray, classes: list[str]) -> str:
    """Confusion matrix with counts; a row a true class."""
    size = 1.6 + 0.75 * len(classes)
    figure, (axis,) = plain_axes(width=size + 0.8, height=size)
    draw_confusion(axis, matrix, classes)
    return to_svg(figure)


def draw_confusion(axis: Axes, matrix: np.ndarray, classes: list[str]) -> None:
    """Shares of each true class as shades, counts as numbers."""
    axis.grid(False)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        colour = "white" if shares[i, j] > 0.5 else "black"
        axis.text(j, i, str(count), ha="center", va="center", color=colour)
    names = [plain_text(name) for name in classes]
    axis.set_xticks(range(len(classes)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(classes)), names)
    axis.set(xlabel="predicted", ylabel="true")
