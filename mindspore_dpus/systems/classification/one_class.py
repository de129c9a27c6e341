"""samples -> one_class.json: detectors fitted on normal training images alone, beside the ensemble."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.detectors import DETECTORS, create_detector
from mindspore_dpus.detectors.settings import EMBEDDINGS, OneClassSettings
from mindspore_dpus.metrics.anomaly import auc, weighted_areas
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.systems.classification.embeddings import Extractor

FILE = "one_class.json"


def row_names(one_class: OneClassSettings) -> dict[str, tuple[str, int | None]]:
    """Name of a row without the prefix of its embedding, such as ``knn-4`` -> detector and size."""
    found: dict[str, tuple[str, int | None]] = {}
    for name in one_class.detectors:
        for size in one_class.sizes if DETECTORS[name].size else (None,):
            found[name if size is None else f"{name}-{size}"] = (name, size)
    return found


def whiten_by(normals: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of normals, each of variance 1.

    Args:
        normals: (N, D).
        n_components: at most; fewer where N - 1 or D is less.

    Returns:
        Mean (D,), components (D, K), and the deviation along each (K,).
    """
    mean = normals.mean(axis=0, dtype=np.float64)
    _, spread, directions = np.linalg.svd(normals - mean, full_matrices=False)
    deviation = spread / np.sqrt(len(normals) - 1)
    # Directions in which normals do not differ would blow rounding errors up.
    kept = np.flatnonzero(deviation > 1e-6 * deviation[0])[:n_components]
    return mean, directions[kept].T, deviation[kept]


def area_with_interval(
    is_defect: np.ndarray, scores: np.ndarray, evaluation: EvaluationSettings, seed: int
) -> dict[str, float | None]:
    """AUC and its percentile interval, by a bootstrap over images within each class."""
    found: dict[str, float | None] = {"value": auc(is_defect, scores), "low": None, "high": None}
    if evaluation.n_bootstrap and is_defect.any() and not is_defect.all():
        rng = np.random.default_rng(seed)
        weights = np.empty((evaluation.n_bootstrap, len(scores)))
        for inside in (is_defect, ~is_defect):
            n = int(inside.sum())
            weights[:, inside] = rng.multinomial(n, np.full(n, 1 / n), evaluation.n_bootstrap)
        areas = weighted_areas(is_defect, scores, weights, 1.0)
        tail = (1 - evaluation.confidence) / 2
        found["low"], found["high"] = map(float, np.quantile(areas, [tail, 1 - tail]))
    return found


def make_one_class(
    folder: Path,
    extractors: Mapping[str, Extractor],
    positive: str,
    one_class: OneClassSettings,
    evaluation: EvaluationSettings,
    seed: int,
) -> None:
    """``one_class.json``: split -> row, such as ``knn-4`` and ``members/knn-4`` -> AUC with its interval.

    Args:
        folder: with ``samples.csv``.
        extractors: of each of ``one_class.embeddings``.
        positive: the class that is unusual; all others are normal.
        one_class, evaluation: the sections.
        seed: of detectors and of the bootstrap.

    Raises:
        UserError: there are too few normal training images, they look alike to an extractor, or detectors
            cannot be fitted on them.
    """
    table = read_table(folder / "samples.csv")
    normal, split = (table["label"] != positive).to_numpy(), table["split"].to_numpy()
    training = np.flatnonzero(normal & (split == "train"))
    if len(training) < 3:
        raise UserError(
            f"one_class: training has {len(training)} normal images; 3 or more are needed, or leave "
            "one_class.detectors empty"
        )
    tested = {name: np.flatnonzero(split == name) for name in ("val", "test")}
    tested = {name: rows for name, rows in tested.items() if len(rows)}
    found: dict[str, dict] = {name: {} for name in tested}
    for embedding in one_class.embeddings:
        learnt, others = extractors[embedding](table, training, tested)
        mean, components, deviation = whiten_by(learnt, one_class.n_components)
        if not len(deviation):
            raise UserError(
                f"one_class: to {embedding} all normal training images look alike: leave it out of "
                "one_class.embeddings, or train the members longer"
            )
        learnt = (learnt - mean) @ components / deviation
        others = {name: (part - mean) @ components / deviation for name, part in others.items()}
        for row, (name, size) in row_names(one_class).items():
            detector = create_detector(name, size, seed).fit(learnt)
            for part, rows in tested.items():
                area = area_with_interval(~normal[rows], detector.score(others[part]), evaluation, seed)
                found[part][EMBEDDINGS[embedding] + row] = {"auc": area}
    write_json(folder / FILE, found)
