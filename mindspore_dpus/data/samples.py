"""Folder or CSV -> sample table (``data.sample_table``)."""

import logging
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.delimited import read_rows
from mindspore_dpus.data.images.folders import (
    SYSTEM_FOLDERS,
    find_images,
    is_companion,
    is_image,
    leads_nowhere,
    passed_over_line,
)
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.data.images.frames import expand_frames
from mindspore_dpus.data.labels import refuse_alike, trim, trim_all
from mindspore_dpus.data.paths import native_all, refuse_outside
from mindspore_dpus.data.sample_table import COLUMNS, SPLITS, UNUSED, check_classes, class_names
from mindspore_dpus.data.settings import DataSettings

logger = logging.getLogger(__name__)

# What people call splits: as names of classes, they are a mistake.
SPLIT_WORDS = frozenset(
    (*SPLITS, *("training", "valid", "validation", "testing", "dev", "eval", "evaluation", "holdout"))
)
# What becomes of manifest.csv where endings are not shown, or a browser saves it again.
_CHANGED_MANIFEST = re.compile(r"\s*manifest ?(\(\d+\))?(\.csv)+(\.txt)?\s*", re.IGNORECASE)


def find_samples(
    config: DataSettings, check: bool = True, refused: list[str] | None = None
) -> pd.DataFrame:
    """Collect the samples that the data configuration names.

    Args:
        config: ``root`` and, where given, ``manifest`` and ``classes``.
        check: whether the classes must be fit to learn from.
        refused: where they need not be, why they are not is added to it. Files whose names are not UTF-8
            then are rows too.

    Returns:
        The sample table, splits as the data names them (empty where it does not).

    Raises:
        UserError: no such folder or manifest, no images, missing columns, bad split names, a path that
            leaves ``root`` unless ``allow_outside_root``, two classes that look alike, a class that is
            not there, fewer than two classes, or (two classes) ``positive`` / ``majority`` not among
            them.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise UserError(f"data.root: {root} is not a folder; give the folder of your images")
    manifest = find_manifest(config)
    table = scan_folders(root) if manifest is None else read_manifest(manifest)
    if manifest is not None:
        table["path"] = native_all(table["path"], root, manifest)
        if not config.allow_outside_root:
            refuse_outside(table["path"], root, manifest)
    refuse_alike(class_names(table), manifest or root)
    faults = []
    if config.classes is not None:
        missing = sorted(set(config.classes) - set(table["label"]))
        if missing:
            faults.append(
                f"data.classes names {missing[0]!r}, but {root} holds the classes "
                f"{', '.join(class_names(table))}"
            )
            if check:
                raise UserError(faults[0])
        table = table[table["label"].isin(config.classes)].reset_index(drop=True)
    # Tables cannot hold names that are not UTF-8: only who writes none of them sees these rows.
    nameless = table[[refused is not None and not _is_utf8(path) for path in table["path"]]]
    table = expand_frames(table.drop(nameless.index).reset_index(drop=True), root)
    if len(nameless):
        table = pd.concat([table, nameless], ignore_index=True)
    if not faults:
        try:
            check_classes(table, config, source=root)
        except UserError as error:
            if check:
                raise
            faults.append(str(error))
    if refused is not None:
        refused += faults
    return table


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_manifest(config: DataSettings) -> Path | None:
    """The manifest that is named, else the one in ``root``; None where folders say the classes."""
    if config.manifest:
        return Path(config.manifest)
    return manifest_in(Path(config.root))


def manifest_in(root: Path) -> Path | None:
    """The ``manifest.csv`` of a folder, in whatever capitals.

    Raises:
        UserError: there are several; it is no file, or a link that leads nowhere; there is only one whose
            name a program has changed.
    """
    files = sorted(root.glob("*"))
    found = [file for file in files if file.name.lower() == "manifest.csv"]
    if len(found) > 1:
        raise UserError(f"data.root: {found[0]} and {found[1]} are both the manifest; keep one")
    if found and not found[0].is_file():
        what = "is no regular file"
        if found[0].is_symlink() and not found[0].exists():
            what = f"is a link to {found[0].readlink()}, which does not exist"
        raise UserError(f"data.root: {found[0]} {what}; mend it or remove it")
    changed = [file for file in files if not found and _CHANGED_MANIFEST.fullmatch(file.name)]
    if changed:
        raise UserError(
            f"data.root: {changed[0]} is not read as the manifest; call it manifest.csv, name it with "
            "data.manifest, or remove it"
        )
    return found[0] if found else None


def scan_folders(root: Path) -> pd.DataFrame:
    """Read ``root/{train,val,test}/{class}/...`` or ``root/{class}/...``; sub-folders are walked.

    Capitals in the names of splits do not matter, nor do spaces around those of classes.

    Args:
        root: the data root.

    Raises:
        UserError: no images there, or images that would be passed over: beside the class folders, or in
            a folder beside train, val and test.
    """
    splits = _split_folders(root)
    rows, passed_over = [], Counter()
    if splits:
        passed_over += _loose_files(root, f"{root}/<split>/<class>/")
        for folder in _folders(root):
            if folder in splits.values():
                continue
            found = find_images(folder)
            if found.files:
                raise UserError(
                    f"data.root: {folder} holds images, but {folder.name!r} is not a split; "
                    "call it train, val or test, or move it elsewhere"
                )
            passed_over += found.passed_over
    trimmed, empty = [], []
    for split, base in splits.items() or [("", root)]:
        passed_over += _loose_files(base, f"{base}/<class>/")
        folders = _folders(base)
        _refuse_splits_as_classes(base, folders)
        for folder in folders:
            found = find_images(folder)
            passed_over += found.passed_over
            label = trim(folder.name)
            if found.files and label != folder.name:
                trimmed.append(folder)
            elif not found.files:
                empty.append(folder)
            for file in found.files:
                rows.append((file.relative_to(root).as_posix(), label, split, ""))
    if trimmed:
        names = ", ".join(repr(folder.relative_to(root).as_posix()) for folder in trimmed)
        logger.warning(f"{root}: spaces around names of classes were taken away: {names}")
    if empty and rows:
        names = ", ".join(folder.relative_to(root).as_posix() for folder in empty)
        logger.warning(f"{root}: no images in {names}")
    if passed_over:
        logger.warning(passed_over_line(passed_over, root))
    if not rows:
        raise UserError(
            f"data.root: no images under {root}; expected {root}/<class>/*.png or "
            f"{root}/train/<class>/*.png ({', '.join(EXTENSIONS)})"
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _split_folders(root: Path) -> dict[str, Path]:
    """Split -> its folder, for those that are there."""
    found: dict[str, Path] = {}
    for folder in _folders(root):
        split = folder.name.strip().lower()
        if split in found:
            raise UserError(f"data.root: {found[split]} and {folder} are both the split {split!r}")
        if split in SPLITS:
            found[split] = folder
    return {split: found[split] for split in SPLITS if split in found}


def _folders(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted, but for hidden ones and those of systems.

    Raises:
        UserError: a link that leads nowhere may be one.
    """
    shown = sorted(f for f in folder.glob("*") if not f.name.startswith("."))
    for file in shown:
        if leads_nowhere(file):
            raise UserError(
                f"data.root: {file} is a link to {file.readlink()}, which does not exist; mend it or "
                "remove it"
            )
    return [file for file in shown if file.is_dir() and file.name.lower() not in SYSTEM_FOLDERS]


