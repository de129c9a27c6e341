"""configuration -> the data of a run: frames and boxes, split by frame."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.processes import in_threads
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes import manifest
from mindspore_dpus.data.boxes.annotations import COLUMNS, EDGES, PROBLEM_COLUMNS, Annotations
from mindspore_dpus.data.boxes.registry import read_boxes
from mindspore_dpus.data.hashing import fingerprint
from mindspore_dpus.data.images.decoded import ImageError
from mindspore_dpus.data.images.footage import to_rgb
from mindspore_dpus.data.images.frames import refuse_nameless
from mindspore_dpus.data.images.reading import read_image
from mindspore_dpus.data.paths import native
from mindspore_dpus.data.sample_table import SPLITS, UNUSED
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.settings import FrameSettings

logger = logging.getLogger(__name__)


def data_root(run: RunFolder, config: Configuration) -> Path:
    """Where a run's frames lie."""
    return run / "data" if config.simulate.enabled else Path(config.data.root)


def cache_of(run: RunFolder, config: Configuration) -> Path:
    """Folder of what runs share."""
    return Path(config.data.cache_dir or run.path.parent / "cache")


def read_frame(path: Path, max_pixels: int) -> np.ndarray:
    """One frame, (H, W, 3) uint8 RGB.

    Raises:
        ImageError: it cannot be read.
    """
    return to_rgb(read_image(path, max_pixels=max_pixels))


def find_annotations(
    root: Path, data: FrameSettings, classes: Mapping[str, int | None] | None = None
) -> Annotations:
    """Boxes as the data have them; what is wrong with single ones is listed.

    Args:
        root: folder of the frames.
        data: the section.
        classes: class name -> number, of a run (``Annotations.numbers``); None: those of the section.

    Raises:
        UserError: no folder, no file of boxes, or one of another format; a name that is not UTF-8.
    """
    if not root.is_dir():
        raise UserError(f"data.root: {root} is not a folder; give the folder of your frames")
    named = [Path(data.boxes)] if data.boxes else [root / "boxes.csv", root / "gt.txt"]
    boxes = next((path for path in named if path.exists()), None)
    if boxes is None:
        raise UserError(
            f"data.boxes: {' and '.join(map(str, named))} not found; give a file or folder of boxes"
        )
    images = root if data.list_frames else None
    found = read_boxes(boxes, data.format, images=images, classes=classes or data.classes, strict=False)
    for path in (*found.frames["path"], *found.problems["path"]):
        refuse_nameless(path, root)
    return found if data.list_frames else _as_on_disk(found, root, boxes)


def _as_on_disk(found: Annotations, root: Path, file: Path) -> Annotations:
    """The same, with frames called as their files are: an umlaut may be one character or two, a path may
    have been written on Windows.

    Raises:
        UserError: none of the frames is there.
    """
    tables = found.frames, found.boxes, found.problems
    names = {path: native(path, root) for path in dict.fromkeys(p for t in tables for p in t["path"])}
    # Not Path.is_file: a name that is too long is none, not an error.
    there = any(os.path.isfile(os.path.join(root, name)) for name in names.values())  # noqa: PTH113, PTH118
    if len(found.frames) and not there:
        raise UserError(
            f"{root}: none of the {len(found.frames)} frames of {file} is there, such as "
            f"{found.frames['path'].iloc[0]}; give their folder as data.root, or set data.list_frames, "
            "which finds frames by their names without endings"
        )
    frames, boxes, problems = (t.assign(path=t["path"].map(names)) for t in tables)
    # Two ways to write one name.
    frames = frames.drop_duplicates("path", ignore_index=True)
    return replace(found, frames=frames, boxes=boxes, problems=problems)


def readable(annotations: Annotations, root: Path, max_pixels: int) -> Annotations:
    """The same with the frames' true sizes; frames that cannot be read, or are of another size than
    the annotation says, are problems."""

    def look(path: str) -> tuple[int, int] | str:
        try:
            return read_frame(root / path, max_pixels).shape[1::-1]
        except ImageError as error:
            return str(error)

    frames = annotations.frames.copy()
    problems = []
    for row, found in zip(frames.itertuples(), in_threads(look, frames["path"].tolist()), strict=True):
        if isinstance(found, str):
            problems.append((row.path, "frame", found))
            continue
        for name, side in zip(("width", "height"), found, strict=True):
            said = getattr(row, name)
            if not pd.isna(said) and said != side:
                problems.append((row.path, "frame", f"its {name} is {side}, not {said} as annotated"))
            frames.loc[row.Index, name] = side
    inside = annotations.boxes.merge(frames[["path", "width", "height"]], on="path")
    beyond = inside[(inside["x2"] > inside["width"]) | (inside["y2"] > inside["height"])]
    problems += [(p, "box", "a box reaches out of its frame") for p in beyond["path"].unique()]
    table = pd.concat(
        [annotations.problems, pd.DataFrame(problems, columns=PROBLEM_COLUMNS)], ignore_index=True
    )
    return replace(annotations, frames=frames, problems=table)


