"""From YAML files and command-line options to a checked ``Config``, and back to YAML."""

import argparse
import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

import jsonargparse
import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from mindspore_dpus.config import Config, SimulateConfig
from mindspore_dpus.errors import UserError

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


class OneLineParser(argparse.ArgumentParser):
    """For tools with few options: a wrong call is one line, like every other error."""

    def __init__(self, **kwargs) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> None:
        raise UserError(f"{message} (--help lists the options)")

    def add_run_options(self) -> None:
        """What every tool that uses a trained run takes: the run, and a device other than its own."""
        self.add_argument("--run", required=True, type=Path, help="the run folder")
        self.add_argument(
            "--device.target",
            dest="target",
            choices=("auto", "CPU", "GPU", "Ascend"),
            help="default: the run's",
        )


def config_parser(description: str | None = None) -> ArgumentParser:
    """A parser with one option for each key of ``Config``, and ``--config FILE``."""
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument(
        "--config",
        action=ActionConfigFile,
        help="YAML file with any of the keys. What comes later wins: give it first.",
    )
    parser.add_class_arguments(Config)
    return parser


def parse_config(args: Sequence[str] | None = None, description: str | None = None) -> Config:
    """Read a configuration from the command line.

    Args:
        args: the options; default: ``sys.argv[1:]``.
        description: first line of ``--help``.

    Returns:
        The checked configuration.

    Raises:
        UserError: an unknown key, a wrong type, an unreadable file, an impossible combination.
    """
    parser = config_parser(description)
    return _build(parser, lambda: parser.parse_args(args))


def load_config(path: Path) -> Config:
    """Read the ``config.yaml`` of a run folder.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown keys or wrong types.
    """
    parser = config_parser()
    return _build(parser, lambda: parser.parse_path(path))


def parse_simulate(
    args: Sequence[str] | None = None, description: str | None = None
) -> tuple[SimulateConfig, str, int]:
    """Read what ``tools/simulate.py`` is told.

    Returns:
        The checked keys of ``data.simulate``, the output folder, the seed.

    Raises:
        UserError: an unknown key, a wrong type, a value out of range.
    """
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--output", type=str, required=True, help="Folder to write to.")
    parser.add_argument("--seed", type=int, default=0, help="Equal seeds give equal files.")
    parser.add_class_arguments(SimulateConfig, skip={"enabled"})
    kinds = {"output": str, "seed": int} | typing.get_type_hints(SimulateConfig)
    values = _parsed(parser, lambda: parser.parse_args(args), kinds)
    names = [f.name for f in dataclasses.fields(SimulateConfig) if f.name != "enabled"]
    simulate = SimulateConfig(enabled=True, **{name: values[name] for name in names})
    config = Config(seed=values["seed"])
    config.data.simulate = simulate
    check_config(config)
    return simulate, values["output"], values["seed"]


def _build(parser: ArgumentParser, parse: Callable) -> Config:
    values = _parsed(parser, parse, typing.get_type_hints(Config))
    config = Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)})
    check_config(config)
    return config


def _parsed(parser: ArgumentParser, parse: Callable, kinds: dict[str, type]) -> jsonargparse.Namespace:
    try:
        values = parse()
        _check_sections(values, kinds)
        return parser.instantiate(values)
    except UnicodeDecodeError:
        raise UserError("configuration: the file given with --config is not text") from None
    except (jsonargparse.ArgumentError, TypeError) as error:
        raise UserError(f"configuration: {_in_our_words(str(error), kinds)}") from None


def _in_our_words(message: str, kinds: dict[str, type]) -> str:
    """The parser's message on a value of a wrong type, as we say it; another message on one line."""
    keys = re.findall(r'Parser key "([^"]+)":', message)
    value = re.search(r"(?:Got|Given) value: (.*)", message, re.DOTALL)
    kind = _kind_of(keys[-1], kinds) if keys else None
    if value is None or kind is None:
        return f"{' '.join(message.split())} (--help lists every key)"
    return f"{keys[-1]} is {' '.join(value[1].split()) or 'empty'}; it must be {_describe(kind)}"


