"""networks -> what they say of every region of the frames that validate and test."""

import numpy as np
import pandas as pd

from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.boxes.annotations import EDGES
from mindspore_dpus.deploy.cascade import SCORING, Scored
from mindspore_dpus.deploy.stopwatch import Stopwatch
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.proposal_stage import read_proposals
from mindspore_dpus.systems.traffic_signs.run_data import (
    RunFrames,
    data_root,
    read_frame,
    read_run_frames,
)
from mindspore_dpus.systems.traffic_signs.trained_detector import run_detector

EVALUATED = ("val", "test")
TABLE, TIMES = "region_scores.csv", "region_scores.json"
SCORE_DIGITS = 6


def make_region_scores(run: RunFolder, config: Configuration) -> None:
    """``region_scores.csv``: path, x1, y1, x2, y2, foreground, and a column a class, empty where the sign
    network was not asked; ``region_scores.json``: milliseconds of each step, and regions, of a frame.

    Thresholds, suppression and vote are chosen on this table: none of them needs a network.
    """
    frames, detector = read_run_frames(run), run_detector(run, config)
    found, root = read_proposals(run, frames), data_root(run, config)
    floor, tables, watch = min(config.cascade.background_thresholds), [], Stopwatch()
    for split in EVALUATED:
        for i in frames.of(split):
            image = read_frame(root / frames.paths[i], config.data.max_pixels)
            scored = detector.score(image, found[i], floor, watch)
            tables.append(_as_table(frames.paths[i], scored, detector.settings.classes))
    # A frame without a region has no row.
    table = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    write_table(table, run / TABLE)
    write_json(
        run / TIMES,
        {
            "ms_per_frame": watch.ms(SCORING, len(tables)),
            "regions_per_frame": float(np.mean([len(t) for t in tables])),
        },
    )


def _as_table(path: str, scored: Scored, classes: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(scored.boxes, columns=EDGES).round(3)
    table.insert(0, "path", path)
    # As it is: rounded up to a threshold, a region would pass that the sign network was not asked about.
    table["foreground"] = scored.foreground
    names = [_column(name) for name in classes]
    return pd.concat([table, pd.DataFrame(scored.signs.round(SCORE_DIGITS), columns=names)], axis=1)


def _column(name: str) -> str:
    """Of a class, which may be called as another column."""
    return f"class {name}"


def read_region_scores(run: RunFolder, frames: RunFrames, classes: tuple[str, ...]) -> dict[int, Scored]:
    """What the networks said, by the numbers of the frames that validate and test."""
    table, names = read_table(run / TABLE), [_column(name) for name in classes]
    # Columns with empty cells have come as text.
    numbers = [*EDGES, "foreground", *names]
    table[numbers] = table[numbers].apply(pd.to_numeric).astype(float)
    by_path, empty = dict(list(table.groupby("path"))), table.iloc[:0]
    scored = {}
    for split in EVALUATED:
        for i in frames.of(split):
            part = by_path.get(frames.paths[i], empty)
            scored[i] = Scored(*(part[c].to_numpy(float) for c in (EDGES, "foreground", names)))
    return scored
