"""Which options a network takes, read from its constructor: a mistyped one is an error."""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mindspore_dpus.core.errors import UserError

# What the factory gives itself: from the data, and from the classes.
GIVEN = ("num_classes", "in_channels", "image_size")


def option_names(build: Callable) -> list[str]:
    """Names of the options that a configuration may set.

    Args:
        build: a row of the factory's table: a Cell class, a function, or a ``partial`` of one; what a
            partial has fixed is no option, because the row's name already says it.
    """
    fixed = build.keywords if isinstance(build, partial) else {}
    return [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in GIVEN
        and name not in fixed
    ]


def takes(build: Callable, name: str) -> bool:
    """Whether a network has a certain argument, such as ``image_size``."""
    return name in inspect.signature(build).parameters


def check_options(build: Callable, options: Mapping[str, object]) -> dict[str, object]:
    """Check the options of a network by the signature of its constructor.

    Args:
        build: a row of the factory's table.
        options: ``model.options`` of a configuration: name -> value. Whether a value is in range is for
            the constructor to say.

    Returns:
        What to call ``build`` with; lists have become tuples.

    Raises:
        UserError: no such option (the message lists those that there are), or a value of another type
            than the constructor's annotation: number, whole number, true or false, text, list of those.
    """
    allowed = option_names(build)
    for name in options:
        if name not in allowed:
            known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise UserError(f"model.options: the backbone has no option {name!r}; {known}")
    function = build.func if isinstance(build, partial) else build
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    checked = {}
    for name, value in options.items():
        if name not in hints:
            raise TypeError(f"{function.__name__}: the option {name} has no type annotation")
        wanted = _words(hints[name])
        if not _fits(value, hints[name]):
            raise UserError(f"model.options: {name} is {value!r}; it must be {wanted}")
        checked[name] = tuple(value) if isinstance(value, list) else value
    return checked


def _fits(value: object, hint: object) -> bool:
    """Whether a value of a YAML file is of an annotation's type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, one) for one in inner)
    if origin in (Sequence, list, tuple):
        return isinstance(value, list | tuple) and all(_fits(part, inner[0]) for part in value)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if hint in (int, bool, str, types.NoneType):
        return type(value) is hint
    raise TypeError(f"no option can have the type {hint}")


def _words(hint: object) -> str:
    """An annotation for people."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(one) for one in inner)
    if origin in (Sequence, list, tuple):
        return f"a list, each {_words(inner[0])}"
    return {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        types.NoneType: "null",
    }.get(hint, str(hint))
