"""Intervals of anomaly metrics by a bootstrap over clips, or over what was recorded together. No
MindSpore here."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import (
    ANOMALY,
    grouped_cells,
    harmonic_mean,
    harmonic_means,
    iterate_cells,
    limit_of,
    section_results,
    weighted_areas,
)


def resampled_counts(
    table: pd.DataFrame, n_bootstrap: int, random_state: int, group_column: str | None = None
) -> np.ndarray:
    """How often each clip is drawn in each replicate.

    Clips are drawn with repetition from those of the same machine, section, domain and label, as many as
    there are. With groups, whole groups are drawn instead, from those of the same machine and section
    that hold the same domains and labels: so no class ever goes missing.

    Args:
        table: of scores.
        n_bootstrap: B, replicates.
        random_state: seed; equal seeds draw the same clips from tables of the same clips in the same
            order, which makes systems comparable replicate by replicate.
        group_column: names of groups; a clip with an empty one is a group of its own. None: clips.

    Returns:
        (B, N) int.

    Raises:
        UserError: the table lacks that column.
    """
    frame = table[["machine", "section", "domain", "label"]].reset_index(drop=True)
    # Numbers, not names: a clip without a group must not meet one that is called like its stand-in.
    frame["unit"] = np.arange(len(frame))
    if group_column is not None:
        if group_column not in table.columns:
            raise UserError(f"table of scores: the column {group_column!r} is missing")
        names = table[group_column].reset_index(drop=True).fillna("")
        grouped = names != ""
        numbers = frame.assign(name=names)[grouped].groupby(["machine", "section", "name"]).ngroup()
        frame.loc[grouped, "unit"] = len(frame) + numbers
    content = frame.groupby(["domain", "label"]).ngroup()
    frame["content"] = frame["unit"].map(
        content.groupby(frame["unit"]).agg(lambda c: tuple(sorted(set(c))))
    )
    rng = np.random.default_rng(random_state)
    counts = np.zeros((n_bootstrap, len(frame)), np.int64)
    for rows in frame.groupby(["machine", "section", "content"], sort=True).indices.values():
        units, unit_of_row = np.unique(frame["unit"].to_numpy()[rows], return_inverse=True)
        n = len(units)
        counts[:, rows] = rng.multinomial(n, np.full(n, 1 / n), n_bootstrap)[:, unit_of_row]
    return counts


def mean_replicates(
    table: pd.DataFrame,
    definition: str,
    *,
    by: Sequence[str] = (),
    max_fpr: float = 0.1,
    n_bootstrap: int = 1000,
    random_state: int = 0,
    group_column: str | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Harmonic means, and what they are in every replicate.

    The difference of two systems has the replicates' difference as its distribution: give both tables
    the same clips in the same order, and the same seed.

    Args:
        table: of scores.
        definition: key of ``metrics.anomaly.DEFINITIONS``.
        by: as in ``harmonic_means``.
        max_fpr: p of the pAUC.
        n_bootstrap: B.
        random_state: seed.
        group_column: as in ``resampled_counts``.

    Returns:
        ``harmonic_means`` of the table (M rows), and (M, B) replicates of its ``value``.
    """
    results = section_results(table, definition, max_fpr)
    counts = resampled_counts(table, n_bootstrap, random_state, group_column)
    anomalous, scores = (table["label"] == ANOMALY).to_numpy(), table["score"].to_numpy(np.float64)
    cells = np.array(
        [
            weighted_areas(anomalous[rows], scores[rows], counts[:, rows], limit_of(cell, max_fpr))
            for _, cell, rows in iterate_cells(table, definition)
        ]
    ).reshape(len(results), n_bootstrap)
    means = harmonic_means(results, by)
    replicates = np.full((len(means), n_bootstrap), np.nan)
    undefined = results["value"].isna().to_numpy()
    for i, (_, places) in enumerate(grouped_cells(results, by)):
        defined = places[~undefined[places]]
        if len(defined):
            replicates[i] = harmonic_mean(cells[defined], axis=0)
    return means, replicates


def mean_intervals(
    table: pd.DataFrame, definition: str, *, confidence: float = 0.95, **options: object
) -> pd.DataFrame:
    """Harmonic means with percentile intervals.

    A section whose normals and anomalies are perfectly apart has no spread under a bootstrap: with a
    handful of clips in each, intervals are too narrow.

    Args:
        table: of scores.
        definition: key of ``metrics.anomaly.DEFINITIONS``.
        confidence: coverage.
        **options: as in ``mean_replicates``.

    Returns:
        As ``harmonic_means``, with ``low`` and ``high``.
    """
    means, replicates = mean_replicates(table, definition, **options)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(replicates, tails, axis=1)
    return means.assign(low=low, high=high)
