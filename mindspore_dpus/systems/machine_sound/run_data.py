"""configuration -> the data of a run: its clips, where they lie, and what trains what."""

import dataclasses
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.audio.clips import OUTLIER, find_clips
from mindspore_dpus.data.audio.names import NORMAL, TARGET
from mindspore_dpus.data.hashing import combined_hash
from mindspore_dpus.data.source import Source
from mindspore_dpus.systems.machine_sound.configuration import Configuration
from mindspore_dpus.systems.machine_sound.settings import PartSettings, SoundDataSettings

logger = logging.getLogger(__name__)

TRAIN, TEST, UNUSED = "train", "test", "unused"
# Of training normals: what trains the extractor, and what validates it.
EXTRACTOR, HELD_OUT = "extractor", "held_out"
# Normal training clips that a section needs: to fit on two and score the third.
LEAST = 3


def source_of(run: RunFolder, config: Configuration) -> Source:
    """Where a run's clips lie, and where decoded ones are kept. (Of its reader, only the settings are
    asked for: clips differ in length, and have an array of their own kind, ``data.audio.waveforms``.)"""
    root = run / "data" if config.simulate.enabled else Path(config.data.root)
    cache = Path(config.data.cache_dir or run.path.parent / "cache")
    return Source(root, config.audio, cache, run / "unreadable.csv")


def collect(data: SoundDataSettings, root: Path) -> pd.DataFrame:
    """The clips of a data set, those of other machines left out.

    Raises:
        UserError: as ``find_clips``; a machine that is not there, or a clip without a split.
    """
    manifest = Path(data.manifest) if data.manifest else None
    table = find_clips(root, manifest=manifest, allow_outside_root=data.allow_outside_root)
    if data.machines is not None:
        missing = [name for name in data.machines if name not in set(table["machine"])]
        if missing:
            there = ", ".join(sorted(set(table["machine"]) - {OUTLIER}))
            raise UserError(f"data.machines names {missing[0]!r}; there are {there}")
        table = table[table["machine"].isin([*data.machines, OUTLIER])].reset_index(drop=True)
    odd = [name for name in table["machine"].unique() if not re.fullmatch(r"\w[\w.-]*", name)]
    if odd:
        raise UserError(
            f"the machine {odd[0]!r} cannot name a file; use letters, digits, hyphens and underscores"
        )
    wrong = ~table["split"].isin((TRAIN, TEST, UNUSED)) & (table["machine"] != OUTLIER)
    if wrong.any():
        row = table[wrong].iloc[0]
        raise UserError(
            f"{row['path']} has the split {row['split']!r}; a clip of a machine is for {TRAIN} (normals) "
            f"or {TEST}, or {UNUSED}"
        )
    return table


def clips_of(config: Configuration, root: Path) -> pd.DataFrame:
    """The clips of a run, for training or the test as ``data.normals`` says.

    Raises:
        UserError: as ``collect``.
    """
    table = collect(config.data, root)
    return draw_normals(table, config.seed) if config.data.normals == "drawn" else table


