"""Metrics as pure functions of labels and scores, and their intervals. No MindSpore here.

Of classification here; detection and anomaly have modules of their own.
"""

from mindspore_dpus.metrics.classification import (
    average_precision,
    bootstrap_metrics,
    confusion_matrix,
    log_loss,
    per_class,
    roc_auc,
)
from mindspore_dpus.metrics.fusion import fuse

__all__ = [
    "average_precision",
    "bootstrap_metrics",
    "confusion_matrix",
    "fuse",
    "log_loss",
    "per_class",
    "roc_auc",
]
