"""members -> predictions -> metrics: what the ensemble says of validation and test, and how good it is."""

from pathlib import Path

import numpy as np

from mindspore_dpus.core.files import write_json
from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.data.sample_table import class_names, read_samples
from mindspore_dpus.data.source import Source
from mindspore_dpus.metrics.by_group import has_groups, write_group_table
from mindspore_dpus.metrics.fusion import with_fused
from mindspore_dpus.metrics.fusion_curve import read_fusion_curve
from mindspore_dpus.metrics.predictions import compute_metrics, predictions_table
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.stages.member_stages import ClassifierTraining, load_ensemble

EVALUATED = ("val", "test")


def make_predictions(
    folder: Path,
    source: Source,
    classifier: ClassifierTraining,
    positive: str,
    threshold: float,
    members_key: str,
) -> None:
    """``predictions_val.csv``, ``predictions_test.csv``: every model's softmax output, and the class
    that ``threshold`` makes of the fused one.

    Args:
        folder: with ``samples.csv`` and the members.
        source: where samples lie and how they are read.
        classifier: the sections of the members.
        positive: the positive of two classes.
        threshold: score from which a sample is positive.
        members_key: what the members belong to.
    """
    table, classes, _ = read_samples(folder / "samples.csv")
    images = source.open(table)
    ensemble = load_ensemble(folder, source, classifier, members_key)
    for split in EVALUATED:
        rows = np.flatnonzero(table["split"] == split)
        outputs = with_fused(ensemble.predict(images, rows))
        names = table.iloc[rows][["path", "label"]]
        predictions = predictions_table(names, classes, positive, threshold, outputs)
        write_table(predictions, folder / f"predictions_{split}.csv")


def make_metrics(folder: Path, positive: str, evaluation: EvaluationSettings, seed: int) -> None:
    """``metrics.json``: every metric of the fused ensemble and of each model, on val and test;
    ``fusion_val.csv``, ``fusion_test.csv``; and, where the data name groups, ``by_group_val.csv``,
    ``by_group_test.csv``."""
    table = read_table(folder / "samples.csv")
    classes = class_names(table)
    metrics = {}
    for split in EVALUATED:
        predictions = folder / f"predictions_{split}.csv"
        write_group_table(table, predictions, classes, folder / f"by_group_{split}.csv")
        write_table(read_fusion_curve(predictions, classes).round(4), folder / f"fusion_{split}.csv")
        metrics[split] = compute_metrics(predictions, classes, positive, evaluation, seed)
    write_json(folder / "metrics.json", metrics)


def metrics_artefacts(folder: Path) -> list[str]:
    """What ``make_metrics`` leaves."""
    table = read_table(folder / "samples.csv")
    grouped = [split for split in EVALUATED if has_groups(table[table["split"] == split])]
    artefacts = ["metrics.json", *(f"fusion_{split}.csv" for split in EVALUATED)]
    return artefacts + [f"by_group_{split}.csv" for split in grouped]
