"""Image files -> rows of the prediction table, whatever the network runs on."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from mindspore_dpus.data.images import ImageSpec, load_prepared
from mindspore_dpus.evaluation.decision import Decision
from mindspore_dpus.evaluation.metrics import predicted_classes

Loaded = list[tuple[str, np.ndarray]] | str


class Scorer(Protocol):
    """A trained ensemble, ready to score.

    Attributes:
        spec: how a file becomes an array.
        classes: names in the order of the outputs.
        positive: index of the positive class; None for more than two classes.
        threshold: score from which an image is positive.
        decision: where the threshold comes from, and what scores mean; None with more than two classes,
            or where the run is older than decisions.
        models: names of the outputs, ``fused`` first.
        identity: changes with everything that changes a score.
        batch_size: images that it likes to score at a time.
    """

    spec: ImageSpec
    classes: list[str]
    positive: int | None
    threshold: float
    decision: Decision | None
    models: list[str]
    identity: str
    batch_size: int

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """(N, H, W, C) prepared images -> model -> (N, classes) softmax outputs, float32."""


def columns(scorer: Scorer) -> list[str]:
    """``path, error, predicted``, ``score`` and ``probability`` for two classes, and
    ``<model>:<class>`` ..."""
    score = [] if scorer.positive is None else ["score"]
    score += [] if scorer.decision is None else ["probability"]
    outputs = [f"{model}:{name}" for model in scorer.models for name in scorer.classes]
    return ["path", "error", "predicted", *score, *outputs]


def score_files(
    scorer: Scorer, files: Sequence[str | Path], batch_size: int | None = None
) -> Iterator[list[dict]]:
    """Score files, a batch at a time; the next batch is decoded meanwhile.

    Args:
        scorer: what scores.
        files: images.
        batch_size: files read at a time, and images scored at a time; None: the scorer's.

    Yields:
        For each batch of files its rows, in order: ``columns`` -> values. A file that cannot be used,
        whatever is wrong with it, has a row with ``error`` and nothing else.
    """
    batch_size = batch_size or scorer.batch_size
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = None
        for first in range(0, len(files) + batch_size, batch_size):
            chunk = files[first : first + batch_size]
            jobs = [(file, pool.submit(load, file, scorer.spec)) for file in chunk]
            if ahead is not None:
                loaded = [(file, job.result()) for file, job in ahead]
                yield [row for rows in score_loaded(scorer, loaded, batch_size) for row in rows]
            ahead = jobs or None


def load(file: str | Path, spec: ImageSpec) -> Loaded:
    """Read one file.

    Returns:
        (name of the row, prepared image) for every image in it, or what is wrong with it.
    """
    try:
        return [(row_name(file), load_prepared(file, spec))]
    except Exception as error:
        # Whatever a decoder raises on a hostile file: the next file has its turn.
        return one_line(str(error)) or type(error).__name__


def score_loaded(
    scorer: Scorer, loaded: Sequence[tuple[str | Path, Loaded]], batch_size: int
) -> list[list[dict]]:
    """The rows of each file that ``load`` has read."""
    images = [image for _, found in loaded if not isinstance(found, str) for _, image in found]
    scored = iter(
        row
        for first in range(0, len(images), batch_size)
        for row in _score(scorer, np.stack(images[first : first + batch_size]))
    )
    empty = dict.fromkeys(columns(scorer))
    files = []
    for file, found in loaded:
        if isinstance(found, str):
            files.append([empty | {"path": row_name(file), "error": found}])
        else:
            files.append([empty | {"path": name} | next(scored) for name, _ in found])
    return files


def _score(scorer: Scorer, images: np.ndarray) -> list[dict]:
    outputs = scorer.predict(images)
    table = np.concatenate([outputs[model] for model in scorer.models], axis=1)
    fused = outputs["fused"]
    names = columns(scorer)[-table.shape[1] :]
    # Scores are float32; a threshold that was one of them must meet itself.
    predicted = predicted_classes(fused, scorer.positive, np.float32(scorer.threshold))
    decision = scorer.decision
    probability = None if decision is None else decision.probability(fused[:, scorer.positive])
    rows = []
    for i, values in enumerate(table):
        if not np.isfinite(values).all():
            # Never taken for a pass: not-a-number is not below a threshold, nor above it.
            rows.append({"error": "the networks' outputs are not numbers"})
            continue
        row = {"error": "", "predicted": scorer.classes[predicted[i]]}
        if scorer.positive is not None:
            row["score"] = fused[i, scorer.positive]
        if probability is not None:
            row["probability"] = probability[i]
        rows.append(row | dict(zip(names, values, strict=True)))
    return rows


def row_name(file: str | Path) -> str:
    """A file's name, with control characters and bytes that are no UTF-8 written as escapes."""
    return one_line(str(file))


def one_line(text: str) -> str:
    """Text of one line that any encoding of Unicode can hold."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        c.encode("unicode_escape").decode() if c < " " or c in "\x7f\x85\u2028\u2029" else c
        for c in text
    )


def to_look_at(scorer: Scorer, row: dict) -> bool:
    """Whether somebody should look: the positive class, or a file that could not be scored."""
    if row["error"]:
        return True
    return scorer.positive is not None and row["predicted"] == scorer.classes[scorer.positive]
