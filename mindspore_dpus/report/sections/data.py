"""The report's section on the data: classes in each split, and what a member learns from."""

from types import SimpleNamespace

from mindspore_dpus.data.sample_table import SPLITS, UNUSED
from mindspore_dpus.report.classifier_run import ClassifierRun
from mindspore_dpus.report.page import Section


def section(run: ClassifierRun) -> Section:
    """A row for each split; and the classes of the first member's subset."""
    rows = []
    for split in (*SPLITS, UNUSED):
        labels = run.samples["label"][run.samples["split"] == split]
        if len(labels):
            counts = [int((labels == c).sum()) for c in run.classes]
            rows.append(SimpleNamespace(split=split, counts=counts))
    subsets = run.subsets
    first = subsets[subsets["member"] == subsets["member"].iloc[0]]
    learnt = first.merge(run.samples[["path", "label"]])["label"].value_counts().to_dict()
    return Section("data.html.j2", {"data": rows, "classes": run.classes, "member_counts": learnt})