def assign(frames: pd.DataFrame, data: FrameSettings, seed: int) -> pd.Series:
    """The split of every frame: as the data name it, the rest drawn.

    Raises:
        UserError: an unknown split, or a split without frames.
    """
    split = (
        frames["split"].fillna("").astype(str)
        if "split" in frames
        else pd.Series("", index=frames.index)
    ).to_numpy(dtype=object)
    unknown = set(split) - {*SPLITS, UNUSED, ""}
    if unknown:
        raise UserError(f"frames have the split {sorted(unknown)[0]!r}; allowed are {', '.join(SPLITS)}")
    rng = np.random.default_rng(seed)
    for name, share, source in (
        ("test", data.test_size, ("",)),
        ("val", data.val_size, ("", "train")),
    ):
        if name not in split:
            open_ = np.flatnonzero(np.isin(split, source))
            number = max(1, round(share * len(open_))) if len(open_) else 0
            split[rng.permutation(open_)[:number]] = name
    split[split == ""] = "train"
    for name in SPLITS:
        if name not in split:
            raise UserError(f"no frames are left for the split {name}: more annotated frames are needed")
    return pd.Series(split, index=frames.index)


class FoundFrames:
    """The frames as they lie in the data root, looked for once.

    Args:
        run: the run folder.
        config: the configuration.
    """

    def __init__(self, run: RunFolder, config: Configuration) -> None:
        self.run = run
        self.config = config
        self.root = data_root(run, config)

    def settings(self) -> list:
        """What the tables depend on besides the configuration."""
        self.found = find_annotations(self.root, self.config.data)
        there = [p for p in self.found.frames["path"] if (self.root / p).is_file()]
        contents = fingerprint(there, self.root, cache_of(self.run, self.config) / "hashes.csv")
        tables = (self.found.frames, self.found.boxes, self.found.problems)
        return [contents, list(self.found.numbers.items()), *(t.to_csv(index=False) for t in tables)]

    def make(self, key: str) -> None:
        """``boxes.csv``, ``frames.csv`` (with the split), ``classes.csv``, ``problems.csv``."""
        config, run = self.config, self.run
        checked = readable(self.found, self.root, config.data.max_pixels)
        write_table(checked.problems, run / "problems.csv")
        if len(checked.problems):
            first = checked.problems.iloc[0]
            logger.info(
                "  note: %d frames are left out, as %s (%s: %s); all are in problems.csv",
                checked.problems["path"].nunique(),
                *(first["path"], first["place"], first["error"]),
            )
        sound = checked.sound()
        if sound.boxes.empty:
            raise UserError(f"{self.root}: no sound box in any frame; see {run / 'problems.csv'}")
        frames = sound.frames[["path", "width", "height"]].reset_index(drop=True)
        named = {} if "split" not in sound.frames else {"split": sound.frames["split"].to_numpy()}
        frames = frames.assign(**named)
        frames["split"] = assign(frames, config.data, config.seed)
        trained = sound.boxes["path"].isin(frames["path"][frames["split"] == "train"])
        if not trained.any():
            raise UserError(f"{self.root}: no training frame has a box")
        manifest.write(replace(sound, boxes=sound.boxes[COLUMNS], frames=frames), run / "boxes.csv")


class RunFrames:
    """The frames and boxes of a run.

    Attributes:
        annotations: the tables.
        paths, splits: (F,) of every frame.
        sizes: F pairs of width and height.
        boxes: F arrays (G, 4).
        labels: F lists of class names.
        classes: all class names.
    """

    def __init__(self, annotations: Annotations) -> None:
        self.annotations = annotations
        frames = annotations.frames
        self.paths = frames["path"].tolist()
        self.splits = frames["split"].to_numpy(dtype=object)
        sizes = zip(frames["width"], frames["height"], strict=True)
        self.sizes = [(int(w), int(h)) for w, h in sizes]
        by_path = dict(list(annotations.boxes.groupby("path")))
        empty = annotations.boxes.iloc[:0]
        tables = [by_path.get(path, empty) for path in self.paths]
        self.boxes = [table[EDGES].to_numpy(float) for table in tables]
        self.labels = [table["label"].tolist() for table in tables]
        self.classes = list(annotations.classes)

    def of(self, split: str) -> np.ndarray:
        """Numbers of the frames of a split."""
        return np.flatnonzero(self.splits == split)


def read_run_frames(run: RunFolder) -> RunFrames:
    """What the stage ``frames`` has written."""
    return RunFrames(read_boxes(run / "boxes.csv", "boxes"))


@dataclass(frozen=True)
class FrameRows:
    """The frames that a network learns from, as another process can be told them.

    Args:
        root: of the frames.
        paths, boxes: names and true boxes of every frame.
        train, val: numbers of the frames that train and validate.
    """

    root: Path
    paths: list[str]
    boxes: list[np.ndarray]
    train: np.ndarray
    val: np.ndarray
