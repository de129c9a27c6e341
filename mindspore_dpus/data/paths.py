"""Where the paths of a manifest lead."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.images.frames import split_frame


def native(name: str, root: Path) -> str:
    r"""A path as it is written here: ``normal\a.png`` of a table made on Windows is ``normal/a.png``,
    where only that exists."""
    if "\\" not in name or os.sep == "\\":
        return name
    turned = name.replace("\\", "/")
    here, there = (split_frame(os.path.join(root, path))[0] for path in (name, turned))  # noqa: PTH118
    return turned if there.exists() and not here.exists() else name


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
