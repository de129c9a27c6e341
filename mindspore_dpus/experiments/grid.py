"""An experiment -> the runs that it asks for."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import yaml

from mindspore_dpus.core.configuration import named_system
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.experiments.displays import Figure, Table
from mindspore_dpus.experiments.searching import Search
from mindspore_dpus.metrics.measures import Measures
from mindspore_dpus.systems import load_system, parse_config

SPLITS = ("test", "val")


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

    @property
    def main_metric(self) -> str:
        """What the figure and the lines of progress show: the system's main measure where the table has
        it, else the first of the table."""
        headline = self.measures.headline
        return headline if headline in self.metrics else self.metrics[0]


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
        for key, option in itertools.product(keys_of(values), sorted(given)):
            if undoes(key, option):
                raise UserError(f"--{option} would undo the axis {axis}; change the experiment's file")


def keys_of(values: dict[str, dict]) -> list[str]:
    """What the values of an axis set."""
    return list(dict.fromkeys(str(key) for keys in values.values() for key in keys))


def undoes(key: str, other: str) -> bool:
    """Whether two keys of a configuration are the same, or one is the section that holds the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", text.lower()).strip("_")


def _as_option(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n...")[0].strip()
