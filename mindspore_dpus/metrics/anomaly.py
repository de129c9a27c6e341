"""AUC and partial AUC of anomaly scores, by machine, section and domain. No MindSpore here.

A table of scores has a row for each clip: ``machine``, ``section``, ``domain`` (source, target; unknown
where a definition does without), ``label`` (normal or anomaly) and ``score`` (higher: more anomalous).
"""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError

NORMAL, ANOMALY = "normal", "anomaly"
SOURCE, TARGET, BOTH = "source", "target", "both"
COLUMNS = ("machine", "section", "domain", "label", "score")
# What a harmonic mean takes a value of 0 for; the official evaluator does the same.
SMALLEST = sys.float_info.epsilon


class Cell(NamedTuple):
    """One number that a section gets.

    Attributes:
        domain: whose normals count; ``both``: all normals of the section.
        metric: ``auc`` or ``pauc``.
        own_anomalies: against the anomalies of that domain only, not against all of the section.
    """

    domain: str
    metric: str
    own_anomalies: bool


# Name -> the numbers of a section.
DEFINITIONS = {
    # Each domain by itself: Tables 1 and 2 of the technical report.
    "domain": tuple(Cell(d, m, True) for d in (SOURCE, TARGET) for m in ("auc", "pauc")),
    # The section as one, whatever the domain: its Table 3.
    "together": (Cell(BOTH, "auc", False), Cell(BOTH, "pauc", False)),
    # DCASE 2022 Task 2: a domain's normals against all anomalies; pAUC over the section. The harmonic
    # mean of all these cells is the official score.
    "official": (
        Cell(SOURCE, "auc", False),
        Cell(TARGET, "auc", False),
        Cell(BOTH, "pauc", False),
    ),
}