def draw_normals(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Deal the normals of each section and domain anew to training and test, as many as before (or a few
    more for training, where groups differ in size); at least one group is left for the test.

    Args:
        table: of ``collect``.
        seed: of the draw.

    Returns:
        The table with other values of ``split``.
    """
    split = table["split"].to_numpy(dtype=object).copy()
    normal = (table["machine"] != OUTLIER) & (table["label"] == NORMAL)
    mine = table[normal & table["split"].isin((TRAIN, TEST))]
    for key, rows in mine.groupby(["machine", "section", "domain"], sort=True):
        number = int((rows["split"] == TRAIN).sum())
        names, place = _units(rows, [seed, *"/drawn/".join(key).encode()])
        clips = np.bincount(place, minlength=len(names))
        training = np.cumsum(clips) - clips < number
        if number < len(rows):
            training[-1] = False
        split[rows.index] = np.where(training[place], TRAIN, TEST)
    return table.assign(split=split)


def _units(rows: pd.DataFrame, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """What stays together (groups; clips without one), shuffled by a stream of its own: another section
    more or less changes nothing here. Names, and the place of each row's."""
    units = rows["group"].where(rows["group"] != "", rows["path"])
    names = np.random.default_rng(seed).permutation(np.unique(units.to_numpy(dtype=str)))
    return names, units.map({name: i for i, name in enumerate(names)}).to_numpy()


class Found:
    """The clips as they lie in the data root, looked for once: identity and table of the stage
    ``samples``.

    Args:
        run: the run folder.
        config: the configuration.
        source: where the clips lie.
    """

    def __init__(self, run: RunFolder, config: Configuration, source: Source) -> None:
        self.run, self.config, self.source = run, config, source

    def settings(self) -> list:
        """What the table depends on besides the configuration, once the data are there."""
        self.table = clips_of(self.config, self.source.root)
        contents = self.source.content_hashes(self.table["path"])
        return [self.table.to_csv(index=False), combined_hash(self.table["path"], contents)]

    def make(self, key: str) -> None:
        """``samples.csv``: the clips, and the ``part`` of each training normal."""
        table = self.table.assign(part=assign_parts(self.table, self.config.parts, self.config.seed))
        write_table(table, self.run / "samples.csv")
        for (machine, section), reason in unusable_sections(table).items():
            logger.info("  note: %s section %s: %s", machine, section, reason)


def read_clips(folder: Path) -> pd.DataFrame:
    """``samples.csv`` of a run."""
    return read_table(folder / "samples.csv")


def train_normals(table: pd.DataFrame) -> np.ndarray:
    """(N,) bool: clips that something is learnt from. (An anomaly among training clips is not.)"""
    of_machine = table["machine"] != OUTLIER
    return (of_machine & (table["split"] == TRAIN) & (table["label"] == NORMAL)).to_numpy()


def unusable_sections(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(machine, section) -> why nothing can be said of its clips.

    Raises:
        UserError: that is so of every section.
    """
    own = table[(table["machine"] != OUTLIER) & (table["split"] != UNUSED)]
    normals = pd.Series(train_normals(own), index=own.index)
    counts = normals.groupby([own["machine"], own["section"]]).sum()
    found = {
        key: f"training has {number} normal clip{'' if number == 1 else 's'} of this section; at least "
        f"{LEAST} are needed"
        for key, number in counts.items()
        if number < LEAST
    }
    if len(found) == len(counts):
        reason = next(iter(found.values())) if found else "there is none"
        raise UserError(f"data.root: no section can be used; of the first one, {reason}")
    return found


def machines(table: pd.DataFrame) -> list[str]:
    """Machines with a usable section, sorted."""
    unusable = unusable_sections(table)
    own = table[table["machine"] != OUTLIER]
    sections = own.groupby("machine")["section"].unique()
    return sorted(m for m, names in sections.items() if any((m, s) not in unusable for s in names))


def assign_parts(table: pd.DataFrame, parts: PartSettings, seed: int) -> np.ndarray:
    """Tell the training normals that train the extractor from those that validate it.

    Clips of one group (one recording) stay together.

    Args:
        table: of clips.
        parts: the section.
        seed: of the run.

    Returns:
        (N,) ``extractor`` or ``held_out``; empty for all other clips.

    Source: the DCASE 2022 report, section 3.1.
    """
    result = np.full(len(table), "", object)
    mine = table.reset_index(drop=True)[train_normals(table)]
    for key, rows in mine.groupby(["machine", "section", "domain"], sort=True):
        n = len(rows)
        if key[2] == TARGET:
            number = 1 if n == 1 else min(parts.target_number, n - 1)
        else:
            number = 1 if n == 1 else int(np.clip(round(parts.source_share * n), 1, n - 1))
        names, place = _units(rows, [seed, *"/".join(key).encode()])
        before = np.array([(place < i).sum() for i in range(len(names))])
        training = (before < number) & ((np.arange(len(names)) < len(names) - 1) | (len(names) == 1))
        result[rows.index] = np.where(training[place], EXTRACTOR, HELD_OUT)
    return result


def with_places(config: Configuration, **places: str | None) -> Configuration:
    """The configuration for data that lie elsewhere."""
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **places))
