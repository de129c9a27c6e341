"""From YAML files and command-line options to the configuration of a system, and back to YAML.

Dataclasses define what is in a configuration (``core.settings``); this module fills them.
"""

import dataclasses
import functools
import re
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import jsonargparse
import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import plain

Section = TypeVar("Section")

# Nothing is imported because a value names it: importing runs code, and no key of ours takes a class.
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True, import_path_denylist=["*"])
MAX_YAML = 1 << 16
MAX_DEPTH = 8
OPENING = (
    *(yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken),
    *(yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken),
)
CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
# Without any of these characters a text holds neither an alias nor a value inside another.
_NESTING = re.compile(r"[\[{*?:\n-]")
# A key that takes text, in the parser's words, was given something else.
_UNQUOTED = re.compile(
    r"Expected a <class 'str'>.*(Got value: |<class '(bool|float|int|datetime\.date)'>)"
)
_load_yaml = jsonargparse.get_loader("yaml")


def _load_bounded(text: str) -> object:
    """The parser's own YAML loader, for what it reads in seconds and within the stack: a list
    of 200,000 takes minutes, ten lines of aliases can stand for all values in the world, and 30,000
    brackets end the process."""
    if len(text) > MAX_YAML:
        raise yaml.YAMLError(f"it is longer than {MAX_YAML} characters")
    depth = 0
    # The parser asks for every default, and grids parse hundreds of times.
    for token in yaml.scan(text) if _NESTING.search(text) else ():
        if isinstance(token, yaml.AliasToken):
            raise yaml.YAMLError("aliases (*name) are not read: write the value out")
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError("a value is nested too deeply; no key has more than three levels")
    return _load_yaml(text)


jsonargparse.set_loader("yaml", _load_bounded, (yaml.YAMLError,))


def named_system(args: Sequence[str]) -> str | None:
    """The system that the options, or a file among them, name: the last one counts.

    Args:
        args: options of a command line; only ``--system`` and ``--config`` are looked at.

    Raises:
        UserError: a file that cannot be read, or is not YAML.
    """
    named = next((value for name, value in _pairs(args) if name == "--system"), None)
    for file in _files(args):
        found = _read(file)
        if named is None and isinstance(found.get("system"), str):
            named = found["system"]
    return named


