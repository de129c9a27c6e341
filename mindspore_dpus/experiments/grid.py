"""An experiment file -> the runs that it asks for."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import yaml

from mindspore_dpus.core.configuration import named_system
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import is_section
from mindspore_dpus.experiments.displays import (
    Figure,
    Table,
    read_displays,
)
from mindspore_dpus.experiments.searching import Search
from mindspore_dpus.metrics.measures import Measures
from mindspore_dpus.systems import load_system, parse_config

SPLITS = ("test", "val")
# Columns that the tables have besides the axes and the metrics.
TAKEN = re.compile(
    r"seed|split|runs|pairs|(group_|within_)?difference(_low|_high)?|.+_(mean|sd)"
    r"|class|support|f1|gain|\d+ fused|largest cluster|.+ random"
    r"|(true_)?share_deviation|energy|mmd|all images|within groups|group .+"
    r"|interval over groups|difference within groups"
)


@dataclass
class Experiment:
    """A grid: every combination of one value from each axis, with every seed.

    Args:
        output: folder of the experiment; each run gets a folder in it.
        config: configuration file that every run starts from, relative to the experiment's file.
        axes: axis -> value -> the keys that this value stands for.
        seeds: one run of every combination for each.
        common: keys that all runs share.
        reference: axis -> value: what the others are compared with, all else equal.
        metrics: what the table shows.
        x: axis along the figure's x-axis; None: bars.
        split: whose predictions the tables and the figure are about. ``test``; or ``val``, to choose
            settings without a look at the test images.
        tables: name -> a part of the table in a paper's layout.
        figures: name -> a picture of some of the runs.
        search: more axes: candidates out of a declared space.
    """

    output: str
    config: str
    axes: dict[str, dict[str, dict]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    common: dict = field(default_factory=dict)
    reference: dict[str, str] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=lambda: ["precision", "recall", "auc"])
    x: str | None = None
    split: str = "test"
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    search: Search | None = None

    @property
    def system(self) -> ModuleType:
        """The module of the system that the configuration names."""
        name = named_system([f"--config={self.config}"])
        if name is None:
            raise UserError(f"{self.config} names no system: is this the configuration of a run?")
        return load_system(name)

    @property
    def measures(self) -> Measures:
        """What the tables can show: the measures of the system."""
        return self.system.MEASURES


@dataclass(frozen=True)
class Case:
    """One run of a grid.

    Args:
        name: of its folder.
        cell: axis -> value.
        seed: the run's seed.
        config: complete.
        reused: whether it is another experiment's finished run, only to be read.
    """

    name: str
    cell: dict[str, str]
    seed: int
    config: object
    reused: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return " / ".join([*self.cell.values(), f"seed {self.seed}"])

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.config.output)


def load_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown, missing or misshapen keys.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not an experiment: it holds no keys")
    try:
        experiment = Experiment(**values)
    except TypeError as error:
        reason = str(error).replace("Experiment.__init__() ", "")
        raise UserError(f"{path} is not an experiment: {reason}") from None
    _add_search(path, experiment)
    _check_shapes(path, experiment)
    # To YAML, a value such as 5 or 0.1 is a number.
    experiment.axes = {
        str(axis): {str(value): keys or {} for value, keys in values.items()}
        for axis, values in experiment.axes.items()
    }
    experiment.reference = {str(axis): str(value) for axis, value in experiment.reference.items()}
    experiment.config = str(path.parent / experiment.config)
    _check_names(path, experiment)
    return experiment


def _add_search(path: Path, experiment: Experiment) -> None:
    """Turn the section ``search`` into axes."""
    if experiment.search is None:
        return
    if not isinstance(experiment.search, dict) or not isinstance(experiment.axes, dict):
        raise UserError(f"{path}: search and axes must map keys to values")
    try:
        experiment.search = Search(**experiment.search)
        found = experiment.search.axes()
    except TypeError as error:
        reason = str(error).replace("Search.__init__() ", "")
        raise UserError(f"{path}: search: {reason}") from None
    except UserError as error:
        raise UserError(f"{path}: search: {str(error).removeprefix('search: ')}") from None
    if twice := set(found) & set(experiment.axes):
        raise UserError(f"{path}: axes has {twice.pop()}, which search adds; rename the axis")
    experiment.axes = experiment.axes | found


def _check_shapes(path: Path, experiment: Experiment) -> None:
    axes = experiment.axes
    if not isinstance(axes, dict) or not axes:
        raise UserError(f"{path}: axes must map each axis to its values, and each value to its keys")
    for axis, values in axes.items():
        if not isinstance(values, dict) or not values:
            raise UserError(f"{path}: axes must map each axis to its values; {axis} has none")
        for value, keys in values.items():
            if keys is not None and not isinstance(keys, dict):
                raise UserError(f"{path}: axes: {axis}: {value} is {keys!r}; it must map keys to values")
    for key in ("output", "config"):
        if not isinstance(getattr(experiment, key), str):
            raise UserError(f"{path}: {key} is {getattr(experiment, key)!r}; it must be text")
    for key in ("common", "reference"):
        if not isinstance(getattr(experiment, key), dict):
            raise UserError(f"{path}: {key} is {getattr(experiment, key)!r}; it must map keys to values")
    seeds = experiment.seeds
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise UserError(f"{path}: seeds is {seeds!r}; it must be a list of whole numbers")


def _check_names(path: Path, experiment: Experiment) -> None:
    system = experiment.system  # The configuration's file is read for it.
    measures = system.MEASURES
    settings = {f"axes: {axis}": _keys(values) for axis, values in experiment.axes.items()}
    for place, keys in (settings | {"common": experiment.common}).items():
        for key, instead in (
            ("seed", "seeds of the experiment"),
            ("output", "output of the experiment"),
        ):
            if key in keys:
                raise UserError(f"{path}: {place} sets {key}, which each run gets from the {instead}")
    values = {f"axes: {axis}": list(v.values()) for axis, v in experiment.axes.items()}
    for place, several in (values | {"common": [experiment.common]}).items():
        for key in (key for keys in several for key, value in (keys or {}).items() if value == {}):
            if is_section(system.Configuration, key):
                raise UserError(
                    f"{path}: {place}: {key} is empty, which changes nothing: name the keys that differ"
                )
    for axis in experiment.axes:
        if TAKEN.fullmatch(axis) or measures.has(axis):
            raise UserError(f"{path}: axes: the tables have a column {axis} already; rename the axis")
    for (axis, values), (other, others) in itertools.combinations(experiment.axes.items(), 2):
        for key, key_there in itertools.product(_keys(values), _keys(others)):
            if _undoes(key, key_there):
                raise UserError(
                    f"{path}: the axes {axis} and {other} both set {key}; one would undo the other"
                )
    for axis, value in experiment.reference.items():
        if value not in experiment.axes.get(axis, {}):
            raise UserError(f"{path}: reference names {axis}: {value}, which the axes do not have")
    if experiment.x is not None and str(experiment.x) not in experiment.axes:
        raise UserError(f"{path}: x names the axis {experiment.x!r}, which the axes do not have")
    if experiment.split not in SPLITS:
        raise UserError(f"{path}: split is {experiment.split!r}; it must be {' or '.join(SPLITS)}")
    experiment.x = None if experiment.x is None else str(experiment.x)
    metrics = experiment.metrics
    if not isinstance(metrics, list) or not metrics or not all(map(measures.has, metrics)):
        raise UserError(f"{path}: metrics is {metrics!r}; it must be a list of {measures.in_words()}")
    if experiment.search and experiment.search.by not in measures.names:
        raise UserError(
            f"{path}: search: by is {experiment.search.by!r}; it must be {', '.join(measures.names)}"
        )
    if experiment.reference and not measures.has_predictions:
        raise UserError(
            f"{path}: reference compares class probabilities of the same images, which this system lacks"
        )
    if len(set(metrics)) < len(metrics):
        raise UserError(f"{path}: metrics is {metrics!r}; name each once")
    experiment.tables = read_displays(
        path, "tables", Table, experiment.tables, experiment.axes, measures
    )
    experiment.figures = read_displays(
        path, "figures", Figure, experiment.figures, experiment.axes, measures
    )


def choose(experiment: Experiment, cases: Sequence[Case], choices: Sequence[str]) -> list[Case]:
    """The runs of a grid that have some values of some axes.

    Args:
        experiment: the grid.
        cases: its runs.
        choices: ``axis=value`` each; of an axis that none names, all values.

    Raises:
        UserError: no such axis or value.
    """
    kept: dict[str, list[str]] = {}
    for choice in choices:
        axis, _, value = choice.partition("=")
        if value not in experiment.axes.get(axis, {}):
            known = [f"{a}={v}" for a, values in experiment.axes.items() for v in values]
            raise UserError(f"only {choice}: the grid has no such value; it has {'; '.join(known)}")
        kept.setdefault(axis, []).append(value)
    return [case for case in cases if all(case.cell[axis] in values for axis, values in kept.items())]


def expand(experiment: Experiment, options: Sequence[str] = ()) -> list[Case]:
    """All runs of an experiment, seed by seed, so that a partial grid compares all methods.

    Args:
        experiment: the grid.
        options: further command-line options of every run, such as ``--data.root=FOLDER``.

    Raises:
        UserError: some combination is not a valid configuration (the message names it), an option would
            undo what tells the runs apart, or two runs would share a folder.
    """
    _check_options(experiment, options)
    check = experiment.system.check_configuration
    cases: dict[str, Case] = {}
    # To parse takes long; what another seed changes is the seed and the folder.
    first: dict[tuple[str, ...], object] = {}
    for seed in experiment.seeds:
        for values in itertools.product(*(axis.items() for axis in experiment.axes.values())):
            cell = dict(zip(experiment.axes, (name for name, _ in values), strict=True))
            name = "-".join([*(_slug(v) for v in cell.values()), f"seed{seed}"])
            output = str(Path(experiment.output) / name)
            if name in cases:
                raise UserError(
                    f"{name}: two runs would share this folder; name seeds once, and axis values so "
                    "that they differ in letters or digits"
                )
            keys = dict(experiment.common)
            for _, settings in values:
                keys |= settings
            arguments = [f"--config={experiment.config}"]
            arguments += [f"--{key}={_as_option(value)}" for key, value in keys.items()]
            own = [f"--seed={seed}", f"--output={output}"]
            try:
                if tuple(cell.values()) in first:
                    config = replace(first[*cell.values()], seed=seed, output=output)
                    check(config)
                else:
                    config = first[*cell.values()] = parse_config([*arguments, *options, *own])
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
            cases[name] = Case(name, cell, seed, config)
    return list(cases.values())


def _check_options(experiment: Experiment, options: Sequence[str]) -> None:
    given = {option.partition("=")[0].removeprefix("--") for option in options if option[:2] == "--"}
    if "seed" in given:
        raise UserError("seed would give all runs one seed; name the seeds of the grid instead")
    for axis, values in experiment.axes.items():
        for key, option in itertools.product(_keys(values), sorted(given)):
            if _undoes(key, option):
                raise UserError(f"--{option} would undo the axis {axis}; change the experiment's file")


def _keys(values: dict[str, dict]) -> list[str]:
    """What the values of an axis set."""
    return list(dict.fromkeys(str(key) for keys in values.values() for key in keys))


def _undoes(key: str, other: str) -> bool:
    """Whether two keys of a configuration are the same, or one is the section that holds the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", text.lower()).strip("_")


def _as_option(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n...")[0].strip()
