"""From YAML files and command-line options to a checked ``Config``, and back to YAML."""

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

import jsonargparse
import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from mindspore_dpus.checks import check_config
from mindspore_dpus.config import AuditConfig, Config, DataConfig, SimulateConfig
from mindspore_dpus.core.errors import UserError

# Nothing is imported because a value names it: importing runs code, and no key of ours takes a class.
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True, import_path_denylist=["*"])
MAX_YAML = 1 << 16
MAX_DEPTH = 8
OPENING = (
    *(yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken),
    *(yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken),
)
CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
SECTIONS = {f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.type)}
_load_yaml = jsonargparse.get_loader("yaml")


def _load_bounded(text: str) -> object:
    """The parser's own YAML loader, for what it reads in seconds and within the stack: a list
    of 200,000 takes minutes, ten lines of aliases can stand for all values in the world, and 30,000
    brackets end the process."""
    if len(text) > MAX_YAML:
        raise yaml.YAMLError(f"it is longer than {MAX_YAML} characters")
    depth = 0
    for token in yaml.scan(text):
        if isinstance(token, yaml.AliasToken):
            raise yaml.YAMLError("aliases (*name) are not read: write the value out")
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError("a value is nested too deeply; no key has more than two levels")
    values = _load_yaml(text)
    for name in SECTIONS & set(values) if isinstance(values, dict) else ():
        # A later option of that section would wipe it out without a word.
        if values[name] is not None and not isinstance(values[name], dict):
            raise yaml.YAMLError(f"{name} is {values[name]!r}; it must be a table of keys")
    return values


jsonargparse.set_loader("yaml", _load_bounded, (yaml.YAMLError,))


@functools.lru_cache
def config_parser(description: str | None = None) -> ArgumentParser:
    """A parser with one option for each key of ``Config``, and ``--config FILE``.

    Made once: to read all docstrings takes twice as long as to parse, and grids parse hundreds of times.
    """
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


def parse_audit(
    args: Sequence[str] | None = None, description: str | None = None
) -> tuple[DataConfig, AuditConfig, str | None]:
    """Read what ``tools/audit.py`` is told.

    Returns:
        The checked sections ``data`` and ``audit``, and the output folder (or None).

    Raises:
        UserError: an unknown key, a wrong type, a value out of range.
    """
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--output", type=str | None, default=None, help="Folder for audit.csv.")
    parser.add_class_arguments(DataConfig, "data", skip={"simulate"})
    parser.add_class_arguments(AuditConfig, "audit", skip={"enabled"})
    kinds = {"output": str | None, "data": DataConfig, "audit": AuditConfig}
    values = _parsed(parser, lambda: parser.parse_args(args), kinds)
    check_config(Config(data=values["data"], audit=values["audit"]))
    return values["data"], values["audit"], values["output"]


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
    except RecursionError:
        raise UserError(
            "configuration: a value is nested too deeply; no key has more than two levels"
        ) from None
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"configuration: {_in_our_words(str(error), kinds)}") from None


def _in_our_words(message: str, kinds: dict[str, type]) -> str:
    """The parser's message on a value of a wrong type, as we say it; another message on one line."""
    keys = re.findall(r'Parser key "([^"]+)":', message)
    value = re.search(r".*(?:Got|Given) value: (.*)", message, re.DOTALL)
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