def _pairs(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options and their values, written as ``--name=value`` or ``--name value``."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        yield name, value if equals else (args[i + 1] if i + 1 < len(args) else "")


def _files(args: Sequence[str]) -> list[Path]:
    return [Path(value) for name, value in _pairs(args) if name == "--config" and value]


def _read(path: Path) -> dict:
    """The keys of a file.

    Raises:
        UserError: it cannot be read, is not YAML, or holds no keys.
    """
    try:
        values = _load_bounded(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"configuration: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"configuration: {path} is not text") from None
    except RecursionError:
        raise UserError(f"configuration: {path}: a value is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"configuration: {path} is not YAML: {reason}") from None
    if not isinstance(values, dict):
        raise UserError(f"configuration: {path} holds no keys")
    return values


def _check_file(kind: type, path: Path) -> None:
    """Refuse a value in the place of a section: a later option of it would wipe it out without a word.

    Raises:
        UserError: names the section.
    """
    values = _read(path)
    for name, part in typing.get_type_hints(kind).items():
        value = values.get(name)
        if dataclasses.is_dataclass(part) and value is not None and not isinstance(value, dict):
            raise UserError(f"configuration: {name} is {value!r}; it must be a section of keys")


@functools.lru_cache
def config_parser(kind: type, description: str | None = None) -> ArgumentParser:
    """A parser with one option for each key of a configuration, and ``--config FILE``.

    Made once: to read all docstrings takes twice as long as to parse, and grids parse hundreds of times.
    """
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument(
        "--config",
        action=ActionConfigFile,
        help="YAML file with any of the keys. Later values win, so give it first.",
    )
    parser.add_class_arguments(kind)
    # The parser would work out all defaults anew each time, in a quarter of its time.
    defaults = functools.cache(parser.get_defaults)
    parser.get_defaults = lambda *args, **options: defaults(*args, **options).clone()
    return parser


def parse(kind: type[Section], args: Sequence[str] | None, description: str | None = None) -> Section:
    """Read a configuration from the command line.

    Args:
        kind: its dataclass.
        args: the options; None: ``sys.argv[1:]``.
        description: first line of ``--help``.

    Raises:
        UserError: an unknown key, a wrong type, an unreadable file.
    """
    args = sys.argv[1:] if args is None else args
    for file in _files(args):
        _check_file(kind, file)
    parser = config_parser(kind, description)
    return _build(kind, parser, lambda: parser.parse_args(args))


def parse_file(kind: type[Section], path: Path) -> Section:
    """Read a configuration from a file.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown keys or wrong types.
    """
    _check_file(kind, path)
    parser = config_parser(kind)
    return _build(kind, parser, lambda: parser.parse_path(path))


def parse_sections(
    sections: dict[str, type],
    args: Sequence[str] | None,
    description: str | None = None,
    options: dict[str, tuple[type, object, str]] | None = None,
    skip: dict[str, set[str]] | None = None,
) -> jsonargparse.Namespace:
    """Read some sections, for a command that needs no whole configuration.

    Args:
        sections: prefix (may be empty) -> dataclass.
        args: the options; None: ``sys.argv[1:]``.
        description: first line of ``--help``.
        options: further ones: name -> type, default (``...``: required), help.
        skip: prefix -> keys that are no options.

    Returns:
        The options by their names, and each section under its prefix, or for an empty prefix its keys.

    Raises:
        UserError: an unknown key or a wrong type.
    """
    parser = ArgumentParser(description=description, exit_on_error=False, allow_abbrev=False)
    for name, (kind, default, text) in (options or {}).items():
        more = {"required": True} if default is ... else {"default": default}
        parser.add_argument(f"--{name}", type=kind, help=text, **more)
    for prefix, kind in sections.items():
        skipped = (skip or {}).get(prefix, set())
        parser.add_class_arguments(kind, prefix or None, skip=skipped)
    values = _one_line(lambda: parser.parse_args(args))
    return _one_line(lambda: parser.instantiate(values))


def _build(kind: type[Section], parser: ArgumentParser, read: Callable) -> Section:
    values = _one_line(read)
    _check_sections(values, kind)
    values = _one_line(lambda: parser.instantiate(values))
    return kind(**{f.name: values[f.name] for f in dataclasses.fields(kind)})


def _one_line(read: Callable) -> typing.Any:
    """What the parser says is wrong, unchanged but on one line."""
    try:
        return read()
    except UnicodeDecodeError:
        raise UserError("configuration: the file given with --config is not text") from None
    except RecursionError:
        raise UserError("configuration: a value is nested too deeply") from None
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        quotes = (
            "; text such as no, 1.0 or 2026-01-01 needs quotes in YAML" if _UNQUOTED.search(text) else ""
        )
        raise UserError(f"configuration: {text} (--help lists every key{quotes})") from None


def _check_sections(values: jsonargparse.Namespace, kind: type, prefix: str = "") -> None:
    """Refuse what the parser lets pass: a value for a section, and null where it has no sense."""
    for name, part in typing.get_type_hints(kind).items():
        if name not in values:
            continue
        value = values[name]
        if dataclasses.is_dataclass(part):
            if not isinstance(value, jsonargparse.Namespace):
                raise UserError(
                    f"configuration: {prefix}{name} is {value!r}; it must be a section of keys"
                )
            _check_sections(value, part, f"{prefix}{name}.")
        elif value is None and type(None) not in typing.get_args(part):
            raise UserError(f"configuration: {prefix}{name} is null; it needs a value")


def dump_config(config: object) -> str:
    """The configuration as YAML, every key written out."""
    return yaml.safe_dump(plain(config), sort_keys=False)
