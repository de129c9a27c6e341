"""How time and memory of each stage grow: whole simulated runs, one setting changed at a time."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarking.measuring import run_apart
from mindspore_dpus.core.processes import Work
from mindspore_dpus.report.plots import plain_axes, to_svg
from mindspore_dpus.systems import parse_config

DEFECTS = 0.1
COLUMNS = ["axis", "value", "stage", "seconds", "memory_mb", "member_memory_mb"]
# Stages that take less are noise.
SHOWN = 1.0


@dataclass(frozen=True)
class Sizes:
    """How large a run is.

    Args:
        images: N, normal training images; a tenth as many defects come on top.
        clusters: K.
        subsets: t.
        pixels: height and width of an image.
    """

    images: int = 1000
    clusters: int = 5
    subsets: int = 3
    pixels: int = 64


# Axis -> what its values are called.
AXES = {
    "images": "training images N",
    "clusters": "clusters K",
    "subsets": "subsets t",
    "pixels": "image size in pixels",
}


def configuration(sizes: Sizes, target: str):
    """A run of two epochs with nothing pretrained, and no intervals."""
    options = {
        "system": "classification",
        "simulate.enabled": "true",
        "simulate.train": [sizes.images, round(DEFECTS * sizes.images)],
        "simulate.val": [50, 50],
        "simulate.test": [50, 50],
        "simulate.size": sizes.pixels,
        "images.size": sizes.pixels,
        "features.pretrained": "null",
        "sampling.n_clusters": sizes.clusters,
        "sampling.n_subsets": sizes.subsets,
        "model.backbone": "mobilenet_v2",
        "model.pretrained": "null",
        "training.epochs": 2,
        "evaluation.n_bootstrap": 0,
        "device.target": target,
    }
    return parse_config([f"--{key}={value}" for key, value in options.items()])


def measure_growth(
    axes: dict[str, list[int]], base: Sizes, target: str, report: Callable[[str], None]
) -> pd.DataFrame:
    """Train once for each value of each axis, everything else as in ``base``.

    Args:
        axes: field of ``Sizes`` -> its values.
        base: the other sizes.
        target: the device (``device.target``).
        report: called with a line before each run.

    Returns:
        A row a run and stage: ``axis``, ``value``, ``stage``, ``seconds`` on the clock, ``memory_mb``
        (the most that the process held up to the end of that stage), ``member_memory_mb`` (the same of
        the largest process that it had started: from the stage of the members on, a member's).

    Raises:
        UserError: a process was killed, or the device cannot be used.
    """
    runs = {
        (axis, value): replace(base, **{axis: value})
        for axis, values in axes.items()
        for value in values
    }
    # The base is on every axis, and is measured once.
    different = list(dict.fromkeys(runs.values()))
    stages = {}
    for number, sizes in enumerate(different, start=1):
        report(f"{number}/{len(different)}: {', '.join(f'{k} {v}' for k, v in vars(sizes).items())}")
        stages[sizes] = _train_apart(sizes, target)
    rows = [
        (axis, value, name, one["seconds"], one["peak_memory_mb"], one["child_peak_memory_mb"])
        for (axis, value), sizes in runs.items()
        for name, one in stages[sizes].items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _train_apart(sizes: Sizes, target: str) -> dict[str, dict]:
    """``stages.json`` of a run in a process, and a folder, of its own."""
    with TemporaryDirectory(prefix="growth-") as folder:
        return run_apart([Work("growth", _train_here, (sizes, target, Path(folder)))])[0]


def _train_here(sizes: Sizes, target: str, folder: Path, send: Callable[[dict], None]) -> None:
    from mindspore_dpus.systems import train

    config = dataclasses.replace(configuration(sizes, target), output=str(folder / "run"))
    send(train(config).stages())


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """How each stage's time grows along each axis.

    Args:
        table: of ``measure_growth``.

    Returns:
        A row an axis and stage that takes ``SHOWN`` seconds somewhere: ``smallest``, ``largest``
        (seconds at both ends), ``exponent``: the slope of a line through logarithms, 1 where twice the
        value takes twice the time.
    """
    rows = []
    for (axis, stage), part in table.groupby(["axis", "stage"], sort=False):
        part = part.sort_values("value")
        seconds = part["seconds"].to_numpy()
        if seconds.max() >= SHOWN and len(part) > 1:
            # Stages are timed to a hundredth.
            slope = np.polyfit(np.log(part["value"]), np.log(np.maximum(seconds, 0.01)), 1)[0]
            rows.append((axis, stage, seconds[0], seconds[-1], round(slope, 2)))
    return pd.DataFrame(rows, columns=["axis", "stage", "smallest", "largest", "exponent"])


def plot(table: pd.DataFrame) -> str:
    """Seconds of the longer stages (above) and memory (below) along each axis, as SVG."""
    axes = list(dict.fromkeys(table["axis"]))
    figure, panels = plain_axes(3.6, 3.0, len(axes), 2)
    long = table.groupby("stage", sort=False)["seconds"].max()
    colours = {stage: f"C{i}" for i, stage in enumerate(long.index[long >= SHOWN])}
    for column, axis in enumerate(axes):
        part = table[table["axis"] == axis].sort_values("value")
        above, below = panels[column], panels[column + len(axes)]
        for stage, colour in colours.items():
            one = part[part["stage"] == stage]
            above.plot(one["value"], one["seconds"].clip(lower=0.01), "o-", color=colour, label=stage)
        most = part.groupby("value")[["memory_mb", "member_memory_mb"]].max()
        for name, label in (("memory_mb", "main process"), ("member_memory_mb", "a member's process")):
            below.plot(most.index, most[name], "o-", label=label)
        above.set(xscale="log", yscale="log", ylabel="seconds")
        below.set(xscale="log", xlabel=AXES[axis], ylabel="largest memory / MB")
        below.set_ylim(bottom=0)
        for panel in (above, below):
            values = sorted(part["value"].unique())
            panel.set_xticks(values, [str(value) for value in values])
            panel.minorticks_off()
    for row, place in ((panels[: len(axes)], "upper"), (panels[len(axes) :], "lower")):
        together = [panel.get_ylim() for panel in row]
        for panel in row:
            panel.set_ylim(min(low for low, _ in together), max(high for _, high in together))
        figure.legend(*row[0].get_legend_handles_labels(), loc=f"outside right {place}")
    return to_svg(figure)
