"""The stage that draws: its classes are those whose features were made, and it says the chosen K."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from mindspore_dpus.config import Config
from mindspore_dpus.data.samples import read_table, write_table
from mindspore_dpus.run import RunFolder
from mindspore_dpus.sampling import DistributionPreservingUnderSampler
from mindspore_dpus.stages.subsets import drawn_rows, make_diagnostics, make_subsets


def table_of(labels, splits=None):
    paths = [f"{i:02d}.png" for i in range(len(labels))]
    return pd.DataFrame(
        {"path": paths, "label": labels, "split": splits or ["train"] * len(labels), "group": ""}
    )


def sampler_draws(labels):
    sampler = DistributionPreservingUnderSampler(n_clusters=1, n_components=None, random_state=0)
    sampler.fit_resample(np.arange(float(len(labels)))[:, None], labels)
    return sampler.sampling_strategy_


@pytest.mark.parametrize(
    ("labels", "drawn"),
    [
        # Of two smallest classes the first by name stays whole, whichever comes first in the table.
        (["b"] * 5 + ["a"] * 5 + ["c"] * 9, {"b", "c"}),
        (["a"] * 5 + ["b"] * 5 + ["c"] * 9, {"b", "c"}),
        (["c"] * 5 + ["a"] * 9 + ["b"] * 5, {"a", "c"}),
        (["a"] * 5 + ["b"] * 5, {"b"}),
        (["a"] * 9 + ["b"] * 5, {"a"}),
    ],
)
def test_the_features_are_those_of_the_classes_that_the_sampler_draws(labels, drawn):
    table = table_of(labels)
    assert set(sampler_draws(np.array(labels))) == drawn
    assert drawn_rows(table).tolist() == [i for i, label in enumerate(labels) if label in drawn]


def test_only_training_images_count():
    table = table_of(list("aaabbbbb"), ["train"] * 5 + ["test"] * 2 + ["unused"])
    assert drawn_rows(table).tolist() == [0, 1, 2]


def filled(folder, table, whitened):
    """A run folder up to its features, and the lines that it reports."""
    lines = []
    run = RunFolder(folder, lines.append)
    write_table(table, run / "samples.csv")
    rows = drawn_rows(table)
    np.savez(run / "features.npz", path=table["path"].to_numpy(str)[rows], whitened=whitened[rows])
    return run, lines


def test_where_two_classes_are_the_smallest_every_grouped_image_has_features(tmp_path):
    table = table_of(["b"] * 5 + ["a"] * 5 + ["c"] * 9)
    # Two groups in every class that is drawn; a row of zeros would be a third place.
    whitened = np.where(np.arange(19)[:, None] % 2, 5.0, -5.0) + np.linspace(0, 0.1, 19)[:, None]
    run, _ = filled(tmp_path / "run", table, whitened)
    config = Config()
    config.sampling.n_clusters = 2
    config.sampling.n_subsets = 1
    make_subsets(run, config)
    groups = read_table(run / "groups.csv")
    assert groups["path"].tolist() == table["path"].iloc[drawn_rows(table)].tolist()
    for _, part in groups.groupby("label"):
        parity = part["path"].str[:2].astype(int) % 2
        assert adjusted_rand_score(parity, part["group"]) == 1.0


@pytest.fixture
def castings_with_truth():
    """40 normals of three sub-populations and 6 defects: the sample table, and features."""
    features, truth = make_blobs([20, 12, 8, 6], centers=20 * np.eye(4), random_state=0)
    table = table_of(np.where(truth == 3, "defect", "normal").tolist())
    return table.assign(subpopulation=np.array(["x", "y", "z", "y"])[truth]), features


@pytest.mark.parametrize(
    ("n_clusters", "said"), [("auto", ["  normal: 3 groups"]), (3, []), (2, []), (1, [])]
)
def test_the_run_says_how_many_groups_it_chose(tmp_path, castings_with_truth, n_clusters, said):
    run, lines = filled(tmp_path / "run", *castings_with_truth)
    config = Config()
    config.sampling.n_clusters = n_clusters
    make_subsets(run, config)
    assert lines == ["subsets ...", *said]
    expected = 3 if n_clusters == "auto" else n_clusters
    assert read_table(run / "groups.csv")["group"].nunique() == expected


def test_one_group_is_singular_and_every_drawn_class_has_its_line(tmp_path):
    table = table_of(["a"] * 4 + ["b"] * 6 + ["c"] * 9)
    whitened = np.array([0.0] * 10 + [0.0, 9.0, 20.0] * 3)[:, None]
    run, lines = filled(tmp_path / "run", table, whitened)
    config = Config()
    config.sampling.n_clusters = "auto"
    make_subsets(run, config)
    assert lines == ["subsets ...", "  b: 1 group", "  c: 3 groups"]


@pytest.mark.parametrize("n_clusters", ["auto", 2])
def test_diagnostics_compare_groups_with_known_sub_populations(
    tmp_path, castings_with_truth, n_clusters
):
    table, features = castings_with_truth
    run, _ = filled(tmp_path / "run", table, features)
    config = Config()
    config.sampling.n_clusters = n_clusters
    make_subsets(run, config)
    make_diagnostics(run, config)
    groups = read_table(run / "groups.csv")
    truth = table.set_index("path")["subpopulation"][groups["path"]]
    expected = round(adjusted_rand_score(truth, groups["group"]), 6)
    assert read_table(run / "diagnostics.csv")["agreement"].tolist() == [expected] * 25
    assert expected == 1.0 if n_clusters == "auto" else 0.3 < expected < 0.9


def test_diagnostics_of_real_images_have_no_agreement(tmp_path, castings_with_truth):
    table, features = castings_with_truth
    run, _ = filled(tmp_path / "run", table.drop(columns="subpopulation"), features)
    make_subsets(run, Config())
    make_diagnostics(run, Config())
    columns = set(read_table(run / "diagnostics.csv"))
    assert "silhouette" in columns
    assert not {"agreement", "true_share_deviation"} & columns
