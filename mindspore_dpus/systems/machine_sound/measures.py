"""What tables over several runs can show of a machine-sound run."""

from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.measures import Measures, split_metrics, value_of
from mindspore_dpus.systems.machine_sound.leaks import LEAK, find_row
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED

NAMES = ("official", "source", "target", "both", "auc", "pauc")
DOMAIN_AUC = "domain_auc"


def value(folder: Path, split: str, name: str, label: str) -> float:
    """Of the ensemble that is chosen, or of a row of the run's table, with or without its mark; of
    ``domain_auc``, of one kind of vectors.

    Raises:
        UserError: the run has no such row.
    """
    metrics = split_metrics(folder, split)
    models = metrics.get("models", {})
    if not label:
        return value_of(models.get(FUSED, {}), name)
    if name == DOMAIN_AUC:
        found = metrics.get(DOMAIN_AUC, {})
        if label not in found:
            raise UserError(f"metrics names {name}:{label}, and the vectors are {', '.join(found)}")
        return value_of(found, label)
    row = find_row(models, label)
    if row is None:
        raise UserError(f"metrics names {name}:{label}, and the rows are {', '.join(models)}")
    return value_of(models[row], name)


def note(folder: Path, split: str, name: str, label: str) -> str:
    """That test data had a part in a number; empty: they had none. One kind of vectors tells domains apart
    without them."""
    metrics = split_metrics(folder, split)
    if name == DOMAIN_AUC and label:
        return ""
    leaks = metrics.get("leaks", [])
    return LEAK if find_row(leaks, label or FUSED) else ""


MEASURES = Measures((*NAMES, DOMAIN_AUC), "official", value, labelled=(*NAMES, DOMAIN_AUC), note=note)
