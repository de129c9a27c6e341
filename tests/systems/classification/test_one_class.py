"""Detectors of normal images alone, beside the ensemble."""

import json

import numpy as np
import pytest
from mindspore import Tensor
from PIL import Image
from safetensors.numpy import load_file
from sklearn.covariance import LedoitWolf
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
from mindspore_dpus.models.factory import create_model
from mindspore_dpus.systems.classification.embeddings import side_by_side
from mindspore_dpus.systems.classification.measures import MEASURES
from mindspore_dpus.systems.classification.one_class import (
    area_with_interval,
    make_one_class,
    row_names,
    whiten_by,
)


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


MEMBERS = {
    "one_class.detectors": "[knn,mahalanobis]",
    "one_class.sizes": "[3]",
    "one_class.embeddings": "[frozen,members]",
    "images.channels": 1,
    "features.backbone": "lenet5",
    "model.backbone": "lenet5",
    "model.pretrained": "null",
    "sampling.strategy": "random_under",
    "sampling.n_subsets": 2,
    "sampling.baseline": "true",
    "training.epochs": 1,
    "training.batch_size": 8,
    "device.processes": 1,
}


def member_vectors(run, castings, member, paths):
    """What the last pooling of a member's LeNet gives, averaged: its parts called one after the other."""
    net = create_model("lenet5", 2, 1, image_size=32)
    stored = load_file(run / "members" / member / "best.safetensors")
    for name, parameter in net.parameters_and_names():
        parameter.set_data(Tensor(next(v for key, v in stored.items() if key.endswith(name))))
    images = np.stack([np.asarray(Image.open(castings / path)) for path in paths])
    x = Tensor(((images / 255 - 0.449) / 0.226).astype(np.float32)[:, None])
    for cell in net.features:
        x = cell(x)
    return x.asnumpy().mean(axis=(2, 3)).astype(np.float64)


def test_members_have_rows_of_their_own(castings, tmp_path):
    config = systems.parse_config(options(castings, tmp_path / "run", **MEMBERS))
    run = systems.train(config, targets=["one_class"])
    found = json.loads((run / "one_class.json").read_text())
    names = ["knn-3", "mahalanobis", "members/knn-3", "members/mahalanobis"]
    assert all(list(rows) == names for rows in found.values())
    shown = MEASURES.value(run.path, "val", "one_class_auc", "members/knn-3")
    assert shown == found["val"]["members/knn-3"]["auc"]["value"]
    table = read_table(run / "samples.csv")
    split, normal = table["split"], table["label"] == "normal"
    # The baseline's member is trained, but has no part in the ensemble.
    assert (run / "members" / "baseline" / "best.safetensors").exists()
    each = [member_vectors(run, castings, member, table["path"]) for member in ("00", "01")]
    training = (split == "train") & normal
    vectors = np.hstack([one / np.linalg.norm(one[training].std(axis=0)) for one in each])
    pca = PCA(5, whiten=True, svd_solver="full").fit(vectors[training])
    white = pca.transform(vectors)
    neighbours = NearestNeighbors(n_neighbors=3).fit(white[training])
    covariance = LedoitWolf().fit(white[training])
    for part in ("val", "test"):
        rows = split == part
        scores = {
            "knn-3": neighbours.kneighbors(white[rows])[0][:, 2],
            "mahalanobis": covariance.mahalanobis(white[rows]),
        }
        for name, values in scores.items():
            expected = roc_auc_score(~normal[rows], values)
            assert found[part][f"members/{name}"]["auc"]["value"] == pytest.approx(expected, abs=1e-9)
    # Those of the frozen backbone are what they are without the others, to the last bit.
    alone = MEMBERS | {"one_class.embeddings": "[frozen]"}
    config = systems.parse_config(options(castings, tmp_path / "alone", **alone))
    frozen = json.loads((systems.train(config, targets=["one_class"]) / "one_class.json").read_text())
    for part, rows in frozen.items():
        assert rows == {name: found[part][name] for name in names[:2]}


def test_networks_of_any_scale_count_alike():
    rng = np.random.default_rng(0)
    small, large, none = rng.normal(size=(9, 3)), 1e4 * rng.normal(size=(9, 5)), np.ones((9, 2))
    normals, others = side_by_side([small, large, none], [small[:4] + 1, large[:4], none[:4]])
    assert (normals.shape, others.shape) == ((9, 10), (4, 10))
    spread = normals.var(axis=0)
    np.testing.assert_allclose([spread[:3].sum(), spread[3:8].sum()], 1)
    np.testing.assert_array_equal(normals[:, 8:], 1)
    np.testing.assert_allclose(others[:, :3] - normals[:4, :3], 1 / np.sqrt(small.var(axis=0).sum()))
    np.testing.assert_array_equal(others[:, 3:], normals[:4, 3:])


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [("[frozen,trained]", "one_class.embeddings"), ("[]", "one_class.embeddings is empty; name frozen")],
)
def test_embeddings_that_do_not_exist_are_named(castings, tmp_path, embeddings, words):
    with pytest.raises(UserError, match=words):
        systems.parse_config(options(castings, tmp_path, **{"one_class.embeddings": embeddings}))


def test_normals_that_look_alike_are_named(castings, tmp_path):
    table = "path,label,split\na,normal,train\nb,normal,train\nc,normal,train\nd,defect,test\n"
    (tmp_path / "samples.csv").write_text(table)
    extractors = {"frozen": lambda table, normals, parts: (np.ones((3, 4)), {"test": np.ones((1, 4))})}
    settings, evaluation = OneClassSettings(("knn",), sizes=(1,)), EvaluationSettings(n_bootstrap=0)
    with pytest.raises(UserError, match="to frozen all normal training images look alike"):
        make_one_class(tmp_path, extractors, "defect", settings, evaluation, 0)
