"""AUC of groups and within them, over a grid."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.grid import Case, Experiment
from mindspore_dpus.experiments.groups import MOST, write_groups
from tests.support import configuration

EXPERIMENT = Experiment("grid", "base.yaml", {"method": {"A": {}, "B": {}}})
LABELS = ["defect", "normal", "defect", "normal", "normal", "normal"]
GROUPS = ["01", "01", "1", "1", "1", "pure"]


def finished(folder, method, seed, scores, groups=GROUPS, labels=LABELS):
    """The files of a finished run that are read."""
    case = Case(
        f"{method}-{seed}",
        {"method": method},
        seed,
        configuration(output=str(folder / f"{method}-{seed}")),
    )
    samples = pd.DataFrame({"path": [f"{i}.png" for i in range(len(labels))], "label": labels})
    scores = np.array(scores)
    outputs = {"fused:defect": scores, "fused:normal": 1 - scores}
    write_table(samples.assign(**outputs), case.folder / "predictions_test.csv")
    write_table(samples.assign(split="test", group=groups), case.folder / "samples.csv")
    return case


def test_every_run_has_its_areas(tmp_path):
    cases = [
        finished(tmp_path, "A", 0, [0.2, 0.1, 0.9, 0.8, 0.95, 0.3]),
        finished(tmp_path, "A", 1, [0.1, 0.2, 0.9, 0.8, 0.7, 0.3]),
        finished(tmp_path, "B", 0, [0.2, 0.1, 0.9, 0.8, 0.7, 0.3]),
    ]
    table = write_groups(EXPERIMENT, cases, tmp_path)
    stored = pd.read_csv(tmp_path / "groups.csv")
    pd.testing.assert_frame_equal(stored, table.round(4))
    assert stored.columns.tolist() == [
        *("method", "seed", "split", "all images", "within groups", "group 1", "group 01")
    ]
    # By hand: of 2 x 4 pairs, and of 1 x 2 + 1 x 1 within the groups that hold both classes.
    assert stored.to_numpy().tolist() == [
        ["A", 0, "test", 0.5, 0.6667, 0.5, 1.0],
        ["A", 1, "test", 0.5, 0.6667, 1.0, 0.0],
        ["B", 0, "test", 0.625, 1.0, 1.0, 1.0],
    ]
    lines = (tmp_path / "groups.md").read_text().splitlines()
    assert lines[0] == "| method | all images | within groups | group 1 | group 01 |"
    assert lines[2].startswith("| A | 0.5000 ± 0.0000 | 0.6667 ± 0.0000 | 0.7500 ± 0.3536 |")
    assert lines[3] == "| B | 0.6250 | 1.0000 | 1.0000 | 1.0000 |"
    assert (tmp_path / "groups.tex").read_text().count(r"\\") == 3


def test_a_page_has_room_for_the_largest_clusters(tmp_path):
    groups = [f"g{i:02d}" for i in range(MOST + 3) for _ in range(2)] + ["g14", "g14"]
    labels = ["defect", "normal"] * (MOST + 4)
    case = finished(tmp_path, "A", 0, np.linspace(0, 1, len(labels)), groups, labels)
    write_groups(EXPERIMENT, [case], tmp_path)
    shown = (tmp_path / "groups.md").read_text().splitlines()[0].split(" | ")
    assert shown[3:] == ["group g14", *(f"group g{i:02d}" for i in range(MOST - 2)), "group g10 |"]
    assert len(pd.read_csv(tmp_path / "groups.csv").columns) == 5 + MOST + 3


@pytest.mark.parametrize("cases", [0, 1])
def test_without_groups_there_is_no_table(tmp_path, cases):
    made = [finished(tmp_path, "A", i, [0.5] * 6, [""] * 6) for i in range(cases)]
    assert write_groups(EXPERIMENT, made, tmp_path).empty
    assert not list(tmp_path.glob("groups.*"))


def test_without_any_groups_there_is_no_table(tmp_path):
    (tmp_path / "groups.md").write_text("of other data")
    case = finished(tmp_path, "A", 0, [0.2, 0.1, 0.9, 0.8, 0.95, 0.3], [""] * 6)
    assert write_groups(EXPERIMENT, [case], tmp_path).empty
    assert not list(tmp_path.glob("groups.*"))


def test_images_without_a_group_are_none(tmp_path):
    groups = ["a", "a", "", "", "", ""]
    case = finished(tmp_path, "A", 0, [0.2, 0.1, 0.9, 0.8, 0.95, 0.3], groups)
    table = write_groups(EXPERIMENT, [case], tmp_path)
    assert table.columns.tolist()[3:] == ["all images", "within groups", "group a"]
    assert table["within groups"].tolist() == [1.0]


def test_over_an_axis_runs_are_one_row(tmp_path):
    axes = {"share": {"1": {}, "1/2": {}}, **EXPERIMENT.axes}
    experiment = dataclasses.replace(EXPERIMENT, axes=axes, x="share")
    runs = {
        ("1", "A"): [0.2, 0.1, 0.9, 0.8, 0.95, 0.3],
        ("1/2", "A"): [0.1, 0.2, 0.9, 0.8, 0.7, 0.3],
        ("1", "B"): [0.2, 0.1, 0.9, 0.8, 0.7, 0.3],
        ("1/2", "B"): [0.2, 0.1, 0.9, 0.8, 0.95, 0.3],
    }
    cases = []
    for (share, method), scores in runs.items():
        case = finished(tmp_path / share.replace("/", "_"), method, 0, scores)
        cases.append(dataclasses.replace(case, cell={"share": share, "method": method}))
    write_groups(experiment, cases, tmp_path)
    assert (tmp_path / "pooled_groups.md").read_text().splitlines() == [
        "| method | runs | all images | within groups | group 1 | group 01 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| A | 2 | 0.5000 ± 0.0000 | 0.6667 ± 0.0000 | 0.7500 ± 0.3536 | 0.5000 ± 0.7071 |",
        "| B | 2 | 0.5625 ± 0.0884 | 0.8333 ± 0.2357 | 0.7500 ± 0.3536 | 1.0000 ± 0.0000 |",
    ]
    # What not every row has finished is in none.
    write_groups(experiment, cases[:3], tmp_path)
    assert (tmp_path / "pooled_groups.md").read_text().splitlines()[2:] == [
        "| A | 1 | 0.5000 | 0.6667 | 0.5000 | 1.0000 |",
        "| B | 1 | 0.6250 | 1.0000 | 1.0000 | 1.0000 |",
    ]
    write_groups(experiment, cases[1:3], tmp_path)
    assert not list(tmp_path.glob("pooled_groups.*"))
    write_groups(experiment, cases, tmp_path)
    assert (tmp_path / "groups.md").read_text().startswith("| share | method | all images |")
    assert (tmp_path / "pooled_groups.tex").exists()
    # Without that axis, or without another one, there is nothing to pool.
    write_groups(dataclasses.replace(experiment, x=None), cases, tmp_path)
    assert not list(tmp_path.glob("pooled_groups.*"))
    alone = [dataclasses.replace(case, cell={"share": case.cell["share"]}) for case in cases]
    write_groups(dataclasses.replace(experiment, axes={"share": axes["share"]}), alone, tmp_path)
    assert not list(tmp_path.glob("pooled_groups.*"))
