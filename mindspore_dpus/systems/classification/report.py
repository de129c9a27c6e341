"""The report of a classification run: its sections, and the numbers at the top."""

from pathlib import Path

import numpy as np

from mindspore_dpus.metrics.fusion import BASELINE, FUSED
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.numbers import value_and_interval
from mindspore_dpus.report.page import Card, Page, write_page
from mindspore_dpus.report.sections import (
    audit,
    clusters,
    data,
    decision,
    errors,
    groups,
    results,
    training,
)
from mindspore_dpus.systems.classification.configuration import Configuration

# In the order in which the page shows them.
SECTIONS = (
    data.section,
    audit.section,
    clusters.section,
    training.section,
    results.section,
    groups.section,
    decision.section,
    errors.section,
)


def write_report(path: Path, root: Path, config: Configuration) -> None:
    """Write ``report.html`` into a run folder.

    Args:
        path: the folder, filled up to ``metrics.json``.
        root: the data root, for example images.
        config: the run's.
    """
    run = ClassifierRun(
        path, root, config.images, config.evaluation, config.data.positive, config.heatmaps.method
    )
    page = Page(
        title=path.resolve().name,
        subtitle=f"{len(run.members)} {config.model.backbone} members, strategy "
        f"{config.sampling.strategy}, {config.training.epochs} epochs, {config.images.size} pixels, "
        f"seed {config.seed}",
        cards=_cards(run.models),
        verdict=_verdict(run.models, run.members),
    )
    write_page(path, page, [section(run) for section in SECTIONS])


def _cards(models: dict) -> list[Card]:
    cards = []
    titles = {"auc": "AUC, fused", "recall": "recall, fused", "precision": "precision, fused"}
    for name, title in titles.items():
        value, interval = value_and_interval(models[FUSED][name])
        cards.append(Card(title, value, f"test, {interval}" if interval else "test"))
    if BASELINE in models:
        value, interval = value_and_interval(models[BASELINE]["auc"])
        cards.append(Card("AUC, one under-sampled model", value, f"test, {interval}"))
    return cards


def _verdict(models: dict, members: list[str]) -> str:
    """What fusion brought, in one sentence; whatever it is."""
    fused = models[FUSED]["auc"]["value"]
    single = [models[name]["auc"]["value"] for name in members]
    if fused is None:
        return "The test split lacks a class, so there is no AUC."
    text = (
        f"Fused, the {len(members)} members reach a test AUC of {fused:.3f}; alone they reach "
        f"{min(single):.3f} to {max(single):.3f} (mean {np.mean(single):.3f})."
    )
    if BASELINE in models:
        baseline = models[BASELINE]["auc"]["value"]
        text += f" One model on a random under-sample of the same size reaches {baseline:.3f}."
    return text
