"""What tables over several runs can show of a classification run."""

from pathlib import Path

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.files import read_json
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.metrics.classification import (
    CLASS_METRICS,
    METRICS,
    MULTI_CLASS_METRICS,
    log_loss,
)
from mindspore_dpus.metrics.fusion import FUSED
from mindspore_dpus.metrics.measures import LEARNING_RATE, Measures, split_metrics, value_of
from mindspore_dpus.metrics.predictions import read_predictions
from mindspore_dpus.systems.classification.one_class import FILE

LOG_LOSS = "log_loss"
# AUC of a detector of normals alone: one_class_auc:knn-4 (section one_class).
ONE_CLASS = "one_class_auc"


def value(folder: Path, split: str, name: str, label: str) -> float:
    """Of the fused ensemble, of one of its classes, or of a detector of normals alone.

    Raises:
        UserError: the run has no such class.
    """
    if name == LOG_LOSS:
        classes = class_names(read_table(folder / "samples.csv"))
        labels, outputs = read_predictions(folder / f"predictions_{split}.csv", classes)
        return log_loss(labels, outputs[FUSED])
    if name == ONE_CLASS:
        path = folder / FILE
        rows = read_json(path).get(split, {}) if path.exists() else {}
        if label not in rows:
            raise UserError(
                f"metrics names {name}:{label}, and one_class.detectors of the run made "
                f"{', '.join(rows) or 'none'}"
            )
        return value_of(rows[label], "auc")
    metrics = split_metrics(folder, split)
    if not label:
        # Some are of more than two classes only.
        return value_of(metrics["models"]["fused"], name)
    classes = metrics["per_class"]
    if label not in classes:
        raise UserError(f"metrics names {name}:{label}, and the classes are {', '.join(classes)}")
    return value_of(classes[label], name)


MEASURES = Measures(
    (*METRICS, *MULTI_CLASS_METRICS, LOG_LOSS),
    "auc",
    value,
    labelled=(*CLASS_METRICS, ONE_CLASS),
    of_run=(LEARNING_RATE,),
    has_predictions=True,
)
