"""Ensembles: the best n of many systems, one choice for all machines or one for each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import harmonic_mean, harmonic_means, section_results

SCOPES = ("common", "per_machine")
SELECT_BY = ("pseudo", "test_labels")


class Selection(NamedTuple):
    """Which systems make the ensemble.

    Attributes:
        scope: ``common`` or ``per_machine``.
        select_by: ``pseudo`` or ``test_labels``.
        leaks: whether labels of test clips had a part: then results on those clips are too good, and
            every table must say so.
        members: machine -> systems, the best first; the same for all with ``common``.
        values: (systems x machines) what was compared: the harmonic mean of AUC and pAUC.
        arbitrary: machine -> how many systems that are not chosen are exactly as good as the last one
            that is: above 0 the choice among them says nothing, their names decided.
    """

    scope: str
    select_by: str
    leaks: bool
    members: dict[str, tuple[str, ...]]
    values: pd.DataFrame
    arbitrary: dict[str, int]


def select_systems(
    tables: Mapping[str, pd.DataFrame],
    n: int,
    *,
    scope: str,
    select_by: str = "pseudo",
    definition: str = "together",
    max_fpr: float = 0.1,
) -> Selection:
    """Choose the n best systems.

    Args:
        tables: system -> table of scores, all of the same machines.
        n: how many.
        scope: ``common``: by the mean over all machines; ``per_machine``: each machine by itself.
        select_by: ``pseudo``: the tables are ``pseudo_table``'s: held-out normals against normals of
            other sections or machines. ``test_labels``: the tables are those of the test clips, as the
            authors chose theirs. **That leaks**: of many systems, one that is good on these clips by
            chance is found, and the result is too good.
        definition: key of ``metrics.anomaly.DEFINITIONS``.
        max_fpr: p of the pAUC.

    Raises:
        UserError: a name is unknown, there are fewer systems than n, the tables are not what
            ``select_by`` says, or a system has nothing to be compared by on a machine.
    """
    for name, value, allowed in (("scope", scope, SCOPES), ("select_by", select_by, SELECT_BY)):
        if value not in allowed:
            raise UserError(f"ensemble: {name} {value!r}; it must be {' or '.join(allowed)}")
    if not 1 <= n <= len(tables):
        raise UserError(f"ensemble: {n} of {len(tables)} systems cannot be chosen; change its size")
    for system, table in tables.items():
        is_pseudo = "pseudo" in table.columns and bool(table["pseudo"].all())
        if is_pseudo != (select_by == "pseudo"):
            found = "pseudo-anomalies" if is_pseudo else "test clips"
            raise UserError(f"ensemble: select_by is {select_by}, but {system} has scores of {found}")
    values = pd.DataFrame(
        {system: _values(table, definition, max_fpr) for system, table in tables.items()}
    ).T
    missing = values.isna()
    if missing.any(axis=None):
        system, machine = missing.stack().idxmax()
        raise UserError(
            f"ensemble: {system} has no defined AUC on {machine}: normals or anomalies are missing"
        )
    members, arbitrary = {}, {}
    common = pd.Series(harmonic_mean(values.to_numpy(), axis=1), index=values.index)
    for machine in values.columns:
        order = _best_first(common if scope == "common" else values[machine])
        members[machine] = tuple(order.index[:n])
        arbitrary[machine] = int((order.iloc[n:] == order.iloc[n - 1]).sum())
    return Selection(scope, select_by, select_by == "test_labels", members, values, arbitrary)


def _values(table: pd.DataFrame, definition: str, max_fpr: float) -> pd.Series:
    """Machine -> harmonic mean of its cells."""
    means = harmonic_means(section_results(table, definition, max_fpr), ["machine"])
    return means.set_index("machine")["value"]


def _best_first(values: pd.Series) -> pd.Series:
    """Descending; equal ones by name, whatever order they came in."""
    return values.sort_index().sort_values(ascending=False, kind="stable")


def ensemble_scores(tables: Mapping[str, pd.DataFrame], selection: Selection) -> pd.DataFrame:
    """Mean of the chosen systems' scores, clip by clip.

    Args:
        tables: system -> table of the same clips in the same order; ``score`` standardised by section
            (``standardise``), or systems of large scores would drown the others.
        selection: of ``select_systems``.

    Returns:
        The first table with that ``score``.

    Raises:
        ValueError: the tables differ in their clips.
        UserError: a system or machine that the selection needs is missing.
    """
    first = next(iter(tables.values()))
    clips = first.drop(columns="score")
    machines = first["machine"].to_numpy()
    scores = np.full(len(first), np.nan)
    for system, table in tables.items():
        if not table.drop(columns="score").equals(clips):
            raise ValueError(f"ensemble: the clips of {system} are not those of the first system")
    for machine in np.unique(machines):
        if machine not in selection.members:
            raise UserError(f"ensemble: no systems were chosen for the machine {machine!r}")
        rows = machines == machine
        missing = [system for system in selection.members[machine] if system not in tables]
        if missing:
            raise UserError(f"ensemble: the scores of {missing[0]} are missing")
        members = [tables[system]["score"].to_numpy()[rows] for system in selection.members[machine]]
        scores[rows] = np.mean(members, axis=0)
    return first.assign(score=scores)
