"""Labelled images for the evaluation of a finished run: its own, or others."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.data.images.frames import split_frame
from mindspore_dpus.data.sample_table import read_samples
from mindspore_dpus.data.samples import find_samples
from mindspore_dpus.systems.classification.configuration import Configuration
from mindspore_dpus.systems.classification.run_data import data_root, source_of


def labelled_images(
    run: RunFolder, config: Configuration, root: str | None, manifest: str | None, split: str
) -> tuple[pd.DataFrame, Path]:
    """The sample table and root that an evaluation is about.

    Args:
        run: a finished run.
        config: its configuration.
        root: other labelled images; None: the run's own.
        manifest: their CSV, where they have one.
        split: ``train``, ``val``, ``test``, ``all`` or ``auto``.

    Raises:
        UserError: classes that the run never saw, or no image of that split.
    """
    own, classes, _ = read_samples(run / "samples.csv")
    if root is None and manifest is not None:
        raise UserError("data.manifest needs data.root: the folder that its paths start from")
    if root is None:
        table, root = own, data_root(run, config)
    else:
        data = dataclasses.replace(config.data, root=root, manifest=manifest)
        table, root = find_samples(data, check=False), Path(root)
        # The run's own data in another place: what it trained on is not to be tested on.
        known = table["path"].map(own.set_index("path")["split"]).fillna("")
        known[_other_images(run, config, table["path"][known != ""], root)] = ""
        table["split"] = table["split"].where(table["split"] != "", known)
    unknown = sorted(set(table["label"]) - set(classes))
    if unknown:
        raise UserError(
            f"{root} has the class {unknown[0]!r}, which the run never saw; "
            f"it knows {', '.join(classes)}"
        )
    if split == "auto":
        split = "test" if (table["split"] == "test").any() else "all"
    if split != "all":
        table = table[table["split"] == split]
    if table.empty:
        raise UserError(f"split {split}: {root} has no image of it")
    return table.reset_index(drop=True), root


def _other_images(run: RunFolder, config: Configuration, paths: pd.Series, root: Path) -> pd.Index:
    """Index of images that only have the name of one of the run's; none where the run's own are gone."""
    source = source_of(run, config)
    own = source.root
    if paths.empty or not own.is_dir() or own.resolve() == root.resolve():
        return paths.index[:0]
    present = paths[[split_frame(own / path)[0].is_file() for path in paths]]
    theirs = np.array(source.at(root, source.unreadable).content_hashes(present))
    ours = np.array(source.content_hashes(present))
    return present.index[theirs != ours]
