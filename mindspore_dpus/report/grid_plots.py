"""Figures of several runs, each as an SVG string. No MindSpore here."""

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps

from mindspore_dpus.metrics.measures import OF_RUN
from mindspore_dpus.report.plots import (
    COLOURS,
    FUSED,
    draw_confusion,
    plain_axes,
    plain_text,
    to_svg,
)


def metric_title(metric: str, split: str) -> str:
    """A metric and whose it is, for people: ``test AUC``, ``test recall of trash``."""
    name, _, label = metric.partition(":")
    title = name.upper() if name in ("auc", "f1") else name.replace("_", " ")
    if name in OF_RUN:
        return title
    return f"{split} {title}" + (f" of {label}" if label else "")


def grid(
    table: pd.DataFrame,
    axes: list[str],
    x: str | None = None,
    metric: str = "auc",
    split: str = "test",
    order: list[str] | None = None,
) -> str:
    """One metric over a grid of runs: mean and standard deviation over the seeds.

    Args:
        table: a row a cell, columns ``axes``, ``<metric>_mean``, ``<metric>_sd``.
        axes: the grid's axes; the last one (or, with ``x``, the last other one) gives the series.
        x: axis along the x-axis, as lines; None: horizontal bars.
        metric: which.
        split: whose, for the axis title.
        order: values of ``x`` from left to right; None: as the table has them.
    """
    title = metric_title(metric, split)
    means, sds = table[f"{metric}_mean"], table[f"{metric}_sd"]
    several = sds.notna().any()
    sds = sds.fillna(0.0)
    if x is None:
        figure, (axis,) = plain_axes(width=6.5, height=0.6 + 0.3 * len(table))
        names = [plain_text(" / ".join(row)) for row in table[axes].to_numpy()]
        places = np.arange(len(table))[::-1]
        axis.errorbar(means, places, xerr=sds, fmt="o", color=COLOURS[FUSED], capsize=3)
        axis.set_yticks(places, names)
        of = "mean and standard deviation over the seeds" if several else "one seed"
        axis.set(xlabel=f"{title} ({of})")
        return to_svg(figure)
    figure, (axis,) = plain_axes(width=6.5, height=4.2)
    there = set(table[x])
    ticks = [value for value in order or dict.fromkeys(table[x]) if value in there]
    others = [name for name in axes if name != x]
    # Without another axis there is one line, for all of the table.
    keys = table[others].agg(" / ".join, axis=1) if others else pd.Series("", index=table.index)
    names = list(dict.fromkeys(keys))
    for i, name in enumerate(names):
        chosen = keys == name
        # Side by side, else the bars of many lines hide each other.
        aside = (i - (len(names) - 1) / 2) * 0.4 / len(names)
        places = [ticks.index(value) + aside for value in table[x][chosen]]
        axis.errorbar(
            places,
            means[chosen],
            yerr=sds[chosen],
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
            label=plain_text(name) or None,
        )
    axis.set_xticks(range(len(ticks)), [plain_text(tick) for tick in ticks])
    of = "mean ± standard deviation" if several else "one seed"
    axis.set(xlabel=plain_text(x), ylabel=f"{title} ({of})")
    if others:
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return to_svg(figure)


def compared_curves(histories: dict[str, pd.DataFrame]) -> str:
    """Loss and accuracy of several runs over the epochs; dashed: of validation.

    Args:
        histories: run -> columns ``epoch``, ``train_loss``, ``val_loss``, ``val_accuracy``, and of runs
            that have it ``train_accuracy``.
    """
    figure, (left, right) = plain_axes(columns=2, width=5.2, height=3.8)
    # The ten colours of matplotlib's cycle; of more runs, steps of a scale.
    n = len(histories)
    colours = [f"C{i}" for i in range(n)] if n <= 10 else colormaps["viridis"](np.linspace(0, 0.95, n))
    for colour, (name, history) in zip(colours, histories.items(), strict=True):
        for axis, what in ((left, "loss"), (right, "accuracy")):
            for part, style in (("train", "-"), ("val", "--")):
                if f"{part}_{what}" in history:
                    label = plain_text(name) if part == "val" and axis is right else None
                    values = history[f"{part}_{what}"]
                    axis.plot(history["epoch"], values, style, color=colour, label=label)
    left.set(xlabel="epoch", ylabel="loss", title="Loss (dashed: validation)")
    right.set(xlabel="epoch", ylabel="accuracy", title="Accuracy (dashed: validation)")
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return to_svg(figure)


def confusions(matrices: dict[str, np.ndarray], classes: list[str]) -> str:
    """Confusion matrices of several runs, at most four in a row.

    Args:
        matrices: run -> (C, C) counts, a row a true class.
        classes: names.
    """
    columns = min(4, len(matrices))
    size = 1.6 + 0.6 * len(classes)
    figure, axes = plain_axes(size, size + 0.3, columns, math.ceil(len(matrices) / columns))
    for axis, (name, matrix) in zip(axes, matrices.items(), strict=False):
        draw_confusion(axis, matrix, classes)
        axis.set_title(plain_text(name), fontsize=10)
    for axis in axes[len(matrices) :]:
        axis.remove()
    return to_svg(figure)


def bars(table: pd.DataFrame, axes: list[str], metric: str, split: str) -> str:
    """A bar for each cell of a grid with its mean, and whiskers of its standard deviation.

    Args:
        table: a row a cell, columns ``axes``, ``<metric>_mean``, ``<metric>_sd``.
        axes: the grid's axes, which name the bars.
        metric: which.
        split: whose, for the axis title.
    """
    means, sds = table[f"{metric}_mean"], table[f"{metric}_sd"]
    figure, (axis,) = plain_axes(width=max(4.6, 1.1 * len(table)), height=3.6)
    names = [plain_text(" / ".join(row)) for row in table[axes].to_numpy()]
    axis.set_axisbelow(True)
    drawn = axis.bar(names, means, yerr=sds, width=0.6, color=COLOURS[FUSED], capsize=3)
    axis.bar_label(drawn, [f"{mean:.4g}" for mean in means], padding=2, fontsize=8)
    axis.tick_params(axis="x", labelrotation=20)
    axis.set(ylabel=metric_title(metric, split))
    axis.margins(y=0.12)
    return to_svg(figure)
