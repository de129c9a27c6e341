"""What tables over several runs can show of a traffic-sign run."""

from pathlib import Path

from mindspore_dpus.metrics.detection import METRICS
from mindspore_dpus.metrics.measures import Measures, split_metrics, value_of

# Name -> the classifier's folder and its metric.
CLASSIFIERS = {
    "background_balanced_accuracy": ("background", "balanced_accuracy"),
    "background_auc": ("background", "auc"),
    "sign_accuracy": ("signs", "accuracy"),
}
PROPOSALS = ("recall_50", "recall_70", "proposals_per_frame")


def value(folder: Path, split: str, name: str, label: str) -> float:
    """Of the detector, its proposals, or one of its two classifiers."""
    if name in CLASSIFIERS:
        part, metric = CLASSIFIERS[name]
        return value_of(split_metrics(folder / part, split)["models"]["fused"], metric)
    metrics = split_metrics(folder, split)
    if name in PROPOSALS:
        return value_of(metrics["proposals"], name)
    return value_of(metrics["models"]["fused"], name)


MEASURES = Measures((*METRICS, *PROPOSALS, *CLASSIFIERS), "map_50", value)
