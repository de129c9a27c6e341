"""Photographs of single signs, beside the frames: more that both networks learn from (section 4.2.3)."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.data.boxes.annotations import by_number
from mindspore_dpus.data.hashing import fingerprint
from mindspore_dpus.data.images.regions import name_region
from mindspore_dpus.data.samples import read_manifest
from mindspore_dpus.systems.traffic_signs.run_data import RunFrames

logger = logging.getLogger(__name__)

# Where the sign lies in its photograph, half-open; GTSRB's names in lower case.
ROI = ("roi_x1", "roi_y1", "roi_x2", "roi_y2")


@dataclass(frozen=True)
class Crops:
    """The tables of crops as they lie on disk.

    Args:
        root: of the frames; paths of crops become relative to it.
        files: CSV tables with path (relative to the table's folder), label, and, as far as they are
            known, split, group (the physical sign, or the frame), and ``ROI``.
        leave_out: columns that mark rows with 1 that are not used.
    """

    root: Path
    files: tuple[str, ...]
    leave_out: tuple[str, ...]

    def read(self) -> dict[str, pd.DataFrame]:
        """Every table, with its paths made relative to ``root``.

        Raises:
            UserError: a table cannot be read, or names a file that is not there.
        """
        return {file: self._read(Path(file)) for file in self.files}

    def _read(self, file: Path) -> pd.DataFrame:
        try:
            table = read_manifest(file, "regions.crops")
        except UserError as error:
            text = str(error)
            raise UserError(
                text if text.startswith("regions.crops") else f"regions.crops: {text}"
            ) from None
        table["path"] = [_relative(file.parent / path, self.root) for path in table["path"]]
        lost = next((p for p in table["path"] if not (self.root / p).is_file()), None)
        if lost is not None:
            raise UserError(f"regions.crops: {file} names {self.root / lost}, which is not there")
        return table

    def identity(self, hashes: Path) -> list:
        """What the regions depend on: the tables and the contents of their files.

        Args:
            hashes: the CSV of hashes already known.
        """
        tables = self.read().values()
        return [[t.to_csv(index=False), fingerprint(t["path"], self.root, hashes)] for t in tables]

    def training_rows(self, frames: RunFrames) -> pd.DataFrame:
        """The crops that may be trained on.

        Left out, and counted in the log: rows of other splits than train, rows that ``leave_out`` marks,
        and signs cut out of a frame that the run has itself (their group is the frame's name without
        folder and ending): its boxes are there already, and it may be a frame that validates or tests.

        Args:
            frames: of the run. A label that is not the name of one of their classes is the number of one.

        Returns:
            Rows path (of the region), label (a class's name), split (train), group.

        Raises:
            UserError: a label is neither name nor number of a class.
        """
        tables = [self._training_rows(file, table, frames) for file, table in self.read().items()]
        return pd.concat(tables, ignore_index=True)

    def check(self, frames: RunFrames) -> None:
        """Refuse tables that ``training_rows`` could not use.

        Raises:
            UserError: as there, and of ``read``.
        """
        for file, table in self.read().items():
            _rows(self._sorted(table, frames)[0], file, frames)

    def _training_rows(self, file: str, table: pd.DataFrame, frames: RunFrames) -> pd.DataFrame:
        kept, *left_out = self._sorted(table, frames)
        logger.info(
            "  %s: %d of %d crops are used (left out: %d of other splits, %d marked by %s, %d of frames "
            "of this run)",
            *(file, len(kept), len(table), *left_out[:2]),
            *(", ".join(self.leave_out) or "no column", left_out[2]),
        )
        return _rows(kept, file, frames)

    def _sorted(self, table: pd.DataFrame, frames: RunFrames) -> tuple[pd.DataFrame, int, int, int]:
        """The rows that may be trained on; and how many are of other splits, marked, of own frames."""
        own = {Path(path).stem for path in frames.paths}
        marked = pd.Series(False, index=table.index)
        for column in self.leave_out:
            if column in table:
                marked |= table[column].str.strip() == "1"
        other = ~table["split"].isin(("train", ""))
        framed = table["group"].isin(own)
        kept = table[~(other | marked | framed)]
        return kept, int(other.sum()), int(marked.sum()), int(framed.sum())


def _rows(kept: pd.DataFrame, file: str, frames: RunFrames) -> pd.DataFrame:
    """Crops as ``training_rows`` gives them."""
    numbers = frames.annotations.numbers
    return pd.DataFrame(
        {
            "path": _regions(kept, file),
            "label": [_class_name(label, numbers, file) for label in kept["label"]],
            "split": "train",
            "group": kept["group"].where(kept["group"] != "", kept["path"]),
        }
    )


def _relative(path: Path, root: Path) -> str:
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive of Windows
        return path.resolve().as_posix()


def _class_name(label: str, classes: dict[str, int | None], file: str) -> str:
    names = by_number(classes)
    if label in classes:
        return label
    if label.isdecimal() and int(label) in names:
        return names[int(label)]
    if label.isdecimal() and not names:
        raise UserError(
            f"regions.crops: {file} has the label {label!r}, and the classes of the frames have no numbers: "
            "give data.classes (the names of class 0, 1 ...), or names in the table"
        )
    raise UserError(
        f"regions.crops: {file} has the label {label!r}, which is neither the name nor the number of a "
        "class of the frames (see classes.csv in the run folder)"
    )


def _regions(table: pd.DataFrame, file: str) -> list[str]:
    """Names of the regions; a table without ``ROI`` has whole images."""
    if not set(ROI) <= set(table):
        return table["path"].tolist()
    try:
        corners = table[list(ROI)].astype(float)
    except ValueError as error:
        raise UserError(f"regions.crops: {file}: {', '.join(ROI)} must be numbers ({error})") from None
    rows = zip(table["path"], corners.to_numpy(), strict=True)
    return [name_region(path, box) for path, box in rows]
