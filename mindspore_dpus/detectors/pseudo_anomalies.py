"""What stands in for anomalies while there are none: normals of other sections and other machines."""

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import ANOMALY, NORMAL

KINDS = ("sections", "machines")
COLUMNS = ("machine", "section", "domain", "score")


def pseudo_anomaly_rows(clips: pd.DataFrame, machine: str, section: object, kind: str) -> np.ndarray:
    """Which normals are no normals of this section.

    Other sections of the same machine are near and worth telling apart; other machines are so easy that
    most systems reach an AUC of 1, and say little about which is best.

    Args:
        clips: normals with ``machine`` and ``section``.
        machine: whose pseudo-anomalies are wanted.
        section: likewise.
        kind: ``sections``: the same machine's other sections; ``machines``: all other machines.

    Returns:
        Positions in ``clips``.

    Raises:
        UserError: there is none, or the kind is unknown.
    """
    if kind not in KINDS:
        raise UserError(f"pseudo-anomalies: {kind!r}; it must be {' or '.join(KINDS)}")
    same = (clips["machine"] == machine).to_numpy()
    own = same & (clips["section"] == section).to_numpy()
    rows = np.flatnonzero(same & ~own if kind == "sections" else ~same)
    if len(rows) == 0:
        other = KINDS[1 - KINDS.index(kind)]
        raise UserError(
            f"pseudo-anomalies: there are no other {kind} than {machine}, section {section}; take "
            f"{other}"
        )
    return rows


def pseudo_table(normals: pd.DataFrame, anomalies: pd.DataFrame) -> pd.DataFrame:
    """A table of scores to select systems by, in which no test clip and no anomaly has a part.

    Args:
        normals: ``machine``, ``section``, ``domain``, ``score`` of normals by detectors that have not
            seen them (``held_out_scores``).
        anomalies: the same columns; the *detector's* machine and section, and the score that it gives a
            normal of another section or machine.

    Returns:
        Both, with ``label``, and ``pseudo`` (True), which ``select_systems`` looks for.
    """
    parts = []
    for part, label in ((normals, NORMAL), (anomalies, ANOMALY)):
        parts.append(part[list(COLUMNS)].assign(label=label, pseudo=True))
    return pd.concat(parts, ignore_index=True)
