"""Figures of detections, each as an SVG string: where boxes stand, and precision against recall."""

from collections.abc import Mapping, Sequence

import numpy as np

from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.metrics.average_precision import Curve
from mindspore_dpus.report.plots import plain_axes, to_svg


def place_map(heat: np.ndarray, kept: PlaceFilter | None) -> str:
    """How many true boxes cover each part of the frame, and where the place filter lets none be.

    Args:
        heat: (rows, columns), of ``place_filter.heat_map``.
        kept: its band and triangle are drawn; None: there is no filter.

    Source: traffic-sign paper, Figure 12.
    """
    figure, (axis,) = plain_axes(5.4, 3.4)
    shown = axis.imshow(heat, extent=(0, 1, 1, 0), aspect="auto", cmap="viridis")
    figure.colorbar(shown, ax=axis, label="boxes")
    if kept is not None:
        for edge in (kept.top, kept.bottom):
            axis.axhline(edge, color="white", linewidth=1.5)
        if kept.triangle is not None:
            axis.fill(*np.array(kept.triangle).T, fill=False, edgecolor="red", linewidth=1.5)
    axis.grid(False)
    axis.set(xlim=(0, 1), ylim=(1, 0), xlabel="share of the width", ylabel="share of the height")
    axis.set_title("True boxes of training frames")
    return to_svg(figure)


def precision_recall_curves(together: Mapping[str, Curve], classes: Sequence[Curve]) -> str:
    """Precision against recall.

    Args:
        together: title -> curve of all classes taken as one.
        classes: of each class, drawn thin.
    """
    figure, (axis,) = plain_axes(5.4, 3.4)
    for curve in classes:
        axis.plot(curve.recall, curve.precision, color="0.75", linewidth=0.8)
    for title, curve in together.items():
        axis.plot(curve.recall, curve.precision, linewidth=2.0, label=title)
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axis.set_title("Test frames; thin: each class at 0.5")
    axis.legend(loc="lower left")
    return to_svg(figure)
