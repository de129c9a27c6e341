"""Names of classes as people write them: with spaces, capitals, and characters that show nothing."""

import unicodedata

from mindspore_dpus.core.errors import UserError


def trim(label: str) -> str:
    """A label without spaces, byte order marks, soft hyphens and the like around it."""
    shown = [i for i, c in enumerate(label) if not (c.isspace() or _shows_nothing(c))]
    return label[shown[0] : shown[-1] + 1] if shown else ""


def _shows_nothing(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc") and not character.isspace()


def refuse_alike(classes: list[str], source: object) -> None:
    """Refuse classes whose names differ only in capitals, spaces or what shows nothing: nobody means both.

    Raises:
        UserError: names the two.
    """
    alike = find_alike(classes)
    if alike is not None:
        raise UserError(
            f"{source}: the classes {alike[0]!r} and {alike[1]!r} differ in capitals or spaces only; "
            "give them one name"
        )


def find_alike(names: list[str]) -> tuple[str, str] | None:
    """Two names that differ only in capitals, spaces or what shows nothing; None where there are none."""
    seen: dict[str, str] = {}
    for name in names:
        visible = "".join(c for c in unicodedata.normalize("NFC", name) if not _shows_nothing(c))
        key = " ".join(visible.casefold().split())
        if seen.setdefault(key, name) != name:
            return seen[key], name
    return None
