"""Tables of choices: one row for each loss, strategy, optimiser, system ... and what others must know."""

import difflib
import importlib
import math
from collections.abc import Iterable, Mapping

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import Rule


def load(reference: str) -> object:
    """What ``module:name`` names. Rows name functions so that a table can be read without MindSpore."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is in no table: it gives the nearest names, or all."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    return UserError(f"{what} is {name!r}; use {', '.join(near)}")


def check_options(key: str, choice: str, given: Mapping, allowed: Mapping[str, Rule | None]) -> None:
    """Hold a choice's options against its row.

    Args:
        key: what holds the options, such as ``loss.options``.
        choice: such as ``focal``.
        given: option -> value.
        allowed: option -> rule for its number or numbers; None: anything.

    Raises:
        UserError: an option that the choice does not have, or a value out of range.
    """
    for name, value in given.items():
        path = f"configuration: {key}.{name}"
        if name not in allowed:
            has = f"it has {', '.join(allowed)}" if allowed else "it has none"
            raise UserError(f"{path} is no option of {choice}; {has}")
        rule = allowed[name]
        if rule is None or value is None:
            continue
        for number in value if isinstance(value, list | tuple) else [value]:
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            if not is_number or not math.isfinite(number) or not rule.test(number):
                raise UserError(f"{path} is {value}; it must be {rule.allowed}")