def _refuse_splits_as_classes(base: Path, folders: list[Path]) -> None:
    """Refuse folders of classes that all are called like splits; say it of those inside a class."""
    named = [folder for folder in folders if trim(folder.name).casefold() in SPLIT_WORDS]
    if len(named) > 1 and named == folders:
        names = ", ".join(folder.name for folder in folders)
        raise UserError(
            f"data.root: {base} should hold a folder for each class, but its folders are called like "
            f"splits: {names}; call them train, val and test, or write a manifest.csv"
        )
    for folder in folders:
        inside = [f.name for f in sorted(folder.glob("*")) if f.is_dir()]
        if len(inside) > 1 and all(trim(name).casefold() in SPLIT_WORDS for name in inside):
            logger.warning(
                f"{folder}: the folders {', '.join(inside)} are no splits here, but parts of the class "
                f"{trim(folder.name)!r}; splits are above classes ({base}/<split>/<class>/)"
            )


def _loose_files(folder: Path, place: str) -> Counter[str]:
    """Endings of the files directly in a folder that should hold folders only, but for companions.

    Raises:
        UserError: an image is among them: it has no class.
    """
    others = Counter()
    for file in sorted(folder.glob("*")):
        if is_image(file) and not leads_nowhere(file):
            raise UserError(
                f"data.root: {file} lies in no class folder; move it to {place}, or write a manifest.csv"
            )
        if not (file.is_dir() or is_companion(file) or leads_nowhere(file)):
            others[file.suffix.lower()] += 1
    return others


def read_manifest(manifest: Path, key: str = "data.manifest") -> pd.DataFrame:
    """Read a CSV with the columns path, label and, optionally, split, group and others.

    Args:
        manifest: the file.
        key: of the configuration, that names it.

    Raises:
        UserError: the file is missing, empty, not CSV, lacks a column, repeats a path, leaves a path
            or label empty, names an unknown split, or has two groups that look alike.
    """
    found = read_rows(manifest, ("path", "label"), filled=("path", "label"))
    table = pd.DataFrame({name: found.column(name) for name in found.names}, dtype=str)
    if table.empty:
        raise UserError(f"{key}: {manifest} has no rows")
    repeated = table["path"][table["path"].duplicated()]
    if len(repeated):
        raise UserError(f"{key}: {manifest} names {repeated.iloc[0]} more than once")
    for name in ("split", "group"):
        if name not in table:
            table[name] = ""
    written = table["label"]
    for name in ("label", "group"):
        table[name] = trim_all(table[name], f"{name}s", manifest)
    if (table["label"] == "").any():
        example = written[table["label"] == ""].iloc[0]
        raise UserError(f"{key}: {manifest} has a label that shows nothing: {example!r}")
    refuse_alike(table["group"], manifest, "groups")
    table["split"] = table["split"].str.strip().str.lower()
    unknown = set(table["split"]) - {*SPLITS, UNUSED, ""}
    if unknown:
        raise UserError(
            f"{key}: {manifest} has the split {sorted(unknown)[0]!r}; "
            "allowed are train, val, test, unused or nothing"
        )
    return table[COLUMNS + [name for name in table if name not in COLUMNS]]
