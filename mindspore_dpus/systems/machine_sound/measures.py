"""What tables over several runs can show of a machine-sound run."""

from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.measures import Measures, split_metrics, value_of
from mindspore_dpus.systems.machine_sound.metrics_stage import FUSED

NAMES = ("official", "source", "target", "both", "auc", "pauc")


def value(folder: Path, split: str, name: str, label: str) -> float:
    """Of the ensemble that is chosen, or of a row of the run's table.

    Raises:
        UserError: the run has no such row.
    """
    metrics = split_metrics(folder, split)
    models = metrics.get("models", {})
    if not label:
        return value_of(models.get(FUSED, {}), name)
    if label not in models:
        raise UserError(f"metrics names {name}:{label}, and the rows are {', '.join(models)}")
    return value_of(models[label], name)


MEASURES = Measures((*NAMES, "domain_auc"), "official", value, labelled=NAMES)
