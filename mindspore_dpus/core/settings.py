"""What a section of a configuration is made of: frozen dataclasses whose keys know their own rules.

A key's documentation is the string below it, which ``--help`` shows. Its range, and whether it changes
any result, stand beside its default (:func:`key`). Nothing repeats them elsewhere.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field

from mindspore_dpus.core.errors import UserError


@dataclass(frozen=True)
class Rule:
    """What a number may be.

    Args:
        allowed: in words, as in "it must be at least 1".
        test: whether one number is allowed.
    """

    allowed: str
    test: Callable[[float], bool]


def at_least(low: float, reason: str = "") -> Rule:
    """``low`` or more."""
    return Rule(f"at least {low}{reason and f' ({reason})'}", lambda v: v >= low)


def above(low: float) -> Rule:
    """More than ``low``."""
    return Rule(f"above {low}", lambda v: v > low)


def between(low: float, high: float, reason: str = "") -> Rule:
    """From ``low`` to ``high``, both allowed."""
    return Rule(f"between {low} and {high}{reason and f' ({reason})'}", lambda v: low <= v <= high)


def below(high: float, low: float = 0) -> Rule:
    """From ``low``, which is allowed, to below ``high``."""
    return Rule(f"at least {low} and below {high}", lambda v: low <= v < high)


SHARE = Rule("above 0, at most 1", lambda v: 0 < v <= 1)
INNER_SHARE = Rule("above 0, below 1", lambda v: 0 < v < 1)
ANY_NUMBER = Rule("a finite number", lambda v: True)


def key(
    default: object = MISSING,
    rule: Rule | None = None,
    *,
    factory: Callable[[], object] = MISSING,
    changes_results: bool = True,
) -> typing.Any:
    """A key of a section.

    Args:
        default: its value where none is given; for lists and sections, give ``factory``.
        rule: what its numbers may be; words such as ``auto``, and null, are allowed by its type alone.
        factory: makes the default.
        changes_results: False for places, limits and retries: what can change without making any
            result another one. Such keys are left out of what identifies a stage (:func:`results`).
    """
    metadata = {"rule": rule, "changes_results": changes_results}
    return field(default=default, default_factory=factory, metadata=metadata)


def check_section(section: object, name: str = "") -> None:
    """Hold every number of a section, and of the sections in it, against its key's rule.

    Args:
        section: a dataclass of :func:`key` fields.
        name: of the section, as a prefix of its keys.

    Raises:
        UserError: names the first key that is out of range, its value, and what is allowed.
    """
    for item in dataclasses.fields(section):
        value, path = getattr(section, item.name), f"{name}{item.name}"
        if dataclasses.is_dataclass(value):
            check_section(value, f"{path}.")
            continue
        rule = item.metadata.get("rule")
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if not math.isfinite(number) or (rule is not None and not rule.test(number)):
                allowed = (rule or ANY_NUMBER).allowed
                words = [*_words(typing.get_type_hints(type(section))[item.name]), allowed]
                raise UserError(f"configuration: {path} is {value}; it must be {', or '.join(words)}")


def _words(kind: object) -> list[str]:
    """What a type allows besides numbers: ``auto``, ``null``."""
    if typing.get_origin(kind) is typing.Literal:
        return [str(value) for value in typing.get_args(kind) if isinstance(value, str)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [word for part in typing.get_args(kind) for word in _words(part)]
    return ["null"] if kind is type(None) else []


def check_order(section: object, name: str, *keys: str, equal: bool = False) -> None:
    """Refuse a pair of numbers whose first is not the smaller one.

    Args:
        section: holds the keys.
        name: of the section.
        keys: their names; each is a pair.
        equal: whether both may be the same.

    Raises:
        UserError: names the key.
    """
    for item in keys:
        low, high = getattr(section, item)
        if low > high or (low == high and not equal):
            raise UserError(f"configuration: {name}.{item} is {low}, {high}; the first must be smaller")


def is_section(configuration: type, name: str) -> bool:
    """Whether a dotted name is that of a section, not of a key or of nothing.

    Args:
        configuration: the dataclass of a system.
        name: such as ``training.augment``.
    """
    kind: object = configuration
    for part in name.split("."):
        kind = typing.get_type_hints(kind).get(part) if dataclasses.is_dataclass(kind) else None
    return dataclasses.is_dataclass(kind)


def results(section: object) -> dict:
    """The keys of a section that results depend on, as JSON values (:func:`key`)."""
    return {
        item.name: results(value) if dataclasses.is_dataclass(value) else plain(value)
        for item in dataclasses.fields(section)
        if item.metadata.get("changes_results", True)
        for value in [getattr(section, item.name)]
    }


def plain(value: object) -> object:
    """Dataclasses and tuples as dicts and lists, for YAML and JSON."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
