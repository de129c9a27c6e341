"""An experiment file -> the runs that it asks for."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mindspore_dpus.cli import parse_config
from mindspore_dpus.config import Config
from mindspore_dpus.errors import UserError


@dataclass
class Experiment:
    """A grid: every combination of one value from each axis, with every seed.

    Args:
        output: folder of the experiment; each run gets a folder in it.
        config: configuration file that every run starts from, relative to the experiment's file.
        common: keys that all runs share.
        seeds: one run of every combination for each.
        axes: axis -> value -> the keys that this value stands for.
        reference: axis -> value: what the others are compared with, all else equal.
        metrics: what the table shows.
        x: axis along the figure's x-axis; None: bars.
    """

    output: str
    config: str
    axes: dict[str, dict[str, dict]]
    seeds: list[int] = field(default_factory=lambda: [0])
    common: dict = field(default_factory=dict)
    reference: dict[str, str] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=lambda: ["precision", "recall", "auc"])
    x: str | None = None


@dataclass(frozen=True)
class Case:
    """One run of a grid.

    Args:
        name: of its folder.
        cell: axis -> value.
        seed: the run's seed.
        config: complete.
    """

    name: str
    cell: dict[str, str]
    seed: int
    config: Config

    @property
    def title(self) -> str:
        """For people."""
        return " / ".join([*self.cell.values(), f"seed {self.seed}"])


def load_experiment(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown, missing or misshapen keys.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        experiment = Experiment(**values)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    except TypeError as error:
        reason = str(error).replace("Experiment.__init__() ", "")
        raise UserError(f"{path} is not an experiment: {reason}") from None
    if not isinstance(experiment.axes, dict) or not all(
        isinstance(values, dict) and values for values in experiment.axes.values()
    ):
        raise UserError(f"{path}: axes must map each axis to its values, and each value to its keys")
    for axis, value in experiment.reference.items():
        if value not in experiment.axes.get(axis, {}):
            raise UserError(f"{path}: reference names {axis}: {value}, which the axes do not have")
    if experiment.x is not None and experiment.x not in experiment.axes:
        raise UserError(f"{path}: x names the axis {experiment.x!r}, which the axes do not have")
    base = path.parent / experiment.config
    return Experiment(**{**vars(experiment), "config": str(base)})


def expand(experiment: Experiment, options: Sequence[str] = ()) -> list[Case]:
    """All runs of an experiment, seed by seed, so that a partial grid compares all methods.

    Args:
        experiment: the grid.
        options: further command-line options of every run, such as ``--data.root=FOLDER``.

    Raises:
        UserError: some combination is not a valid configuration; the message names it.
    """
    cases = []
    for seed in experiment.seeds:
        for values in itertools.product(*(axis.items() for axis in experiment.axes.values())):
            cell = dict(zip(experiment.axes, (name for name, _ in values), strict=True))
            name = "-".join([*(_slug(v) for v in cell.values()), f"seed{seed}"])
            keys = dict(experiment.common)
            for _, settings in values:
                keys |= settings or {}
            keys |= {"seed": seed}
            arguments = [f"--config={experiment.config}"]
            arguments += [f"--{key}={_as_option(value)}" for key, value in keys.items()]
            output = f"--output={Path(experiment.output) / name}"
            try:
                config = parse_config([*arguments, *options, output])
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
            cases.append(Case(name, cell, seed, config))
    return cases


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", text.lower()).strip("_")


def _as_option(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n...")[0].strip()
