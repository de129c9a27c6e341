"""An experiment's file: read, and checked before anything is run."""

import itertools
import re
from pathlib import Path

import yaml

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import is_section
from mindspore_dpus.experiments.displays import Figure, Table, read_displays
from mindspore_dpus.experiments.grid import SPLITS, Experiment, keys_of, undoes
from mindspore_dpus.experiments.searching import Search

# Columns that the tables have besides the axes and the metrics.
TAKEN = re.compile(
    r"seed|split|runs|pairs|notes|(group_|within_)?difference(_low|_high)?|.+_(mean|sd)"
    r"|class|support|f1|gain|\d+ fused|largest cluster|.+ random"
    r"|(true_)?share_deviation|energy|mmd|all images|within groups|group .+"
    r"|interval over groups|difference within groups"
)


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
    settings = {f"axes: {axis}": keys_of(values) for axis, values in experiment.axes.items()}
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
        for key, key_there in itertools.product(keys_of(values), keys_of(others)):
            if undoes(key, key_there):
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
