"""Detectors of normal images alone, beside the ensemble."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from mindspore_dpus import systems
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.run_folder import RunFolder
from mindspore_dpus.core.tables import read_table
from mindspore_dpus.data.shards import open_shards
from mindspore_dpus.detectors.settings import OneClassSettings
from mindspore_dpus.metrics.settings import EvaluationSettings
from mindspore_dpus.systems.classification.measures import MEASURES
from mindspore_dpus.systems.classification.one_class import area_with_interval, row_names, whiten_by


def options(root, output, **changes):
    keys = {
        "system": "classification",
        "output": output,
        "data.root": root,
        "images.size": 32,
        "features.pretrained": "null",
        "one_class.detectors": "[knn,mahalanobis]",
        "one_class.sizes": "[1,3]",
        "one_class.n_components": 5,
        "evaluation.n_bootstrap": 50,
        "device.target": "CPU",
    } | changes
    return [f"--{key}={value}" for key, value in keys.items()]


@pytest.fixture(scope="module")
def run(castings, tmp_path_factory):
    output = tmp_path_factory.mktemp("one_class") / "run"
    return systems.train(systems.parse_config(options(castings, output)), targets=["one_class"])


def test_rows_have_a_size_where_their_detector_has_one():
    settings = OneClassSettings(("knn", "mahalanobis", "gmm"), (1, 4))
    assert list(row_names(settings)) == ["knn-1", "knn-4", "mahalanobis", "gmm-1", "gmm-4"]


@pytest.mark.parametrize("n", [4, 9, 40])
def test_whitening_is_scikit_learns(n):
    rng = np.random.default_rng(0)
    normals, others = (rng.normal(size=(m, 9)) @ np.diag(np.arange(1.0, 10)) + 3 for m in (n, 6))
    mean, components, deviation = whiten_by(normals, 5)
    number = min(5, n - 1)
    assert components.shape == (9, number)
    expected = PCA(number, whiten=True, svd_solver="full").fit(normals).transform(others)
    found = (others - mean) @ components / deviation
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-8)


def test_intervals_are_of_resampled_images():
    rng = np.random.default_rng(0)
    is_defect = np.arange(60) < 20
    scores = rng.normal(size=60) + is_defect
    settings = EvaluationSettings(n_bootstrap=400)
    found = area_with_interval(is_defect, scores, settings, 0)
    assert found["value"] == pytest.approx(roc_auc_score(is_defect, scores))
    resampled = []
    for _ in range(400):
        rows = np.concatenate([rng.choice(20, 20), rng.choice(np.arange(20, 60), 40)])
        resampled.append(roc_auc_score(is_defect[rows], scores[rows]))
    assert (found["low"], found["high"]) == pytest.approx(
        np.quantile(resampled, [0.025, 0.975]), abs=0.03
    )
    assert area_with_interval(is_defect, scores, settings, 0) == found
    assert area_with_interval(is_defect, scores, EvaluationSettings(n_bootstrap=0), 0)["low"] is None


def test_rows_are_the_areas_of_distances_to_normals(run):
    found = json.loads((run / "one_class.json").read_text())
    assert {split: list(rows) for split, rows in found.items()} == {
        split: ["knn-1", "knn-3", "mahalanobis"] for split in ("val", "test")
    }
    table = read_table(run / "samples.csv")
    parts = {
        len(array): np.asarray(array, np.float64)
        for array in map(open_shards, (run.path.parent / "cache").glob("features-*"))
    }
    training = (table["split"] == "train") & (table["label"] == "normal")
    normals = parts[int(training.sum())]
    pca = PCA(5, whiten=True, svd_solver="full").fit(normals)
    tested = table[table["split"] == "test"]
    # Validation and test are of one size here: the test's features are those that give its number.
    neighbours = NearestNeighbors(n_neighbors=3).fit(pca.transform(normals))
    distances = neighbours.kneighbors(pca.transform(parts[len(tested)]))[0][:, 2]
    areas = [
        roc_auc_score(table.loc[table["split"] == split, "label"] == "defect", distances)
        for split in ("val", "test")
    ]
    values = [found[split]["knn-3"]["auc"]["value"] for split in ("val", "test")]
    assert any(area == pytest.approx(value) for area, value in zip(areas, values, strict=True))


def test_grids_can_show_them(run):
    assert MEASURES.has("one_class_auc:knn-3")
    assert not MEASURES.has("one_class_auc")
    found = json.loads((run / "one_class.json").read_text())["test"]["knn-3"]["auc"]["value"]
    assert MEASURES.value(run.path, "test", "one_class_auc", "knn-3") == found
    with pytest.raises(UserError, match="made knn-1, knn-3, mahalanobis"):
        MEASURES.value(run.path, "test", "one_class_auc", "lof-2")


def test_too_few_normals_are_named(castings, tmp_path):
    config = systems.parse_config(
        options(
            castings, tmp_path / "run", **{"one_class.detectors": "[knn]", "one_class.sizes": "[99]"}
        )
    )
    with pytest.raises(UserError, match="needs at least 99 normals, there are 24"):
        systems.train(config, targets=["one_class"])


def test_without_detectors_there_is_no_such_stage(castings, tmp_path):
    config = systems.parse_config(options(castings, tmp_path / "run", **{"one_class.detectors": "[]"}))

    names = [
        s.name for s in systems.load_system("classification").stages(config, RunFolder(tmp_path / "r"))
    ]
    assert "one_class" not in names