def auc(is_anomaly: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve.

    Args:
        is_anomaly: (N,) bool.
        scores: (N,), higher is more anomalous; equal scores count half.

    Returns:
        0..1; nan without a normal or without an anomaly.

    Raises:
        ValueError: a score is not finite.
    """
    return partial_auc(is_anomaly, scores, 1.0)


def partial_auc(is_anomaly: np.ndarray, scores: np.ndarray, max_fpr: float = 0.1) -> float:
    """Area under the ROC curve up to a false-positive rate, standardised: 0.5 is chance, 1 is perfect.

    Args:
        is_anomaly: (N,) bool.
        scores: (N,), higher is more anomalous.
        max_fpr: p, above 0 up to 1; at 1 it is the AUC.

    Returns:
        Up to 1 (below 0.5: worse than chance); nan without a normal or without an anomaly.

    Raises:
        ValueError: a score is not finite, or ``max_fpr`` is out of range.

    Source: McClish 1989; equal to scikit-learn's ``roc_auc_score(max_fpr=...)``.
    """
    return float(weighted_areas(is_anomaly, scores, np.ones((1, len(scores))), max_fpr)[0])


def weighted_areas(
    is_anomaly: np.ndarray, scores: np.ndarray, weights: np.ndarray, max_fpr: float
) -> np.ndarray:
    """``partial_auc`` for many weightings of the same clips at once.

    Args:
        is_anomaly: (N,) bool.
        scores: (N,).
        weights: (B, N), at least 0: how often each clip counts.
        max_fpr: above 0 up to 1.

    Returns:
        (B,) areas.
    """
    if not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr={max_fpr} must be above 0 and at most 1")
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    is_anomaly = np.asarray(is_anomaly, bool)
    if is_anomaly.all() or not is_anomaly.any():
        return np.full(len(weights), np.nan)
    order = np.argsort(-scores, kind="stable")
    # Clips of equal score pass the threshold together.
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    weights = np.asarray(weights, np.float64)[:, order]
    hits = _counts(weights * is_anomaly[order], last)
    false = _counts(weights * ~is_anomaly[order], last)
    with np.errstate(invalid="ignore", divide="ignore"):
        if max_fpr == 1:
            doubled = (np.diff(false) * (hits[:, 1:] + hits[:, :-1])).sum(axis=1)
            return doubled / (2 * hits[:, -1] * false[:, -1])
        area = _area_up_to(false / false[:, -1:], hits / hits[:, -1:], max_fpr)
    chance, most = max_fpr**2 / 2, max_fpr
    return 0.5 * (1 + (area - chance) / (most - chance))


def _counts(weights: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(B, L + 1) cumulative weights at each threshold, from 0 on."""
    return np.pad(np.cumsum(weights, axis=1)[:, last], ((0, 0), (1, 0)))


def _area_up_to(fpr: np.ndarray, tpr: np.ndarray, limit: float) -> np.ndarray:
    """Trapezoids of (B, L + 1) curves left of ``limit``; the one that it cuts counts up to it."""
    left, right = fpr[:, :-1], fpr[:, 1:]
    low, high = tpr[:, :-1], tpr[:, 1:]
    width = np.clip(np.minimum(right, limit) - left, 0, None)
    # A vertical piece (right == left) has no width: its share does not matter.
    share = np.divide(width, right - left, out=np.zeros_like(width), where=right > left)
    # nan where a class has no weight: it must stay nan.
    return (width * (low + (low + share * (high - low))) / 2).sum(axis=1) + 0 * (fpr + tpr)[:, -1]


def check_scores(table: pd.DataFrame, needs_domains: bool) -> None:
    """Refuse a table that is not one of scores.

    Args:
        table: to look at.
        needs_domains: whether every clip must have a known domain.

    Raises:
        UserError: a column is missing, a label or domain is unknown, or a score is not finite.
    """
    for name in COLUMNS:
        if name not in table.columns:
            raise UserError(f"table of scores: the column {name!r} is missing")
    choices = {"label": (NORMAL, ANOMALY)} | ({"domain": (SOURCE, TARGET)} if needs_domains else {})
    for name, allowed in choices.items():
        unknown = sorted({str(value) for value in table[name]} - set(allowed))
        if unknown:
            raise UserError(f"table of scores: {name} {unknown[0]!r}; it must be {' or '.join(allowed)}")
    bad = table[~np.isfinite(table["score"].to_numpy(np.float64))]
    if len(bad):
        row = bad.iloc[0]
        raise UserError(
            f"table of scores: a score of {row['machine']}, section {row['section']}, is "
            f"{row['score']}; every clip needs a finite one"
        )


def iterate_cells(
    table: pd.DataFrame, definition: str
) -> Iterator[tuple[tuple[str, object], Cell, np.ndarray]]:
    """Which clips make which number.

    Args:
        table: of scores.
        definition: key of ``DEFINITIONS``.

    Yields:
        ``((machine, section), cell, rows)``: positions in the table. A domain without a single clip in
        a section has no cell there.

    Raises:
        UserError: as ``check_scores``, or the definition is unknown.
    """
    if definition not in DEFINITIONS:
        raise UserError(f"definition {definition!r} is unknown; there are {', '.join(DEFINITIONS)}")
    check_scores(table, any(cell.domain != BOTH for cell in DEFINITIONS[definition]))
    domains, anomalous = table["domain"].to_numpy(), (table["label"] == ANOMALY).to_numpy()
    for key, rows in table.groupby(["machine", "section"], sort=True).indices.items():
        for cell in DEFINITIONS[definition]:
            inside = np.full(len(rows), True) if cell.domain == BOTH else domains[rows] == cell.domain
            if inside.any():
                others = inside if cell.own_anomalies else np.full(len(rows), True)
                yield key, cell, rows[np.where(anomalous[rows], others, inside)]


def section_results(table: pd.DataFrame, definition: str, max_fpr: float = 0.1) -> pd.DataFrame:
    """Every section's numbers.

    Args:
        table: of scores.
        definition: key of ``DEFINITIONS``.
        max_fpr: p of the pAUC.

    Returns:
        ``machine``, ``section``, ``domain`` (source, target, both), ``metric`` (auc, pauc), ``value``
        (nan where normals or anomalies are missing), ``n_normal``, ``n_anomaly``.
    """
    anomalous, scores = (table["label"] == ANOMALY).to_numpy(), table["score"].to_numpy(np.float64)
    results = []
    for (machine, section), cell, rows in iterate_cells(table, definition):
        value = partial_auc(anomalous[rows], scores[rows], limit_of(cell, max_fpr))
        n_anomaly = int(anomalous[rows].sum())
        results.append(
            (machine, section, cell.domain, cell.metric, value, len(rows) - n_anomaly, n_anomaly)
        )
    names = ["machine", "section", "domain", "metric", "value", "n_normal", "n_anomaly"]
    return pd.DataFrame(results, columns=names)


def limit_of(cell: Cell, max_fpr: float) -> float:
    """The false-positive rate up to which a cell's curve counts."""
    return 1.0 if cell.metric == "auc" else max_fpr


def harmonic_mean(values: Sequence[float] | np.ndarray, axis: int | None = None) -> np.ndarray | float:
    """Harmonic mean of values from 0 up.

    A value below the smallest float step at 1 (2.2e-16) counts as that: with a zero among n values, the
    mean is about n times it, so a single zero still makes the whole nearly 0, without an error.

    Args:
        values: at least one along ``axis``; none negative, none nan.
        axis: as in NumPy; None: all values.

    Raises:
        ValueError: there is no value, or one is negative or nan.
    """
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise ValueError("no value to take the harmonic mean of")
    if not (values >= 0).all():
        raise ValueError("the harmonic mean needs values from 0 up")
    mean = 1 / np.mean(1 / np.maximum(values, SMALLEST), axis=axis)
    return float(mean) if np.ndim(mean) == 0 else mean


def harmonic_means(results: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Harmonic means of cells.

    Args:
        results: as ``section_results`` makes it.
        by: columns whose values are kept apart (``machine``, ``section``, ``domain``, ``metric``); none:
            one mean over all, which is the official score under the official definition and the
            paper's all/har-mean of both metrics under the others.

    Returns:
        ``by``, ``value`` (nan where no cell is defined), ``n_cells`` that it is the mean of, and
        ``n_undefined`` that it leaves out.
    """
    rows = []
    for key, places in grouped_cells(results, by):
        values = results["value"].to_numpy()[places]
        defined = values[~np.isnan(values)]
        mean = harmonic_mean(defined) if len(defined) else np.nan
        rows.append((*key, mean, len(defined), len(values) - len(defined)))
    return pd.DataFrame(rows, columns=[*by, "value", "n_cells", "n_undefined"])


def grouped_cells(results: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple, np.ndarray]]:
    """``(values of by, positions)`` of each group of cells, sorted."""
    if not by:
        return [((), np.arange(len(results)))] if len(results) else []
    groups = results.groupby(list(by), sort=True).indices
    return [(key if isinstance(key, tuple) else (key,), places) for key, places in groups.items()]
