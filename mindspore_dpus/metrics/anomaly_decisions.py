"""Precision, recall and F1 of decisions on clips, by machine, section and domain. No MindSpore here."""

import numpy as np
import pandas as pd

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import ANOMALY


def decision_results(table: pd.DataFrame) -> pd.DataFrame:
    """Each domain's decisions against its own labels.

    Args:
        table: a row a clip: ``machine``, ``section``, ``domain``, ``label`` and ``decision`` (1: called
            anomalous, 0: not).

    Returns:
        ``machine``, ``section``, ``domain``, ``precision``, ``recall``, ``f1``: 0 where they would be
        0 / 0, as in the official evaluator.

    Raises:
        UserError: a decision is neither 0 nor 1.
    """
    if not table["decision"].isin([0, 1]).all():
        raise UserError("table of decisions: a decision is neither 0 nor 1")
    called, anomalous = table["decision"].to_numpy() == 1, (table["label"] == ANOMALY).to_numpy()
    rows = []
    for key, places in table.groupby(["machine", "section", "domain"], sort=True).indices.items():
        hits = int((called[places] & anomalous[places]).sum())
        n_called, n_anomalous = int(called[places].sum()), int(anomalous[places].sum())
        precision, recall = hits / max(n_called, 1), hits / max(n_anomalous, 1)
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        rows.append((*key, precision, recall, f1))
    columns = ["machine", "section", "domain", "precision", "recall", "f1"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[3:], np.float64))
