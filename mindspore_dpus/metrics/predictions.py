"""The prediction files of a run folder, and the metrics computed from them. No MindSpore here."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.core.tables import read_table
from mindspore_dpus.metrics.classification import (
    bootstrap_metrics,
    confusion_matrix,
    per_class,
    predicted_classes,
)
from mindspore_dpus.metrics.fusion import FUSED
from mindspore_dpus.metrics.settings import EvaluationSettings


def positive_index(classes: list[str], positive: str) -> int | None:
    """Index of the positive class where there are two classes."""
    return classes.index(positive) if len(classes) == 2 else None


def predictions_table(
    paths: pd.DataFrame,
    classes: list[str],
    positive: str,
    threshold: float,
    outputs: dict[str, np.ndarray],
) -> pd.DataFrame:
    """A row for each image.

    Args:
        paths: the first columns (``path``, and ``label`` where it is known).
        classes: names in the order of the outputs.
        positive: the positive of two classes.
        threshold: score from which a sample is positive.
        outputs: ``fused`` and each model -> (N, C) softmax outputs.

    Returns:
        The columns of ``paths``, then ``predicted``, ``score`` (fused probability of the positive class,
        where there are two), and ``<model>:<class>``.
    """
    index = positive_index(classes, positive)
    fused = outputs[FUSED]
    predicted = predicted_classes(fused, index, threshold)
    columns = {"predicted": [classes[i] for i in predicted]}
    if index is not None:
        columns["score"] = fused[:, index]
    for name, output in outputs.items():
        columns |= {f"{name}:{c}": output[:, i] for i, c in enumerate(classes)}
    return pd.concat([paths.reset_index(drop=True), pd.DataFrame(columns)], axis=1)


def read_predictions(path: Path, classes: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class indices (N,), and softmax outputs (N, C) of every model."""
    table = read_table(path)
    names = dict.fromkeys(c.partition(":")[0] for c in table.columns if ":" in c)
    outputs = {n: table[[f"{n}:{c}" for c in classes]].to_numpy() for n in names}
    return table["label"].map(classes.index).to_numpy(), outputs


def shown_classes(predictions: pd.DataFrame, classes: list[str], positive: str) -> np.ndarray:
    """The class whose evidence a heatmap shows, (N,) indices: the positive one of two, whatever was
    predicted; of more the predicted one."""
    index = positive_index(classes, positive)
    if index is not None:
        return np.full(len(predictions), index)
    return predictions["predicted"].map(classes.index).to_numpy(int)


def worst_errors(predictions: pd.DataFrame, classes: list[str]) -> dict[str, pd.DataFrame]:
    """Rows that the fused ensemble gets wrong, the surest first, by true class (those that have any)."""
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    parts = {c: wrong[wrong["label"] == c].sort_values(f"fused:{c}", kind="stable") for c in classes}
    return {label: part for label, part in parts.items() if len(part)}


def compute_metrics(
    path: Path, classes: list[str], positive: str, evaluation: EvaluationSettings, seed: int
) -> dict:
    """Metrics of one prediction file, as JSON values.

    Args:
        path: as ``predictions_table`` makes it, with labels.
        classes: names in the order of the outputs.
        positive: the positive of two classes.
        evaluation: threshold and bootstrap.
        seed: of the bootstrap.

    Returns:
        ``classes``; ``counts`` of images a class; ``confusion_matrix`` of the fused predictions;
        ``per_class``: class -> precision, recall, f1 and support of the fused predictions; and
        ``models``: model -> metric -> value and interval. Undefined values are None.
    """
    index = positive_index(classes, positive)
    labels, outputs = read_predictions(path, classes)
    models = {
        name: bootstrap_metrics(
            labels,
            probabilities,
            index,
            evaluation.threshold,
            evaluation.n_bootstrap,
            evaluation.confidence,
            seed,
        )
        for name, probabilities in outputs.items()
    }
    predicted = predicted_classes(outputs[FUSED], index, evaluation.threshold)
    matrix = confusion_matrix(labels, predicted, len(classes))
    table = per_class(matrix)
    return {
        "classes": classes,
        "counts": np.bincount(labels, minlength=len(classes)).tolist(),
        "confusion_matrix": matrix.tolist(),
        "per_class": json_numbers(
            {
                c: {name: column[i].item() for name, column in table.items()}
                for i, c in enumerate(classes)
            }
        ),
        "models": json_numbers(models),
    }


def json_numbers(value: dict | float) -> dict | float | None:
    """Rounded to six digits; nan, which JSON lacks, as None."""
    if isinstance(value, dict):
        return {key: json_numbers(item) for key, item in value.items()}
    return None if math.isnan(value) else round(value, 6)
