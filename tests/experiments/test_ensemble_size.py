"""AUC against the number of fused members, over a grid."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mindspore_dpus.core.tables import write_table
from mindspore_dpus.experiments.ensemble_size import write_fusion
from mindspore_dpus.experiments.grid import Case
from tests.support import configuration

LABELS = ["defect", "normal", "defect", "normal", "normal", "normal"]


def finished(folder, method, seed, n_members):
    """The files of a finished run that are read, and its members' scores of a defect."""
    output = str(folder / f"{method}-{seed}")
    case = Case(f"{method}-{seed}", {"method": method}, seed, configuration(output=output))
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(6)], "label": LABELS})
    members = np.random.default_rng([seed, n_members]).random((n_members, 6))
    for name, scores in {"fused": members.mean(axis=0), **dict(enumerate(members))}.items():
        table[f"{name}:defect"], table[f"{name}:normal"] = scores, 1 - scores
    write_table(table, case.folder / "predictions_test.csv")
    write_table(table[["path", "label"]].assign(split="test", group=""), case.folder / "samples.csv")
    return case, members


def area(scores):
    return roc_auc_score([label == "defect" for label in LABELS], scores)


def test_every_run_has_its_curve(tmp_path):
    runs = [finished(tmp_path, "A", seed, 3) for seed in (0, 1)] + [finished(tmp_path, "B", 0, 1)]
    cases, members = zip(*runs, strict=True)
    table = write_fusion(list(cases), "test", tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "fusion.csv"), table.round(4))
    assert table.columns.tolist() == ["method", "seed", "split", "1 fused", "2 fused", "3 fused"]
    assert table["1 fused"].tolist() == pytest.approx([np.mean([area(m) for m in ms]) for ms in members])
    assert table["3 fused"].tolist()[:2] == pytest.approx([area(ms.sum(axis=0)) for ms in members[:2]])
    assert table["3 fused"].isna().tolist() == [False, False, True]
    lines = (tmp_path / "fusion.md").read_text().splitlines()
    assert lines[0] == "| method | 1 fused | 2 fused | 3 fused | gain |"
    ones = table["1 fused"]
    assert lines[2].startswith(f"| A | {ones[:2].mean():.4f} ± {ones[:2].std():.4f} | ")
    assert lines[3] == f"| B | {ones[2]:.4f} |  |  |  |"
    gain = (table["3 fused"] - ones)[:2].mean()
    assert f" | {gain:+.4f} [" in lines[2]
    assert (tmp_path / "fusion.tex").read_text().count(r"\\") == 3


@pytest.mark.parametrize("n_cases", [0, 2])
def test_of_single_members_there_is_no_curve(tmp_path, n_cases):
    cases = [finished(tmp_path, "A", seed, 1)[0] for seed in range(n_cases)]
    (tmp_path / "fusion.csv").write_text("of an earlier part of the grid")
    write_fusion(cases, "test", tmp_path)
    assert not list(tmp_path.glob("fusion.*"))
