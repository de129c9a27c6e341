"""Which systems are chosen, by what, and whether that leaks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.detectors.pseudo_anomalies import pseudo_anomaly_rows, pseudo_table
from mindspore_dpus.detectors.selection import ensemble_scores, select_systems


def system(strengths, pseudo=True, n=40, seed=0):
    """Scores that tell anomalies of each machine apart as well as ``strengths`` says."""
    rng = np.random.default_rng(seed)
    parts = []
    for machine, strength in strengths.items():
        label = np.repeat(["normal", "anomaly"], n)
        part = pd.DataFrame({"machine": machine, "section": "00", "domain": "source", "label": label})
        parts.append(part.assign(score=rng.normal(size=2 * n) + strength * (label == "anomaly")))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(pseudo=True) if pseudo else table


TABLES = {
    "a": system({"fan": 3.0, "valve": 0.0}, seed=1),
    "b": system({"fan": 0.0, "valve": 3.0}, seed=2),
    "c": system({"fan": 1.4, "valve": 1.4}, seed=3),
    "d": system({"fan": -1.0, "valve": -1.0}, seed=4),
}


def value(table):
    y, s = table["label"] == "anomaly", table["score"]
    return hmean([roc_auc_score(y, s), roc_auc_score(y, s, max_fpr=0.1)])


def test_each_machine_gets_its_own_or_all_the_same():
    alone = select_systems(TABLES, 2, scope="per_machine")
    assert alone.members == {"fan": ("a", "c"), "valve": ("b", "c")}
    common = select_systems(TABLES, 1, scope="common")
    assert common.members == {"fan": ("c",), "valve": ("c",)}
    assert not common.leaks
    for name, table in TABLES.items():
        for machine, part in table.groupby("machine"):
            assert common.values.loc[name, machine] == pytest.approx(value(part), abs=1e-12)


def test_choosing_by_test_labels_is_marked():
    tables = {name: table.drop(columns="pseudo") for name, table in TABLES.items()}
    chosen = select_systems(tables, 1, scope="common", select_by="test_labels")
    assert chosen.leaks
    assert chosen.select_by == "test_labels"
    # Neither passes for the other.
    with pytest.raises(UserError, match="select_by is pseudo, but a has scores of test clips"):
        select_systems(tables, 1, scope="common")
    with pytest.raises(UserError, match="select_by is test_labels, but a has scores of pseudo"):
        select_systems(TABLES, 1, scope="common", select_by="test_labels")


def test_ties_are_counted_and_do_not_depend_on_the_order():
    tables = {name: system({"fan": 50.0}) for name in ("z", "y", "x")}
    for order in (("z", "y", "x"), ("x", "z", "y")):
        chosen = select_systems({name: tables[name] for name in order}, 1, scope="per_machine")
        assert chosen.members == {"fan": ("x",)}
        assert chosen.arbitrary == {"fan": 2}
    assert select_systems(TABLES, 1, scope="per_machine").arbitrary == {"fan": 0, "valve": 0}


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (5, {"scope": "common"}, "5 of 4 systems"),
        (0, {"scope": "common"}, "0 of 4 systems"),
        (1, {"scope": "all"}, "scope 'all'"),
        (1, {"scope": "common", "select_by": "labels"}, "select_by 'labels'"),
    ],
)
def test_wrong_choices_are_refused(n, options, message):
    with pytest.raises(UserError, match=message):
        select_systems(TABLES, n, **options)


def test_a_system_that_cannot_be_compared_is_an_error():
    table = TABLES["a"]
    tables = TABLES | {"e": table[(table["machine"] == "fan") | (table["label"] == "normal")]}
    with pytest.raises(UserError, match="e has no defined AUC on valve"):
        select_systems(tables, 1, scope="common")
    with pytest.raises(UserError, match="e has no defined AUC on valve"):
        select_systems(TABLES | {"e": table[table["machine"] == "fan"]}, 1, scope="common")


def test_the_ensemble_is_the_mean_of_each_machines_systems():
    clips = {name: table.drop(columns="pseudo") for name, table in TABLES.items()}
    chosen = select_systems(TABLES, 2, scope="per_machine")
    fused = ensemble_scores(clips, chosen)
    fan = fused["machine"] == "fan"
    for rows, (first, second) in ((fan, ("a", "c")), (~fan, ("b", "c"))):
        expected = (clips[first]["score"] + clips[second]["score"]) / 2
        assert np.allclose(fused["score"][rows], expected[rows], atol=1e-15)
    assert fused.drop(columns="score").equals(clips["a"].drop(columns="score"))


def test_ensembles_need_the_same_clips_and_all_members():
    clips = {name: table.drop(columns="pseudo") for name, table in TABLES.items()}
    chosen = select_systems(TABLES, 2, scope="per_machine")
    with pytest.raises(ValueError, match="clips of b"):
        ensemble_scores(clips | {"b": clips["b"].iloc[::-1].reset_index(drop=True)}, chosen)
    with pytest.raises(UserError, match="scores of c are missing"):
        ensemble_scores({name: clips[name] for name in "ab"}, chosen)
    with pytest.raises(UserError, match="no systems were chosen for the machine 'pump'"):
        ensemble_scores({n: t.replace({"fan": "pump"}) for n, t in clips.items()}, chosen)


def test_pseudo_anomalies_are_normals_of_others():
    clips = pd.DataFrame(
        [("fan", "00"), ("fan", "01"), ("valve", "00"), ("fan", "02"), ("fan", "00")],
        columns=["machine", "section"],
    )
    assert pseudo_anomaly_rows(clips, "fan", "00", "sections").tolist() == [1, 3]
    assert pseudo_anomaly_rows(clips, "fan", "00", "machines").tolist() == [2]
    with pytest.raises(UserError, match="no other sections than valve, section 00; take machines"):
        pseudo_anomaly_rows(clips, "valve", "00", "sections")
    with pytest.raises(UserError, match="'both'; it must be sections or machines"):
        pseudo_anomaly_rows(clips, "fan", "00", "both")


def test_a_pseudo_table_says_what_it_is():
    rows = pd.DataFrame({"machine": ["fan"], "section": ["00"], "domain": ["source"], "score": [1.0]})
    table = pseudo_table(rows, rows.assign(score=2.0))
    assert table["label"].tolist() == ["normal", "anomaly"]
    assert table["score"].tolist() == [1, 2]
    assert table["pseudo"].all()
    assert select_systems({"a": table}, 1, scope="common").values.loc["a", "fan"] == 1
