"""Where an ensemble fails: results for each group of images that belong together (one casting, one
patient; the sample table's ``group``). No MindSpore here."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.metrics.classification import class_scores, roc_auc


def has_groups(samples: pd.DataFrame) -> bool:
    """Whether the sample table says what belongs together, and something does."""
    return bool(samples["group"][samples["group"] != ""].duplicated().any())


def within_groups_auc(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray) -> float:
    """``roc_auc`` over pairs of the same group only.

    Of all pairs of an image of a class and another image *of the same group*, the share that the scores
    put in the right order (equal scores: half). How scores differ from group to group, which lowers the
    AUC of all images together, or raises it where classes are not equally frequent in all groups, does
    not count. It is the Mann-Whitney statistic of each group, added up: groups of many pairs dominate.

    Args:
        labels: (N,) class indices.
        probabilities: (N, C), rows sum to 1.
        groups: (N,) names; an image with an empty one belongs to no other, and is in no pair.

    Returns:
        0..1; more than two classes: mean over the classes, one against the rest. nan where no group
        holds a class and another.
    """
    n_classes = probabilities.shape[1]
    rows_of = {name: rows for name, rows in pd.Series(groups).groupby(groups).indices.items() if name}
    areas = []
    for c in [1] if n_classes == 2 else range(n_classes):
        ours, scores = labels == c, class_scores(probabilities, c)
        right = n_pairs = 0.0
        for here in rows_of.values():
            positive = int(ours[here].sum())
            pairs = positive * (len(here) - positive)
            if pairs:
                # The ranks of a class less those among themselves: pairs in the right order.
                right += rankdata(scores[here])[ours[here]].sum() - positive * (positive + 1) / 2
                n_pairs += pairs
        areas.append(right / n_pairs if n_pairs else math.nan)
    return float(np.mean(areas))


def write_group_table(samples: pd.DataFrame, predictions: Path, classes: list[str], path: Path) -> None:
    """Write what the fused ensemble makes of each group, or nothing where there are no groups.

    Args:
        samples: the sample table.
        predictions: as ``predictions_table`` makes it.
        classes: names in the order of the outputs.
        path: where to; a row a group: ``group``, ``images``, for each class ``n:<class>`` and
            ``wrong:<class>``, and ``auc`` (empty where a class is missing). Images that belong to no
            other (no group) have no row.
    """
    table = with_groups(read_table(predictions), samples)
    if not has_groups(table):
        path.unlink(missing_ok=True)
        return
    rows = []
    for group, part in table[table["group"] != ""].groupby("group"):
        row = {"group": group, "images": len(part)}
        wrong = part["label"] != part["predicted"]
        for c in classes:
            ours = part["label"] == c
            row |= {f"n:{c}": int(ours.sum()), f"wrong:{c}": int((ours & wrong).sum())}
        rows.append(row | {"auc": round(roc_auc(*fused_output(part, classes)), 4)})
    write_table(pd.DataFrame(rows), path)


def with_groups(predictions: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the column ``group``."""
    groups = samples.set_index("path")["group"]
    return predictions.assign(group=predictions["path"].map(groups))


def fused_output(table: pd.DataFrame, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Class indices (N,) and fused softmax output (N, C) of a table of predictions."""
    return table["label"].map(classes.index).to_numpy(), table[
        [f"fused:{c}" for c in classes]
    ].to_numpy()
