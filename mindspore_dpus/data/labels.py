"""Names of classes and groups as people write them: with spaces, capitals, and what shows nothing."""

import logging
import re
import unicodedata
from collections.abc import Iterable

from mindspore_dpus.core.errors import UserError

logger = logging.getLogger(__name__)

_WHOLE = re.compile(r"\+?0*([0-9]+)(?:\.0*)?")


def trim(label: str) -> str:
    """A label without spaces, byte order marks, soft hyphens and the like around it."""
    shown = [i for i, c in enumerate(label) if not (c.isspace() or _shows_nothing(c))]
    return label[shown[0] : shown[-1] + 1] if shown else ""


def trim_all(names: Iterable[str], what: str, source: object) -> list[str]:
    """Every name as :func:`trim` gives it; where that changes any, it is said.

    Args:
        names: as they are written.
        what: they are, such as ``labels``.
        source: where they are written.
    """
    names = list(names)
    trimmed = [trim(name) for name in names]
    changed = [name for name, new in zip(names, trimmed, strict=True) if name != new]
    if changed:
        logger.warning(
            f"{source}: spaces around {len(changed)} {what} were taken away, such as {changed[0]!r}"
        )
    return trimmed


def _shows_nothing(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc") and not character.isspace()


def refuse_alike(names: Iterable[str], source: object, what: str = "classes") -> None:
    """Refuse names that ``find_alike`` finds to be one: nobody means both.

    Args:
        names: of classes or groups.
        source: where they are written.
        what: they are.

    Raises:
        UserError: names the two.
    """
    alike = find_alike(names)
    if alike is not None:
        how = "differ in capitals or spaces only"
        if len({unicodedata.normalize("NFC", name) for name in alike}) == 1:
            how = "look the same and are written with other characters (an umlaut as one, or as two)"
        elif _seen(alike[0], "NFC") != _seen(alike[1], "NFC"):
            how = "are one number, or differ in the width or form of letters only"
        raise UserError(f"{source}: the {what} {alike[0]!r} and {alike[1]!r} {how}; give them one name")


def find_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that differ only in capitals, spaces, what shows nothing or the width and form of letters
    (full-width ones), or are one whole number (0 and 0.0); None where there are none."""
    seen: dict[str, str] = {}
    for name in names:
        key = _seen(name, "NFKC")
        # 1.1 and 1.10 may be two parts of a sheet: of fractions, only those of zeros, which tables add.
        if (number := _WHOLE.fullmatch(key)) is not None:
            key = number[1]
        if seen.setdefault(key, name) != name:
            return seen[key], name
    return None


def _seen(name: str, form: str) -> str:
    """A name without capitals, further spaces and what shows nothing, in a normal form of Unicode."""
    visible = "".join(c for c in unicodedata.normalize(form, name) if not _shows_nothing(c))
    return " ".join(unicodedata.normalize(form, visible.casefold()).split())
