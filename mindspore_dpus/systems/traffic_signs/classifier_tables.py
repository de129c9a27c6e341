"""Loss and accuracy of the two classifiers: the paper's Tables 6 and 7."""

import numpy as np
import pandas as pd

from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import class_names
from mindspore_dpus.metrics.classification import log_loss
from mindspore_dpus.metrics.fusion import FUSED
from mindspore_dpus.metrics.predictions import read_predictions
from mindspore_dpus.stages.subsets import read_subsets
from mindspore_dpus.systems.traffic_signs.configuration import Configuration
from mindspore_dpus.systems.traffic_signs.trained_detector import section_of
from mindspore_dpus.training.early_stopping import best_epoch

TABLES = {"background": "tables/table6.csv", "signs": "tables/table7.csv"}
COLUMNS = ["split", "loss", "accuracy", "balanced_accuracy", "regions"]


def make_classifier_tables(run: RunFolder, config: Configuration) -> None:
    """``tables/table6.csv`` (background network), ``tables/table7.csv`` (sign network): ``COLUMNS``, a row a
    split.

    Of training, loss and accuracy are those of the epoch that is kept, with dropout and augmentation and
    while the weights change, as the history has them, a mean of the members. Of validation and test, they
    are the averaged members'.
    """
    for name, file in TABLES.items():
        write_table(classifier_table(run, name, section_of(config, name).training.select_by), run / file)


def classifier_table(run: RunFolder, name: str, select_by: str) -> pd.DataFrame:
    """One of the two tables."""
    samples = read_table(run / name / "samples.csv")
    number = samples["split"].value_counts()
    rows = [("train", *_trained(run, name, select_by), np.nan, number["train"])]
    classes = class_names(samples)
    for split in ("val", "test"):
        labels, outputs = read_predictions(run / name / f"predictions_{split}.csv", classes)
        right = outputs[FUSED].argmax(axis=1) == labels
        each = [right[labels == label].mean() for label in np.unique(labels)]
        loss = log_loss(labels, outputs[FUSED])
        rows.append((split, loss, right.mean(), np.mean(each), number[split]))
    return pd.DataFrame(rows, columns=COLUMNS).round(6)


def _trained(run: RunFolder, name: str, select_by: str) -> tuple[float, float]:
    """Loss and accuracy of training, in the epoch that is kept."""
    found = []
    for member in read_subsets(run / name):
        history = pd.read_csv(run / name / "members" / member / "history.csv").to_dict("records")
        kept = best_epoch(history, select_by)
        row = next(row for row in history if row["epoch"] == kept)
        found.append((row["train_loss"], row["train_accuracy"]))
    return tuple(np.mean(found, axis=0).tolist())
