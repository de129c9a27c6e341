"""The report's section on groups: the worst first, in words, and nothing where there are none."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.metrics.by_group import write_group_table
from mindspore_dpus.report.sections.groups import MOST
from mindspore_dpus.report.sections.groups import section as groups_section

CLASSES = ["defect", "normal"]


def html(section):
    loader = PackageLoader("mindspore_dpus.report")
    template = Environment(loader=loader, autoescape=True).get_template(section.template)
    return " ".join(template.render(section.context).split())


def section(folder, groups, labels, scores):
    """The section of images in these groups, with these scores of a defect."""
    scores = np.array(scores)
    samples = pd.DataFrame({"path": [f"{i}.png" for i in range(len(groups))], "label": labels})
    predicted = np.where(scores >= 0.5, *CLASSES)
    outputs = {"fused:defect": scores, "fused:normal": 1 - scores}
    predictions = samples.assign(predicted=predicted, **outputs)
    samples = samples.assign(group=groups)
    write_table(predictions, folder / "predictions_test.csv")
    path = folder / "by_group_test.csv"
    write_group_table(samples, folder / "predictions_test.csv", CLASSES, path)
    run = SimpleNamespace(path=folder, samples=samples, predictions=predictions, classes=CLASSES)
    return groups_section(run)


def test_the_worst_group_comes_first_and_both_aucs_are_told(tmp_path):
    labels = ["defect", "normal", "defect", "normal", "normal"]
    made = section(tmp_path, ["<a>", "<a>", "b", "b", "c"], labels, [0.9, 0.8, 0.4, 0.3, 0.1])
    assert [(row.name, row.counts, row.auc) for row in made.context["rows"]] == [
        ("<a>", [(0, 1), (1, 1)], "1.000"),
        ("b", [(1, 1), (0, 1)], "1.000"),
        ("c", [(0, 0), (0, 1)], ""),
    ]
    text = html(made)
    assert "3 groups of images" in text
    assert "the AUC is 0.833; counting only pairs of the same group, it is 1.000 (2 of them" in text
    assert "<tr><td>&lt;a&gt;</td><td>0 of 1</td><td>1 of 1</td><td>1.000</td></tr>" in text
    assert "<tr><td>c</td><td></td><td>0 of 1</td><td></td></tr>" in text


def test_of_many_groups_the_worst_are_shown(tmp_path):
    groups = [f"g{i:02d}" for i in range(2 * MOST) for _ in range(2)]
    scores = [0.9 if group >= "g30" else 0.1 for group in groups]
    made = section(tmp_path, groups, ["normal"] * len(groups), scores)
    assert [row.name for row in made.context["rows"]] == [
        *(f"g{i}" for i in range(30, 40)),
        *groups[:20:2],
    ]
    text = html(made)
    assert "40 groups of images" in text
    assert "the AUC is" not in text
    assert f"The {MOST} groups with the largest share of errors; all of them are in" in text


def test_without_groups_there_is_no_section(tmp_path):
    made = section(tmp_path, [""] * 2, CLASSES, [0.9, 0.1])
    assert made is None
