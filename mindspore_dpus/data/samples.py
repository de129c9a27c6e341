"""Folder or CSV -> sample table: the one data contract.

The table is a pandas DataFrame with a row for each image (each frame, where a file has several) and the
text columns ``path`` (relative to the data root), ``label`` (class name), ``split`` (``train``, ``val``,
``test``, ``unused`` or empty) and ``group`` (images that belong together, such as one casting; may be
empty). Further columns of a manifest are kept.
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.delimited import read_rows
from mindspore_dpus.data.images.folders import find_images, is_image, passed_over_line
from mindspore_dpus.data.images.formats import EXTENSIONS
from mindspore_dpus.data.images.frames import expand_frames
from mindspore_dpus.data.paths import native, refuse_outside
from mindspore_dpus.data.settings import DataSettings

logger = logging.getLogger(__name__)

COLUMNS = ["path", "label", "split", "group"]
SPLITS = ("train", "val", "test")
UNUSED = "unused"


def find_samples(config: DataSettings, check: bool = True) -> pd.DataFrame:
    """Collect the samples that the data configuration names.

    Args:
        config: ``root`` and, where given, ``manifest`` and ``classes``.
        check: whether the classes must be fit to learn from.

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
        table["path"] = [native(path, root) for path in table["path"]]
        if not config.allow_outside_root:
            refuse_outside(table["path"], root, manifest)
    refuse_alike(class_names(table), manifest or root)
    if config.classes is not None:
        missing = sorted(set(config.classes) - set(table["label"]))
        if check and missing:
            raise UserError(
                f"data.classes names {missing[0]!r}, but {root} holds the classes "
                f"{', '.join(class_names(table))}"
            )
        table = table[table["label"].isin(config.classes)].reset_index(drop=True)
    table = expand_frames(table, root)
    if check:
        check_classes(table, config, source=root)
    return table


def find_manifest(config: DataSettings) -> Path | None:
    """The manifest that is named, else the one in ``root``; None where folders say the classes."""
    if config.manifest:
        return Path(config.manifest)
    manifest = Path(config.root) / "manifest.csv"
    return manifest if manifest.is_file() else None


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
    if splits:
        _refuse_loose_images(root, f"{root}/<split>/<class>/")
        for folder in _folders(root):
            if folder not in splits.values() and find_images(folder).images:
                raise UserError(
                    f"data.root: {folder} holds images, but {folder.name!r} is not a split; "
                    "call it train, val or test, or move it elsewhere"
                )
    rows, passed_over = [], Counter()
    for split, base in splits.items() or [("", root)]:
        _refuse_loose_images(base, f"{base}/<class>/")
        for folder in _folders(base):
            found = find_images(folder)
            passed_over += found.passed_over
            for file in found.images:
                rows.append((file.relative_to(root).as_posix(), folder.name.strip(), split, ""))
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
    """The folders directly in a folder, sorted, but for hidden ones."""
    return sorted(f for f in folder.glob("*") if f.is_dir() and not f.name.startswith("."))


def _refuse_loose_images(folder: Path, place: str) -> None:
    """Refuse images directly in a folder that should hold folders only: they have no class."""
    for file in sorted(folder.glob("*")):
        if is_image(file):
            raise UserError(
                f"data.root: {file} lies in no class folder; move it to {place}, or write a manifest.csv"
            )


def read_manifest(manifest: Path, key: str = "data.manifest") -> pd.DataFrame:
    """Read a CSV with the columns path, label and, optionally, split, group and others.

    Args:
        manifest: the file.
        key: of the configuration, that names it.

    Raises:
        UserError: the file is missing, empty, not CSV, lacks a column, repeats a path, leaves a path
            or label empty, or names an unknown split.
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
    trimmed = table["label"].str.strip()
    changed = table["label"] != trimmed
    if changed.any():
        number, example = int(changed.sum()), table["label"][changed].iloc[0]
        logger.warning(f"{manifest}: spaces around {number} labels were taken away, such as {example!r}")
        table["label"] = trimmed
    table["split"] = table["split"].str.strip().str.lower()
    unknown = set(table["split"]) - {*SPLITS, UNUSED, ""}
    if unknown:
        raise UserError(
            f"{key}: {manifest} has the split {sorted(unknown)[0]!r}; "
            "allowed are train, val, test, unused or nothing"
        )
    return table[COLUMNS + [name for name in table if name not in COLUMNS]]


def check_classes(table: pd.DataFrame, config: DataSettings, source: object) -> None:
    """Refuse data with fewer than two classes, or two classes that the configuration does not name.

    Raises:
        UserError: says which classes were found.
    """
    classes = class_names(table)
    if len(classes) < 2:
        raise UserError(
            f"{source}: only the class {classes[0]!r} was found; at least two are needed "
            "(one folder a class, or a label column with two values)"
        )
    for key in ("positive", "majority"):
        alike = _alike([*classes, getattr(config, key)])
        if alike is not None:
            raise UserError(
                f"data.{key} is {getattr(config, key)!r}, but {source} holds the class "
                f"{next(name for name in alike if name in classes)!r}; set --data.{key} to that"
            )
    if len(classes) == 2:
        for key in ("positive", "majority"):
            if getattr(config, key) not in classes:
                raise UserError(
                    f"data.{key} is {getattr(config, key)!r}, but {source} holds the classes "
                    f"{classes[0]!r} and {classes[1]!r}; set data.{key}"
                )


def refuse_alike(classes: list[str], source: object) -> None:
    """Refuse classes whose names differ in capitals or spaces only: nobody means both.

    Raises:
        UserError: names the two.
    """
    alike = _alike(classes)
    if alike is not None:
        raise UserError(
            f"{source}: the classes {alike[0]!r} and {alike[1]!r} differ in capitals or spaces only; "
            "give them one name"
        )


def _alike(names: list[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for name in names:
        key = " ".join(name.casefold().split())
        if seen.setdefault(key, name) != name:
            return seen[key], name
    return None


def class_names(table: pd.DataFrame) -> list[str]:
    """The classes in the order of their indices: alphabetical."""
    return sorted(table["label"].unique())


def read_samples(path: Path) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """A run's sample table, the class names, and each sample's class index.

    Raises:
        UserError: the table is damaged.
    """
    table = read_table(path)
    for name in COLUMNS:
        if name not in table:
            raise UserError(
                f"{path} has lost its column {name!r}; delete it and start the same command again"
            )
    classes = class_names(table)
    return table, classes, table["label"].map(classes.index).to_numpy()
