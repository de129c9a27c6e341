"""The stage that draws: its classes are those whose features were made, and it says the chosen K."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from mindspore_dpus.core.tables import read_table, write_table
from mindspore_dpus.features.whitening import whiten
from mindspore_dpus.sampling import DistributionPreservingUnderSampler
from mindspore_dpus.sampling.settings import SamplingSettings
from mindspore_dpus.sampling.strategies import dpus as strategy
from mindspore_dpus.stages import features as feature_stage
from mindspore_dpus.stages.diagnose import make_diagnostics
from mindspore_dpus.stages.features import drawn_rows, read_features
from mindspore_dpus.stages.subsets import make_subsets, read_subsets
from tests.support import logged


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
    """A folder with its samples and features."""
    folder.mkdir(parents=True)
    write_table(table, folder / "samples.csv")
    rows = drawn_rows(table)
    np.savez(
        folder / "features.npz",
        path=table["path"].to_numpy(str)[rows],
        label=table["label"].to_numpy(str)[rows],
        whitened=whitened[rows],
    )
    return folder


def test_where_two_classes_are_the_smallest_every_grouped_image_has_features(tmp_path):
    table = table_of(["b"] * 5 + ["a"] * 5 + ["c"] * 9)
    # Two groups in every class that is drawn; a row of zeros would be a third place.
    whitened = np.where(np.arange(19)[:, None] % 2, 5.0, -5.0) + np.linspace(0, 0.1, 19)[:, None]
    run = filled(tmp_path / "run", table, whitened)
    make_subsets(run, SamplingSettings(n_clusters=2, n_subsets=1), 0)
    clusters = read_table(run / "clusters.csv")
    assert clusters["path"].tolist() == table["path"].iloc[drawn_rows(table)].tolist()
    for _, part in clusters.groupby("label"):
        parity = part["path"].str[:2].astype(int) % 2
        assert adjusted_rand_score(parity, part["cluster"]) == 1.0


@pytest.fixture
def castings_with_truth():
    """40 normals of three sub-populations and 6 defects: the sample table, and features."""
    features, truth = make_blobs([20, 12, 8, 6], centers=20 * np.eye(4), random_state=0)
    table = table_of(np.where(truth == 3, "defect", "normal").tolist())
    return table.assign(subpopulation=np.array(["x", "y", "z", "y"])[truth]), features


@pytest.mark.parametrize(
    ("n_clusters", "said"), [("auto", ["  normal: 3 clusters"]), (3, []), (2, []), (1, [])]
)
def test_the_run_says_how_many_groups_it_chose(tmp_path, castings_with_truth, n_clusters, said):
    run, lines = filled(tmp_path / "run", *castings_with_truth), []
    with logged(lines.append):
        make_subsets(run, SamplingSettings(n_clusters=n_clusters), 0)
    assert lines == said
    expected = 3 if n_clusters == "auto" else n_clusters
    assert read_table(run / "clusters.csv")["cluster"].nunique() == expected


def test_one_group_is_singular_and_every_drawn_class_has_its_line(tmp_path):
    table = table_of(["a"] * 4 + ["b"] * 6 + ["c"] * 9)
    whitened = np.array([0.0] * 10 + [0.0, 9.0, 20.0] * 3)[:, None]
    run, lines = filled(tmp_path / "run", table, whitened), []
    with logged(lines.append):
        make_subsets(run, SamplingSettings(n_clusters="auto"), 0)
    assert lines == ["  b: 1 cluster", "  c: 3 clusters"]


@pytest.mark.parametrize("n_clusters", ["auto", 2])
def test_diagnostics_compare_groups_with_known_sub_populations(
    tmp_path, castings_with_truth, n_clusters
):
    table, features = castings_with_truth
    run = filled(tmp_path / "run", table, features)
    make_subsets(run, SamplingSettings(n_clusters=n_clusters), 0)
    make_diagnostics(run, 0)
    clusters = read_table(run / "clusters.csv")
    truth = table.set_index("path")["subpopulation"][clusters["path"]]
    expected = round(adjusted_rand_score(truth, clusters["cluster"]), 6)
    assert read_table(run / "diagnostics.csv")["agreement"].tolist() == [expected] * 25
    assert expected == 1.0 if n_clusters == "auto" else 0.3 < expected < 0.9


def test_diagnostics_of_real_images_have_no_agreement(tmp_path, castings_with_truth):
    table, features = castings_with_truth
    run = filled(tmp_path / "run", table.drop(columns="subpopulation"), features)
    make_subsets(run, SamplingSettings(), 0)
    make_diagnostics(run, 0)
    columns = set(read_table(run / "diagnostics.csv"))
    assert "silhouette" in columns
    assert not {"agreement", "true_share_deviation"} & columns


def test_a_large_class_is_clustered_and_measured_in_blocks_too(
    tmp_path, monkeypatch, castings_with_truth
):
    monkeypatch.setattr(feature_stage, "EXACT_UP_TO", 30)
    given = []

    def spy(features, *arguments):
        given.append(features.dtype)
        return dpus(features, *arguments)

    dpus = strategy.dpus
    monkeypatch.setattr(strategy, "dpus", spy)
    table, features = castings_with_truth
    # Shuffled, so that the rows of the features are not those of the table.
    order = np.random.default_rng(0).permutation(len(table))
    table, features = table.iloc[order].reset_index(drop=True), features[order]
    run = filled(tmp_path / "run", table, features)
    make_subsets(run, SamplingSettings(n_clusters=3), 0)
    make_diagnostics(run, 0)
    assert given == [np.float32]
    assert read_table(run / "diagnostics.csv")["agreement"].tolist() == [1.0] * 25


def test_classes_are_whitened_each_by_itself_large_ones_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(["a", "b"], [400, 90]))
    features = rng.normal(size=(490, 30)) * np.linspace(1, 9, 30) + (labels == "a")[:, None]
    exact = feature_stage._whiten_classes(features, labels, 8, 0)
    assert exact.dtype == np.float64
    assert np.array_equal(exact[labels == "b"], whiten(features[labels == "b"], 8, 0))
    monkeypatch.setattr(feature_stage, "EXACT_UP_TO", 100)
    mixed = feature_stage._whiten_classes(features, labels, 8, 0)
    assert mixed.dtype == np.float32
    for name in ("a", "b"):
        rows = labels == name
        cosines = (mixed[rows] * exact[rows]).sum(axis=0) / (exact[rows] ** 2).sum(axis=0)
        np.testing.assert_allclose(np.abs(cosines), 1, rtol=1e-5)


@pytest.mark.parametrize(("exact_up_to", "dtype"), [(3, np.float64), (2, np.float32)])
def test_features_are_found_by_their_paths(tmp_path, monkeypatch, exact_up_to, dtype):
    monkeypatch.setattr(feature_stage, "EXACT_UP_TO", exact_up_to)
    arrays = {"path": np.array(["c.png", "a.png", "ä.png"]), "label": np.array(["n"] * 3)}
    np.savez(tmp_path / "features.npz", whitened=np.arange(6.0).reshape(3, 2), **arrays)
    wanted = np.array(["ä.png", "not there.png", "c.png"], dtype=object)
    features = read_features(tmp_path, wanted)
    assert features.tolist() == [[4, 5], [0, 0], [0, 1]]
    assert features.dtype == dtype


def test_no_draw_of_a_run_is_one_of_another_seed(tmp_path):
    """Else the baseline of one seed and a member of the next are one network, and their rows of a table
    are not independent."""
    sampling = SamplingSettings(strategy="random_under", n_subsets=2, baseline=True)
    drawn = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        write_table(table_of(["defect"] * 6 + ["normal"] * 40), folder / "samples.csv")
        make_subsets(folder, sampling, seed)
        drawn += [tuple(paths) for paths in read_subsets(folder).values()]
    assert len(set(drawn)) == len(drawn) == 9
