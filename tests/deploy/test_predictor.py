"""The exported graph in onnxruntime, and the JSON beside it."""

import json
import shutil

import numpy as np
import pytest

from mindspore_dpus.core.errors import UserError
from mindspore_dpus.deploy import OnnxPredictor
from mindspore_dpus.deploy.bundle import Bundle, json_path
from tests.deploy.conftest import expected_scores


@pytest.fixture
def copied(model, tmp_path):
    shutil.copy(model, tmp_path)
    shutil.copy(json_path(model), tmp_path)
    return tmp_path / model.name


@pytest.mark.parametrize("n", [1, 3, 16])
def test_any_batch_gives_every_models_outputs(model, n):
    greys = np.linspace(0, 255, n).astype(np.uint8)
    images = np.broadcast_to(greys[:, None, None, None], (n, 8, 8, 1)).copy()
    outputs = OnnxPredictor(model, threads=1).predict(images)
    assert list(outputs) == ["fused", "00", "01"]
    found = np.stack([output[:, 0] for output in outputs.values()], axis=1)
    np.testing.assert_allclose(found, [expected_scores(g) for g in greys], atol=1e-6)
    np.testing.assert_allclose(outputs["fused"].sum(1), 1, atol=1e-6)


def test_what_a_bundle_says_is_read_back(model):
    predictor = OnnxPredictor(model)
    assert predictor.bundle == Bundle.load(model)
    assert (predictor.classes, predictor.positive) == (["defect", "normal"], 0)
    assert (predictor.threshold, predictor.spec.size) == (0.5, 8)
    assert predictor.spec.window == (0.0, 4095.0)
    assert predictor.identity == predictor.bundle.sha256


def test_a_torn_graph_is_noticed(copied):
    copied.write_bytes(copied.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"model\.onnx is not the file that .*\.json describes"):
        OnnxPredictor(copied)


def test_a_missing_graph_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.onnx does not exist"):
        OnnxPredictor(tmp_path / "no.onnx")


def test_a_missing_json_is_named(copied):
    json_path(copied).unlink()
    with pytest.raises(UserError, match=r"model\.onnx\.json is missing: copy it with model\.onnx"):
        OnnxPredictor(copied)


def test_a_mindir_is_not_for_onnxruntime(tmp_path):
    (tmp_path / "model.mindir").write_bytes(b"x")
    with pytest.raises(UserError, match="export it with the format onnx"):
        OnnxPredictor(tmp_path / "model.mindir")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "is of format 99"),
        ({"decision": {}}, "is not what an export writes"),
        ({"decision": {"threshold": "high"}}, "is not what an export writes"),
        ({"spec": {"size": 8}}, "is not what an export writes"),
        ({"positive": "crack"}, "is not what an export writes"),
    ],
)
def test_a_changed_json_is_refused(copied, change, words):
    path = json_path(copied)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=words):
        OnnxPredictor(copied)


def test_the_example_runs(model):
    from tests.test_examples import run_example

    run_example(OnnxPredictor, model=str(model))
