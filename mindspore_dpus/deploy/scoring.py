"""Image files -> rows of the prediction table, whatever the network runs on."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mindspore_dpus.core.errors import one_line
from mindspore_dpus.data.images.frames import name_frames
from mindspore_dpus.data.images.preparing import ImageSettings, load_prepared
from mindspore_dpus.data.images.tiles import Tiles, load_tiles, pool_scores
from mindspore_dpus.decision.decision import Decision
from mindspore_dpus.metrics.classification import predicted_classes

TILE_COLUMNS = ["tile_x", "tile_y", "tile_width", "tile_height", "tiles"]


@dataclass(frozen=True)
class Prepared:
    """One frame, ready for the networks.

    Attributes:
        name: of its row.
        images: (T, H, W, C): its tiles, or the frame as a whole, T = 1.
        boxes: (T, 4) x, y, width, height of each tile in pixels of the frame; None: no tiles.
    """

    name: str
    images: np.ndarray
    boxes: np.ndarray | None = None


Loaded = list[Prepared] | str


class Scorer(Protocol):
    """A trained ensemble, ready to score.

    Attributes:
        spec: how a file becomes an array.
        classes: names in the order of the outputs.
        positive: index of the positive class; None for more than two classes.
        threshold: score from which an image is positive.
        decision: where the threshold comes from, and what scores mean; None with more than two classes,
            or where the run is older than decisions.
        tiles: how frames are cut; None: each is resized as a whole.
        members: what the networks are, in a run and in its exports alike; None: not known.
        models: names of the outputs, ``fused`` first.
        identity: changes with everything that changes an output.
        batch_size: images that it likes to score at a time.
    """

    spec: ImageSettings
    classes: list[str]
    positive: int | None
    threshold: float
    decision: Decision | None
    tiles: Tiles | None
    members: str | None
    models: list[str]
    identity: str
    batch_size: int

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """(N, H, W, C) prepared images -> model -> (N, classes) softmax outputs, float32."""


def columns(scorer: Scorer) -> list[str]:
    """``path, error, predicted``, ``score`` and ``probability`` for two classes, where frames are cut
    into tiles ``TILE_COLUMNS``, and ``<model>:<class>`` ..."""
    score = [] if scorer.positive is None else ["score"]
    score += [] if scorer.decision is None else ["probability"]
    score += [] if scorer.tiles is None else TILE_COLUMNS
    outputs = [f"{model}:{name}" for model in scorer.models for name in scorer.classes]
    return ["path", "error", "predicted", *score, *outputs]


def score_files(
    scorer: Scorer, files: Sequence[str | Path], batch_size: int | None = None
) -> Iterator[list[dict]]:
    """Score files, a batch at a time; the next batch is decoded meanwhile.

    Args:
        scorer: what scores.
        files: images.
        batch_size: files read at a time (with tiles: one a core), and images scored at a time; None:
            the scorer's.

    Yields:
        For each batch of files its rows, in order: ``columns`` -> values. A file that cannot be used,
        whatever is wrong with it, has a row with ``error`` and nothing else.
    """
    batch_size = batch_size or scorer.batch_size
    step = batch_size if scorer.tiles is None else os.cpu_count()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = None
        for first in range(0, len(files) + step, step):
            chunk = files[first : first + step]
            jobs = [(file, pool.submit(load, file, scorer.spec, scorer.tiles)) for file in chunk]
            if ahead is not None:
                loaded = [(file, job.result()) for file, job in ahead]
                yield [row for rows in score_loaded(scorer, loaded, batch_size) for row in rows]
            ahead = jobs or None


def load(file: str | Path, spec: ImageSettings, tiles: Tiles | None = None) -> Loaded:
    """Read one file.

    Returns:
        Every frame in it, or what is wrong with it.
    """
    try:
        return [_prepare(name, spec, tiles) for name in name_frames(str(file), Path())]
    except Exception as error:
        # Whatever a decoder raises on a hostile file: the next file has its turn.
        return one_line(str(error)) or type(error).__name__


def _prepare(name: str, spec: ImageSettings, tiles: Tiles | None) -> Prepared:
    if tiles is None:
        return Prepared(row_name(name), load_prepared(name, spec)[None])
    boxes, images = load_tiles(name, spec, tiles)
    return Prepared(row_name(name), images, boxes)


def score_loaded(
    scorer: Scorer, loaded: Sequence[tuple[str | Path, Loaded]], batch_size: int
) -> list[list[dict]]:
    """The rows of each file that ``load`` has read."""
    frames = [frame for _, found in loaded if not isinstance(found, str) for frame in found]
    scored = iter(_score(scorer, frames, batch_size))
    empty = dict.fromkeys(columns(scorer))
    files = []
    for file, found in loaded:
        if isinstance(found, str):
            files.append([empty | {"path": row_name(file), "error": found}])
        else:
            files.append([empty | {"path": frame.name} | next(scored) for frame in found])
    return files


def _score(scorer: Scorer, frames: Sequence[Prepared], batch_size: int) -> list[dict]:
    """A row for each frame, without its name."""
    if not frames:
        return []
    images = [image for frame in frames for image in frame.images]
    batches = [
        scorer.predict(np.stack(images[first : first + batch_size]))
        for first in range(0, len(images), batch_size)
    ]
    # (images, models, classes)
    outputs = np.concatenate([np.stack([b[m] for m in scorer.models], axis=1) for b in batches])
    parts = np.split(outputs, np.cumsum([len(frame.images) for frame in frames])[:-1])
    pooled = np.stack([_pool(scorer, part) for part in parts])
    fused = pooled[:, 0]
    # Scores are float32; a threshold that was one of them must meet itself.
    predicted = predicted_classes(fused, scorer.positive, np.float32(scorer.threshold))
    decision = scorer.decision
    probability = None if decision is None else decision.probability(fused[:, scorer.positive])
    names = columns(scorer)[-pooled[0].size :]
    rows = []
    for i, (frame, part) in enumerate(zip(frames, parts, strict=True)):
        if not np.isfinite(part).all():
            # Never taken for a pass: not-a-number is not below a threshold, nor above it.
            rows.append({"error": "the networks' outputs are not numbers"})
            continue
        row = {"error": "", "predicted": scorer.classes[predicted[i]]}
        if scorer.positive is not None:
            row["score"] = fused[i, scorer.positive]
        if probability is not None:
            row["probability"] = probability[i]
        if frame.boxes is not None:
            row |= _tile_cells(frame.boxes, part[:, 0, scorer.positive])
        rows.append(row | dict(zip(names, pooled[i].ravel(), strict=True)))
    return rows


def _pool(scorer: Scorer, outputs: np.ndarray) -> np.ndarray:
    """(T, M, C) outputs of a frame's tiles -> (M, C), those of the frame."""
    if scorer.tiles is None:
        return outputs[0]
    score = pool_scores(outputs[..., scorer.positive], scorer.tiles)
    pooled = np.repeat(1 - score[:, None], 2, axis=1)
    pooled[:, scorer.positive] = score
    return pooled


def _tile_cells(boxes: np.ndarray, scores: np.ndarray) -> dict:
    """``TILE_COLUMNS``: the tile of the highest score, and ``[x, y, width, height, score]`` of all."""
    best = boxes[np.argmax(scores)].tolist()
    every = [[*box, round(float(s), 6)] for box, s in zip(boxes.tolist(), scores, strict=True)]
    return dict(zip(TILE_COLUMNS, [*best, every], strict=True))


def row_name(file: str | Path) -> str:
    """A file's name, with control characters and bytes that are no UTF-8 written as escapes."""
    return one_line(str(file))


def to_look_at(scorer: Scorer, row: dict) -> bool:
    """Whether somebody should look: the positive class, or a file that could not be scored."""
    if row["error"]:
        return True
    return scorer.positive is not None and row["predicted"] == scorer.classes[scorer.positive]
