"""AUC and pAUC beside scikit-learn; harmonic means beside scipy; what each definition counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hmean
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.metrics.anomaly import (
    DEFINITIONS,
    auc,
    harmonic_mean,
    harmonic_means,
    partial_auc,
    section_results,
    weighted_areas,
)
from mindspore_dpus.metrics.anomaly_decisions import decision_results
from mindspore_dpus.metrics.anomaly_intervals import (
    mean_intervals,
    mean_replicates,
    resampled_counts,
)


def random_case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 60))
    labels = np.append(rng.random(n) < rng.uniform(0.1, 0.9), [True, False])
    # Few distinct scores: many ties.
    return labels, np.round(rng.normal(labels * rng.uniform(-1, 2)), int(rng.integers(0, 4)))


def scores_table(seed=0, machines=("fan", "valve"), sections=(0, 1), n=6):
    rng = np.random.default_rng(seed)
    keys = [
        (m, s, d, label, f"g{i // 2}")
        for m in machines
        for s in sections
        for d in ("source", "target")
        for label in ("normal", "anomaly")
        for i in range(n)
    ]
    table = pd.DataFrame(keys, columns=["machine", "section", "domain", "label", "group"])
    table["score"] = rng.normal((table["label"] == "anomaly") * 1.0)
    return table


def test_areas_equal_scikit_learn_on_random_cases():
    for seed in range(120):
        labels, scores = random_case(seed)
        assert abs(auc(labels, scores) - roc_auc_score(labels, scores)) < 1e-12
        for p in (0.01, 0.1, 0.37, 1.0):
            expected = roc_auc_score(labels, scores, max_fpr=p)
            assert abs(partial_auc(labels, scores, p) - expected) < 1e-12, (seed, p)


def test_weighted_areas_equal_those_of_repeated_clips():
    labels, scores = random_case(3)
    weights = np.random.default_rng(0).integers(0, 4, (20, len(labels)))
    for p in (0.1, 1.0):
        areas = weighted_areas(labels, scores, weights, p)
        for w, area in zip(weights, areas, strict=True):
            expected = roc_auc_score(np.repeat(labels, w), np.repeat(scores, w), max_fpr=p)
            assert abs(area - expected) < 1e-12


def test_a_missing_class_leaves_the_area_undefined():
    assert np.isnan(auc(np.array([True, True]), np.array([1.0, 2.0])))
    assert np.isnan(partial_auc(np.array([False]), np.array([1.0])))
    labels, scores = np.array([True, False]), np.array([1.0, 0.0])
    assert np.isnan(weighted_areas(labels, scores, np.array([[1, 0], [0, 1]]), 0.1)).all()


def test_bad_scores_and_limits_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        auc(np.array([True, False]), np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="max_fpr"):
        partial_auc(np.array([True, False]), np.array([1.0, 0.0]), 0.0)


def reference(part, definition):
    """Every cell of a section by scikit-learn, written out."""
    y, s = (part["label"] == "anomaly").to_numpy(), part["score"].to_numpy()
    source = (part["domain"] == "source").to_numpy()
    cells = {}
    for name, domain in (("source", source), ("target", ~source)):
        own, against_all = domain, domain | y
        if definition == "domain":
            cells[name, "auc"] = roc_auc_score(y[own], s[own])
            cells[name, "pauc"] = roc_auc_score(y[own], s[own], max_fpr=0.1)
        elif definition == "official":
            cells[name, "auc"] = roc_auc_score(y[against_all], s[against_all])
    if definition == "together":
        cells["both", "auc"] = roc_auc_score(y, s)
    if definition in ("together", "official"):
        cells["both", "pauc"] = roc_auc_score(y, s, max_fpr=0.1)
    return cells


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_each_definition_counts_its_clips(definition):
    table = scores_table()
    results = section_results(table.sample(frac=1, random_state=1), definition)
    ours = {(r.machine, r.section, r.domain, r.metric): r.value for r in results.itertuples(index=False)}
    expected = {
        (*key, *cell): value
        for key, part in table.groupby(["machine", "section"])
        for cell, value in reference(part, definition).items()
    }
    assert ours.keys() == expected.keys()
    assert max(abs(ours[key] - expected[key]) for key in ours) < 1e-12
    mean = harmonic_means(results)
    assert abs(mean["value"].item() - hmean(list(expected.values()))) < 1e-12
    assert mean["n_cells"].item() == len(expected)


def test_counts_of_the_official_definition():
    results = section_results(scores_table(machines=("fan",), sections=(0,)), "official")
    counts = results.set_index(["domain", "metric"])[["n_normal", "n_anomaly"]]
    assert counts.loc[("source", "auc")].tolist() == [6, 12]
    assert counts.loc[("both", "pauc")].tolist() == [12, 12]


def test_harmonic_means_by_columns():
    results = section_results(scores_table(), "domain")
    means = harmonic_means(results, ["machine", "domain"])
    row = means[(means["machine"] == "valve") & (means["domain"] == "target")]
    cells = results[(results["machine"] == "valve") & (results["domain"] == "target")]
    assert row["value"].item() == pytest.approx(hmean(cells["value"]), abs=1e-12)
    assert len(means) == 4
    assert set(means["n_cells"]) == {4}


def test_a_zero_makes_the_harmonic_mean_nearly_zero_and_no_error():
    assert harmonic_mean([0.0, 1.0]) == pytest.approx(2 * np.finfo(float).eps)
    assert harmonic_mean(np.array([[0.5, 1], [1, 1]]), axis=0).tolist() == pytest.approx([2 / 3, 1])
    for wrong in ([], [np.nan, 1], [-0.1]):
        with pytest.raises(ValueError, match="harmonic|no value"):
            harmonic_mean(wrong)


def test_undefined_cells_are_counted_not_averaged():
    table = scores_table(machines=("fan",), sections=(0,))
    table = table[~((table["domain"] == "target") & (table["label"] == "anomaly"))]
    results = section_results(table, "domain")
    assert results.loc[results["domain"] == "target", "value"].isna().all()
    mean = harmonic_means(results)
    assert (mean["n_cells"].item(), mean["n_undefined"].item()) == (2, 2)
    assert mean["value"].item() == pytest.approx(hmean(results["value"].dropna()))
    # All of the section's anomalies count officially: the target's AUC is defined.
    assert section_results(table, "official")["value"].notna().all()
    # A domain that a section does not have at all has no cell.
    assert set(section_results(table[table["domain"] == "source"], "domain")["domain"]) == {"source"}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("label", "broken", "label 'broken'"), ("domain", "", "domain ''"), ("score", np.inf, "fan")],
)
def test_bad_tables_are_refused(column, value, message):
    table = scores_table()
    table.loc[0, column] = value
    with pytest.raises(UserError, match=message):
        section_results(table, "official")


def test_where_domains_do_not_count_they_need_not_be_known():
    table = scores_table()
    expected = section_results(table, "together")
    assert section_results(table.assign(domain="unknown"), "together").equals(expected)
    with pytest.raises(UserError, match="domain 'unknown'"):
        section_results(table.assign(domain="unknown"), "official")


def test_unknown_definitions_and_missing_columns_are_refused():
    with pytest.raises(UserError, match="'paper' is unknown"):
        section_results(scores_table(), "paper")
    with pytest.raises(UserError, match="'domain' is missing"):
        section_results(scores_table().drop(columns="domain"), "official")


def test_replicates_equal_a_plain_bootstrap():
    table = scores_table()
    means, replicates = mean_replicates(table, "domain", by=["machine"], n_bootstrap=15, random_state=4)
    counts = resampled_counts(table, 15, 4)
    for b, count in enumerate(counts):
        drawn = table.loc[np.repeat(table.index, count)].reset_index(drop=True)
        expected = harmonic_means(section_results(drawn, "domain"), ["machine"])["value"]
        assert np.abs(expected - replicates[:, b]).max() < 1e-12
    assert means["value"].tolist() == pytest.approx(
        harmonic_means(section_results(table, "domain"), ["machine"])["value"].tolist()
    )


def test_clips_are_drawn_within_their_stratum_and_groups_whole():
    table = scores_table()
    keys = ["machine", "section", "domain", "label"]
    counts = resampled_counts(table, 50, 0)
    for rows in table.groupby(keys).indices.values():
        assert (counts[:, rows].sum(axis=1) == 6).all()
    # Each group holds two clips of each domain and label of its section.
    counts = resampled_counts(table, 50, 0, "group")
    for rows in table.groupby(["machine", "section", "group"]).indices.values():
        assert (counts[:, rows] == counts[:, rows[:1]]).all()
    for rows in table.groupby(keys).indices.values():
        assert (counts[:, rows].sum(axis=1) == 6).all()


def test_groups_of_unlike_content_are_not_exchanged():
    table = scores_table(machines=("fan",), sections=(0,))
    table["group"] = table["domain"] + table["label"] + table["group"]
    table.loc[:1, "group"] = ""
    counts = resampled_counts(table, 50, 0, "group")
    normals = table.groupby(["domain", "label"]).indices["source", "anomaly"]
    assert (counts[:, normals].sum(axis=1) == 6).all()
    # Clips without a group go their own ways.
    assert (counts[:, 0] != counts[:, 1]).any()
    with pytest.raises(UserError, match="'session' is missing"):
        resampled_counts(table, 2, 0, "session")


def test_intervals_are_seeded_and_hold_the_value():
    table = scores_table()
    first = mean_intervals(table, "official", n_bootstrap=300, random_state=1)
    again = mean_intervals(table, "official", n_bootstrap=300, random_state=1)
    other = mean_intervals(table, "official", n_bootstrap=300, random_state=2)
    assert first.equals(again)
    assert first["low"].item() != other["low"].item()
    assert first["low"].item() < first["value"].item() < first["high"].item()
    wide = mean_intervals(table, "official", confidence=0.99, n_bootstrap=300, random_state=1)
    assert wide["low"].item() < first["low"].item()


def test_decisions_equal_scikit_learn():
    table = scores_table()
    table["decision"] = (table["score"] > 0.6).astype(int)
    results = decision_results(table)
    assert len(results) == 8
    for row in results.itertuples(index=False):
        part = table[
            (table["machine"] == row.machine)
            & (table["section"] == row.section)
            & (table["domain"] == row.domain)
        ]
        expected = precision_recall_fscore_support(
            part["label"] == "anomaly", part["decision"] == 1, average="binary", zero_division=0
        )[:3]
        assert np.allclose([row.precision, row.recall, row.f1], expected, atol=1e-12)


def test_no_call_at_all_is_zero_not_an_error():
    results = decision_results(scores_table().assign(decision=0))
    assert (results[["precision", "recall", "f1"]] == 0).all(axis=None)
    with pytest.raises(UserError, match="neither 0 nor 1"):
        decision_results(scores_table().assign(decision=2))
