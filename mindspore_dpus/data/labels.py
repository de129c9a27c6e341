"""Names of classes and groups as people write them: with spaces, capitals, and what shows nothing."""

import logging
import unicodedata
from collections.abc import Iterable

from mindspore_dpus.core.errors import UserError

logger = logging.getLogger(__name__)


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
    """Refuse names that differ only in capitals, spaces or what shows nothing: nobody means both.

    Args:
        names: of classes or groups.
        source: where they are written.
        what: they are.

    Raises:
        UserError: names the two.
    """
    alike = find_alike(names)
    if alike is not None:
        raise UserError(
            f"{source}: the {what} {alike[0]!r} and {alike[1]!r} differ in capitals or spaces only; "
            "give them one name"
        )


def find_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that differ only in capitals, spaces or what shows nothing; None where there are none."""
    seen: dict[str, str] = {}
    for name in names:
        visible = "".join(c for c in unicodedata.normalize("NFC", name) if not _shows_nothing(c))
        key = " ".join(visible.casefold().split())
        if seen.setdefault(key, name) != name:
            return seen[key], name
    return None
