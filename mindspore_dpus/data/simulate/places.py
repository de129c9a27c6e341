"""The folder that a simulation fills: empty, simulated before, or left half-filled."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from mindspore_dpus.core.errors import UserError


def refuse_foreign(
    folder: Path,
    what: str,
    ours: re.Pattern[str],
    is_manifest: Callable[[Sequence[str]], bool] | None = None,
) -> None:
    """Refuse a folder with files that no simulation has written.

    Args:
        folder: to be filled; it need not exist.
        what: is simulated, such as ``radiographs``.
        ours: the relative paths that a simulation, also one that was interrupted, leaves.
        is_manifest: whether these columns are those of the simulation's own ``manifest.csv``. Where it
            is, whatever lies beside it is, too. None: the simulation writes none.

    Raises:
        UserError: names the first such file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose an empty folder for simulated {what}")
    manifest = folder / "manifest.csv"
    if is_manifest is not None and manifest.is_file():
        with open(manifest, encoding="utf-8", errors="replace") as file:
            columns = file.readline().strip().split(",")
        foreign = None if is_manifest(columns) else "manifest.csv"
    else:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        foreign = next((name for name in names if not ours.fullmatch(name)), None)
    if foreign is not None:
        raise UserError(
            f"{folder} holds {foreign}, which no simulation has written; choose an empty folder"
        )
