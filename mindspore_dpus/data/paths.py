"""Where the paths of a manifest lead."""

import logging
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePath

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.frames import split_frame

logger = logging.getLogger(__name__)


def native_all(names: Iterable[str], root: Path, table: Path) -> list[str]:
    r"""Paths as they are written here, where only that exists: ``normal\a.png`` of a table made on Windows
    is ``normal/a.png``; an umlaut may be one character or two (a table or a folder made on a Mac); spaces
    around a path are taken away, which is said.

    Args:
        names: as the table gives them.
        root: what they are relative to.
        table: the file, for the message.
    """
    names = list(names)
    found = [native(name, root) for name in names]
    pairs = zip(names, found, strict=True)
    trimmed = [name for name, there in pairs if name != name.strip() and there == there.strip()]
    if trimmed:
        logger.warning(
            f"{table}: spaces around {len(trimmed)} paths were taken away, such as {trimmed[0]!r}"
        )
    return found


def native(name: str, root: Path) -> str:
    """One of ``native_all``."""
    ways = spellings(name)
    if len(ways) == 1:
        return name
    # Not Path.exists: a name that is too long is none, not an error.
    there = (way for way in ways if os.path.exists(split_frame(os.path.join(root, way))[0]))  # noqa: PTH110, PTH118
    return next(there, name)


def spellings(name: str) -> list[str]:
    """How a file may be called that a table or an annotation names: as it stands there, without spaces
    around it, with ``/`` for ``\\``, in Unicode's composed and decomposed form; no way twice."""
    ways = [name, name.strip()]
    ways += [way.replace("\\", "/") for way in ways]
    if not name.isascii():
        ways += [unicodedata.normalize(form, way) for way in ways for form in ("NFC", "NFD")]
    return list(dict.fromkeys(ways))


def refuse_outside(paths: Iterable[str], root: Path, manifest: Path) -> None:
    """Refuse paths that leave the data root: absolute ones, ``..``, symbolic links to other places.

    Args:
        paths: file names as the manifest gives them.
        root: the data root.
        manifest: named in the message.

    Raises:
        UserError: names the first such path, and why.
    """
    inside = os.path.realpath(root)
    seen: dict[str, str] = {}
    for name in paths:
        pure = PurePath(name)
        if pure.is_absolute():
            reason = "is an absolute path"
        elif ".." in pure.parts:
            reason = "climbs with '..'"
        else:
            folder, file = os.path.split(split_frame(os.path.join(inside, name))[0])  # noqa: PTH118
            if folder not in seen:
                seen[folder] = os.path.realpath(folder)
            place = os.path.join(seen[folder], file)  # noqa: PTH118
            if os.path.islink(place):  # noqa: PTH114
                place = os.path.realpath(place)
            if os.path.commonpath((inside, place)) == inside:
                continue
            reason = f"is a symbolic link that leads to {place}"
        raise UserError(
            f"data.manifest: {manifest} names {name}, which {reason}, so outside data.root may be read; "
            "move the file below data.root, or set data.allow_outside_root to true"
        )
