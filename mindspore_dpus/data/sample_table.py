"""The sample table: the one data contract.

It is a pandas DataFrame with a row for each image (each frame, where a file has several) and the
text columns ``path`` (relative to the data root), ``label`` (class name), ``split`` (``train``, ``val``,
``test``, ``unused`` or empty) and ``group`` (images that belong together, such as one casting; may be
empty). Further columns of a manifest are kept.
"""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.labels import find_alike
from mindspore_dpus.data.settings import DataSettings

COLUMNS = ["path", "label", "split", "group"]
SPLITS = ("train", "val", "test")
UNUSED = "unused"


def check_classes(table: pd.DataFrame, config: DataSettings, source: object) -> None:
    """Refuse data with fewer than two classes, or two classes that the configuration does not name.

    Raises:
        UserError: says which classes were found.
    """
    classes = class_names(table)
    if len(classes) < 2:
        found = f"only the class {classes[0]!r}" if classes else "no class"
        raise UserError(
            f"{source}: {found} was found; at least two are needed "
            "(one folder a class, or a label column with two values)"
        )
    for key in ("positive", "majority"):
        alike = find_alike([*classes, getattr(config, key)])
        if alike is not None:
            raise UserError(
                f"data.{key} is {getattr(config, key)!r}, but {source} holds the class "
                f"{next(name for name in alike if name in classes)!r}; set --data.{key} to that"
            )
    defaults = {field.name: field.default for field in fields(DataSettings)}
    for key in ("positive", "majority"):
        name = getattr(config, key)
        # Of more than two classes, none is either; a name that somebody chose is a class all the same.
        if name not in classes and (len(classes) == 2 or name != defaults[key]):
            names = f"{', '.join(map(repr, classes[:-1]))} and {classes[-1]!r}"
            raise UserError(
                f"data.{key} is {name!r}, but {source} holds the classes {names}; set data.{key}"
            )


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
