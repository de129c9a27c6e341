"""The tables and figures that an experiment's file names, beside those that every grid gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.measures import Measures

Kind = Literal["curves", "confusion", "bars", "lines"]
# Kinds that need more of a run than numbers: class probabilities.
OF_PREDICTIONS = ("confusion",)
# axis -> value or values.
Where = dict[str, str | list[str]]


@dataclass
class Table:
    """A part of the grid's table, in a paper's layout.

    Args:
        where: axis -> the value or values that it shows; an axis of one value gets no column.
        metrics: its columns; None: the experiment's.
        percent: those of them that are shown in per cent.
        across: an axis whose values are the columns, instead of metrics. The other axes are the rows, and
            with them the metrics, where ``metrics`` names several; of the experiment's, the first is shown.
            A cell with fewer runs than the metric's fullest one says how many.
        printed: metric -> a paper's number for it, as it is printed: the table's first row.
        fold: so many parts side by side.
    """

    where: Where = field(default_factory=dict)
    metrics: list[str] | None = None
    percent: list[str] = field(default_factory=list)
    across: str | None = None
    printed: dict[str, float] = field(default_factory=dict)
    fold: int = 1


@dataclass
class Figure:
    """A picture of some of the grid's runs.

    Args:
        kind: curves: loss and accuracy over the epochs; confusion: confusion matrices; bars, lines: a
            metric over the grid.
        where: axis -> the value or values that it shows.
        best: of those, only the run with the highest value of this metric on validation (curves,
            confusion). None: all.
        metric: what bars and lines show; None: the experiment's first.
        x: axis along the x-axis (lines).
    """

    kind: Kind
    where: Where = field(default_factory=dict)
    best: str | None = None
    metric: str | None = None
    x: str | None = None


def read_displays(
    path: Path,
    key: str,
    kind: type[Table | Figure],
    values: object,
    axes: dict[str, dict],
    measures: Measures,
) -> dict[str, Table | Figure]:
    """Turn an experiment's ``tables`` or ``figures`` into dataclasses.

    Args:
        path: the experiment's file, for messages.
        key: ``tables`` or ``figures``.
        kind: the dataclass.
        values: name -> its keys, as YAML has them.
        axes: of the experiment.
        measures: what they can show.

    Raises:
        UserError: names the first one that is misshapen.
    """
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise UserError(f"{path}: {key} must map each name to its keys")
    displays = {}
    for name, keys in values.items():
        place = f"{path}: {key}: {name}"
        if not str(name).replace("_", "").replace("-", "").isalnum():
            raise UserError(f"{place}: it names a file; use letters, digits, - and _")
        try:
            display = kind(**keys)
        except TypeError as error:
            raise UserError(
                f"{place}: {str(error).replace(f'{kind.__name__}.__init__() ', '')}"
            ) from None
        display.where = _read_where(place, display.where, axes)
        _check(place, display, axes, measures)
        displays[str(name)] = display
    return displays


def _read_where(place: str, where: object, axes: dict[str, dict]) -> dict[str, list[str]]:
    if not isinstance(where, dict):
        raise UserError(f"{place}: where is {where!r}; it must map axes to values")
    read = {}
    for axis, values in where.items():
        read[str(axis)] = [str(v) for v in (values if isinstance(values, list) else [values])]
        for value in read[str(axis)]:
            if value not in axes.get(str(axis), {}):
                raise UserError(f"{place}: where names {axis}: {value}, which the axes do not have")
    return read


def _check(place: str, display: Table | Figure, axes: dict[str, dict], measures: Measures) -> None:
    if isinstance(display, Table):
        _check_measures(place, "metrics", display.metrics or [], measures)
        _check_measures(place, "percent", display.percent, measures)
        if display.across is not None:
            display.across = _axis(place, "across", display.across, axes)
            if len(axes) < 2:
                raise UserError(f"{place}: across needs another axis, for the rows")
        _check_printed(place, display)
        if type(display.fold) is not int or display.fold < 1:
            raise UserError(f"{place}: fold is {display.fold!r}; it must be a whole number from 1 up")
        return
    kinds = get_args(Kind)
    if display.kind not in kinds:
        raise UserError(f"{place}: kind is {display.kind!r}; it must be {', '.join(kinds)}")
    pictures = display.kind in ("curves", "confusion")
    for key, fits in (("best", pictures), ("metric", not pictures), ("x", display.kind == "lines")):
        if getattr(display, key) is not None and not fits:
            raise UserError(f"{place}: {key} has no effect with kind {display.kind}; leave it out")
    _check_measures(place, "metric", [display.metric] if display.metric else [], measures)
    if display.kind in OF_PREDICTIONS and not measures.has_predictions:
        raise UserError(
            f"{place}: kind {display.kind} is of class probabilities, which this system lacks"
        )
    if display.kind == "curves" and not measures.has_predictions:
        # The mean over a run's networks is one of likes only where they are members of an ensemble.
        raise UserError(
            f"{place}: kind curves is the mean over the members of an ensemble; the networks of this system "
            "learn different things: each run's report has a curve for each of them"
        )
    if display.best is not None and display.best not in measures.names:
        raise UserError(f"{place}: best is {display.best!r}; it must be {', '.join(measures.names)}")
    if display.kind == "lines":
        display.x = _axis(place, "x", display.x, axes)


def _check_printed(place: str, table: Table) -> None:
    printed = table.printed
    numbers = isinstance(printed, dict) and all(type(v) in (int, float) for v in printed.values())
    if not numbers:
        raise UserError(f"{place}: printed is {printed!r}; it must map metrics to numbers")
    if printed and table.across is not None:
        raise UserError(f"{place}: printed has no effect with across; leave it out")
    for name in printed:
        if name not in (table.metrics or []):
            raise UserError(f"{place}: printed names {name!r}, which its metrics do not")


def _axis(place: str, key: str, name: object, axes: dict[str, dict]) -> str:
    if str(name) not in axes:
        raise UserError(f"{place}: {key} names the axis {name!r}, which the axes do not have")
    return str(name)


def _check_measures(place: str, key: str, names: Sequence[str], measures: Measures) -> None:
    if not isinstance(names, list) or not all(measures.has(name) for name in names):
        raise UserError(f"{place}: {key} is {names!r}; it must be of {measures.in_words()}")
