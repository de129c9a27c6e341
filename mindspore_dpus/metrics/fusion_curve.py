"""How many members are enough: AUC against the number of members that are fused. No MindSpore here."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd

from mindspore_dpus.metrics.classification import roc_auc
from mindspore_dpus.metrics.fusion import BASELINE, FUSED, fuse
from mindspore_dpus.metrics.predictions import read_predictions

# Teams of each size: more change the mean by less than its own error.
TEAMS = 50


def fusion_curve(
    labels: np.ndarray, outputs: np.ndarray, max_teams: int = TEAMS, random_state: int = 0
) -> pd.DataFrame:
    """AUC of every number of fused members, over which members they are.

    Members of independent draws are exchangeable: m of t say what a run with ``n_subsets: m`` is worth.

    Args:
        labels: (N,) class indices.
        outputs: (t, N, C) softmax output of each member.
        max_teams: all choices of m members count where there are no more, else so many random ones.
        random_state: seed of these.

    Returns:
        A row for each m = 1..t: ``members``, ``teams`` (choices), ``auc_mean``, ``auc_sd`` (nan for one
        team).
    """
    rng = np.random.default_rng(random_state)
    rows = []
    for size in range(1, len(outputs) + 1):
        areas = [
            roc_auc(labels, fuse(outputs[team])) for team in _teams(len(outputs), size, max_teams, rng)
        ]
        sd = np.std(areas, ddof=1) if len(areas) > 1 else math.nan
        rows.append((size, len(areas), np.mean(areas), sd))
    return pd.DataFrame(rows, columns=["members", "teams", "auc_mean", "auc_sd"])


def _teams(n: int, size: int, limit: int, rng: np.random.Generator) -> list[list[int]]:
    if math.comb(n, size) <= limit:
        return [list(team) for team in itertools.combinations(range(n), size)]
    teams: set[tuple[int, ...]] = set()
    while len(teams) < limit:
        teams.add(tuple(sorted(rng.choice(n, size, replace=False).tolist())))
    return [list(team) for team in sorted(teams)]


def read_fusion_curve(predictions: Path, classes: list[str]) -> pd.DataFrame:
    """``fusion_curve`` of a prediction file.

    Args:
        predictions: as ``predictions_table`` makes it, with labels.
        classes: names in the order of the outputs.
    """
    labels, outputs = read_predictions(predictions, classes)
    return fusion_curve(labels, of_members(outputs))


def of_members(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """(t, N, C): of all models' outputs, as ``read_predictions`` gives them, those of the members."""
    return np.stack([output for name, output in outputs.items() if name not in (FUSED, BASELINE)])
