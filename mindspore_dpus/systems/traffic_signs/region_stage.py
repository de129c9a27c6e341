"""proposals -> place filter -> regions that the background and the sign network learn from."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json, write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import write_table
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.data.images.regions import name_region
from mindspore_dpus.data.sample_table import SPLITS
from mindspore_dpus.deploy.place_filter import PlaceFilter
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.crops import Crops
from mindspore_dpus.systems.traffic_signs.place_filter_fit import fit_place_filter
from mindspore_dpus.systems.traffic_signs.proposal_stage import read_proposals
from mindspore_dpus.systems.traffic_signs.region_mining import (
    BACKGROUND,
    COLUMNS,
    mine_frames,
    whole_pixels,
)
from mindspore_dpus.systems.traffic_signs.run_data import (
    RunFrames,
    cache_of,
    data_root,
    read_run_frames,
)
from mindspore_dpus.systems.traffic_signs.settings import PlaceSettings
from mindspore_dpus.systems.traffic_signs.trained_detector import SIGN

logger = logging.getLogger(__name__)

BALANCED = "balanced"


def make_place_filter(run: RunFolder, place: PlaceSettings) -> None:
    """``place_filter.json``: its limits, fitted on training boxes; and what it removes of true boxes and
    of proposals, split by split."""
    frames = read_run_frames(run)
    found = read_proposals(run, frames)

    def of(values: list, split: str) -> list:
        return [values[i] for i in frames.of(split)]

    fitted = fit_place_filter(
        of(frames.boxes, "train"),
        of(frames.sizes, "train"),
        max_lost=place.max_lost,
        place_margin=place.place_margin,
        shape_margin=place.shape_margin,
    )
    removed = {
        split: {
            "true_boxes": fitted.count(of(frames.boxes, split), of(frames.sizes, split)),
            "proposals": fitted.count(of(found, split), of(frames.sizes, split)),
        }
        for split in SPLITS
    }
    write_json(run / "place_filter.json", {"filter": fitted.to_dict(), "removed": removed})


def crops_of(run: RunFolder, config: Configuration) -> Crops | None:
    """The crops that the configuration names, if any."""
    r = config.regions
    return Crops(data_root(run, config), r.crops, r.crops_leave_out) if r.crops else None


def crops_identity(run: RunFolder, config: Configuration) -> list:
    """What the regions depend on besides the configuration."""
    crops = crops_of(run, config)
    return crops.identity(cache_of(run, config) / "hashes.csv") if crops else []


def train_background(config: Configuration) -> float | str:
    """``regions.train_background``, with its default."""
    r = config.regions
    if r.train_background is not None:
        return r.train_background
    return BALANCED if config.background.sampling.strategy == "none" else r.background_per_frame


def make_regions(run: RunFolder, config: Configuration) -> None:
    """``background/samples.csv`` (background, sign) and ``signs/samples.csv`` (the classes): path of a
    region, label, split, group (its frame); ``regions.csv``: how many there are of each kind and split.

    Both have the true boxes; the training and validation regions of signs are also mined from
    proposals, and crops are added to those of training. The sign network is validated and tested on
    true boxes.
    """
    frames = read_run_frames(run)
    found = read_proposals(run, frames)
    if config.place.enabled:
        kept = PlaceFilter.from_dict(read_json(run / "place_filter.json")["filter"])
        found = [b[kept.keep(b, *size)] for b, size in zip(found, frames.sizes, strict=True)]
    r, true, crops = config.regions, true_regions(frames), crops_of(run, config)
    shown = crops.training_rows(frames) if crops else None

    def regions(in_training: float) -> pd.DataFrame:
        n = np.where(frames.splits == "train", in_training, r.background_per_frame)
        mined = mine_frames(
            found,
            frames.boxes,
            frames.labels,
            config.seed,
            paths=frames.paths,
            splits=frames.splits.tolist(),
            sizes=frames.sizes,
            n_background=n.tolist(),
            background_below=r.background_below,
            sign_from=r.sign_from,
        )
        both = _named(pd.concat([true, mined[mined["split"].isin(SPLITS)]], ignore_index=True))
        return both if shown is None else pd.concat([both, shown], ignore_index=True)

    n = train_background(config)
    if n == BALANCED:
        signs = regions(0)
        n = int((signs["split"] == "train").sum()) / len(frames.of("train"))
    both = regions(n)
    is_background = both["label"] == BACKGROUND
    binary = both.assign(label=np.where(is_background, BACKGROUND, SIGN))
    _refuse_empty(binary, (BACKGROUND, SIGN), run)
    write_table(binary, run / "background" / "samples.csv")
    _count(both, true, shown, run)
    named = both[~is_background & ((both["split"] == "train") | both["path"].isin(_named(true)["path"]))]
    trained = set(named["label"][named["split"] == "train"])
    # What nobody shows the network it cannot name: it counts in the detector's metrics, not here.
    named = named[named["label"].isin(trained)]
    if len(trained) < 2:
        raise UserError(
            f"training frames show {len(trained)} class of signs; the sign network needs two or more"
        )
    _refuse_empty(named, (), run)
    write_table(named, run / "signs" / "samples.csv")


def _count(both: pd.DataFrame, true: pd.DataFrame, crops: pd.DataFrame | None, run: RunFolder) -> None:
    """``regions.csv``, and a line of it in the log."""
    kind = np.full(len(both), "mined signs", dtype=object)
    kind[both["path"].isin(_named(true)["path"])] = "true boxes"
    if crops is not None:
        kind[both["path"].isin(crops["path"])] = "crops"
    kind[both["label"] == BACKGROUND] = BACKGROUND
    table = pd.crosstab(both["split"], kind).reindex(list(SPLITS), fill_value=0)
    kinds = ("true boxes", "mined signs", "crops", BACKGROUND)
    table = table.reindex(columns=list(kinds), fill_value=0)
    write_table(table.reset_index(), run / "regions.csv")
    train = table.loc["train"]
    logger.info(
        "  regions of training: %d of signs, %d of background", train[:-1].sum(), train[BACKGROUND]
    )


def true_regions(frames: RunFrames) -> pd.DataFrame:
    """The true boxes as rows of ``regions.COLUMNS``."""
    tables = []
    for i, path in enumerate(frames.paths):
        if frames.splits[i] in SPLITS and len(frames.boxes[i]):
            boxes = whole_pixels(frames.boxes[i], *frames.sizes[i])
            table = pd.DataFrame(boxes, columns=EDGES).assign(label=frames.labels[i])
            tables.append(table.assign(path=path, split=frames.splits[i], group=path)[COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _named(regions: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``regions.COLUMNS`` -> path of the region, label, split, group; each region once."""
    rows = zip(regions["path"], *(regions[e] for e in EDGES), strict=True)
    names = [name_region(path, box) for path, *box in rows]
    table = regions[["label", "split", "group"]].assign(path=names).drop_duplicates("path")
    # Those of one frame follow one another: it is decoded once.
    table = table.sort_values("path", kind="stable")[["path", "label", "split", "group"]]
    return table.reset_index(drop=True)


def _refuse_empty(table: pd.DataFrame, classes: tuple[str, ...], run: RunFolder) -> None:
    for split in SPLITS:
        labels = set(table["label"][table["split"] == split])
        missing = [name for name in classes if name not in labels] or ([] if labels else ["sign"])
        if missing:
            raise UserError(
                f"the frames of {split} give no region of {missing[0]}: more annotated frames are "
                f"needed, or better proposals (see {Path(run.path) / 'proposals' / 'recall.json'})"
            )