def _kind_of(key: str, kinds: dict[str, type]) -> object:
    """The type of a key such as ``data.bits``; None where there is no such key."""
    *sections, name = key.split(".")
    for section in sections:
        if not dataclasses.is_dataclass(kinds.get(section)):
            return None
        kinds = typing.get_type_hints(kinds[section])
    return kinds.get(name)


def _describe(kind: object) -> str:
    """A type in words: ``float or auto``."""
    *names, last = _names(kind)
    return f"{', '.join(names)} or {last}" if names else last


def _names(kind: object) -> list[str]:
    """What a type allows, alternative by alternative."""
    args = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Literal:
            return [str(value) for value in args]
        case typing.Union | types.UnionType:
            return [name for part in args for name in _names(part)]
        case origin if origin is tuple:
            return [f"[{', '.join(_describe(part) for part in args)}]"]
        case origin if origin is list:
            return [f"[{_describe(args[0])}, ...]"]
    # Text without quotes is a number to YAML where it looks like one.
    in_words = {bool: ["true", "false"], str: ["text in quotes"], type(None): ["null"]}
    return in_words.get(kind) or [getattr(kind, "__name__", str(kind))]


def _check_sections(values: jsonargparse.Namespace, kinds: dict[str, type], prefix: str = "") -> None:
    """Refuse what the parser lets pass: a value for a section, and null where it has no sense."""
    for name, kind in kinds.items():
        if name not in values:
            continue
        value = values[name]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, jsonargparse.Namespace):
                raise UserError(
                    f"configuration: {prefix}{name} is {value!r}; it must be a section of keys"
                )
            _check_sections(value, typing.get_type_hints(kind), f"{prefix}{name}.")
        elif value is None and type(None) not in typing.get_args(kind):
            raise UserError(f"configuration: {prefix}{name} is null; it needs a value")


def dump_config(config: Config) -> str:
    """The configuration as YAML, every key written out."""
    return yaml.safe_dump(plain(config), sort_keys=False)


def plain(value: object) -> object:
    """Dataclasses and tuples as dicts and lists, for YAML and JSON."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def check_config(config: Config) -> None:
    """Refuse values that no stage could work with.

    Raises:
        UserError: names the first key that is out of range, its value and what is allowed.
    """
    for key, allowed, test in _RANGES:
        value = config
        for name in key.split("."):
            value = getattr(value, name)
        values = value if isinstance(value, list | tuple) else [value]
        if not all(_finite(v) and test(v) for v in values):
            raise UserError(f"configuration: {key} is {value}; it must be {allowed}")
    data = config.data
    if data.simulate.enabled and (data.root or data.manifest):
        raise UserError(
            "configuration: data.simulate.enabled is true and data.root or data.manifest is given; "
            "use one of them (--data.simulate.enabled false to read your own images)"
        )
    if not data.simulate.enabled and not data.root:
        raise UserError("configuration: data.root is missing; give the folder of your images")
    simulate = data.simulate
    for key, (low, high), equal in (
        ("percentiles", data.percentiles, False),
        ("window", data.window, False),
        ("simulate.flaw_size", simulate.flaw_size, True),
        ("simulate.flaw_contrast", simulate.flaw_contrast, True),
    ):
        if low > high or (low == high and not equal):
            raise UserError(f"configuration: data.{key} is {low}, {high}; the first must be smaller")
    if data.positive == data.majority:
        raise UserError("configuration: data.positive and data.majority name the same class")
    weights = config.loss.class_weights
    if weights is not None and not all(_finite(w) and w > 0 for w in weights):
        raise UserError(f"configuration: loss.class_weights is {weights}; all must be above 0")
    if config.sampling.baseline and config.sampling.strategy == "none":
        raise UserError("configuration: sampling.baseline needs a strategy other than none")
    split = config.split
    if split.val_size <= 1 and split.test_size <= 1 and split.val_size + split.test_size >= 1:
        raise UserError(
            f"configuration: split.val_size is {split.val_size} and split.test_size is "
            f"{split.test_size}; as shares of the images, their sum must be below 1"
        )
    _check_effect(config)


def _check_effect(config: Config) -> None:
    """Refuse settings that change nothing: who gives one believes that it does."""
    loss, sampling = config.loss, config.sampling
    weighted, smoothed = ("weighted_cross_entropy", "focal"), ("cross_entropy", "weighted_cross_entropy")
    for key, is_set, other, value, allowed in (
        ("loss.class_weights", loss.class_weights is not None, "loss.name", loss.name, weighted),
        ("loss.label_smoothing", loss.label_smoothing > 0, "loss.name", loss.name, smoothed),
        (
            "sampling.draw covering",
            sampling.draw == "covering",
            "sampling.strategy",
            sampling.strategy,
            ("dpus",),
        ),
    ):
        if is_set and value not in allowed:
            raise UserError(
                f"configuration: {key} has no effect with {other} {value}; "
                f"leave it out, or set {other} to {' or '.join(allowed)}"
            )


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _positive(value: float) -> bool:
    return value > 0


def _share(value: float) -> bool:
    return 0 < value <= 1


def _not_negative(value: float) -> bool:
    return value >= 0


_RANGES = (
    ("seed", "0 or more", _not_negative),
    ("data.image_size", "at least 16", lambda v: v >= 16),
    ("data.percentiles", "between 0 and 100", lambda v: 0 <= v <= 100),
    ("data.window", "numbers", lambda v: True),
    ("data.simulate.train", "at least 1", _positive),
    ("data.simulate.val", "0 or more", _not_negative),
    ("data.simulate.test", "0 or more", _not_negative),
    ("data.simulate.size", "at least 16", lambda v: v >= 16),
    ("data.simulate.proportions", "above 0", _positive),
    ("data.simulate.flaw_size", "above 0, at most 0.5", lambda v: 0 < v <= 0.5),
    ("data.simulate.flaw_contrast", "above 0, at most 1", _share),
    ("data.simulate.photons", "above 0", _positive),
    ("data.simulate.scatter", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("split.val_size", "above 0", _positive),
    ("split.test_size", "above 0", _positive),
    ("split.minority_fraction", "above 0, at most 1", _share),
    ("features.n_components", "at least 1, or null", lambda v: v is None or v >= 1),
    ("features.batch_size", "at least 1", _positive),
    ("sampling.n_clusters", "at least 1", _positive),
    ("sampling.proportion", "auto, or above 0 and at most 1", lambda v: v == "auto" or _share(v)),
    ("sampling.n_subsets", "at least 1", _positive),
    ("loss.label_smoothing", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("loss.focal_gamma", "0 or more", _not_negative),
    ("loss.seesaw_p", "0 or more", _not_negative),
    ("loss.seesaw_q", "0 or more", _not_negative),
    ("training.epochs", "at least 1", _positive),
    ("training.batch_size", "at least 2 (batch norms need two images)", lambda v: v >= 2),
    ("training.learning_rate", "above 0", _positive),
    ("training.patience", "at least 1, or null", lambda v: v is None or v >= 1),
    ("training.weight_decay", "0 or more", _not_negative),
    ("training.augment.rotation", "between 0 and 180", lambda v: 0 <= v <= 180),
    ("training.augment.brightness", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("training.augment.contrast", "0 or more, below 1", lambda v: 0 <= v < 1),
    ("evaluation.threshold", "between 0 and 1", lambda v: 0 <= v <= 1),
    ("evaluation.n_bootstrap", "0 or more", _not_negative),
    ("evaluation.confidence", "above 0, below 1", lambda v: 0 < v < 1),
    ("device.device_id", "0 or more", _not_negative),
)
